"""The services of a cluster, for real: each is skipped with a reason where it is not installed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from postgres import MISSING, Postgres, binaries


@pytest.fixture(scope="session", autouse=True)
def asked_for(request: pytest.FixtureRequest) -> None:
    """These tests start servers and Ray nodes: only where all tests are asked for."""
    options = ("--all", "--long")
    if not any(request.config.getoption(option, default=False) for option in options):
        pytest.skip("starts servers and Ray nodes; asked for by --all")


@pytest.fixture(scope="session")
def postgres(asked_for: None) -> Iterator[Postgres]:
    """A PostgreSQL server for the whole of a worker's tests: each takes databases of its own."""
    programs = binaries()
    if programs is None:
        pytest.skip(MISSING)
    server = Postgres.create(programs)
    yield server
    server.remove()
