"""Places to track to: an SQLite file, and a real MLflow server in a process of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from mlflow_server import Server

from trackers import connection


@pytest.fixture(scope="session")
def fresh_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An initialised MLflow database to copy: the migration takes seconds."""
    path = tmp_path_factory.mktemp("fresh") / "mlflow.db"
    connection.initialise(connection.resolved(path))
    return path


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, fresh_database: Path) -> Iterator[Server]:
    """One server for all tests; whoever suspends or kills it brings it back."""
    running = Server(tmp_path_factory.mktemp("server"))
    shutil.copy(fresh_database, running.database)
    try:
        running.start()
        yield running
    finally:
        running.kill()


@pytest.fixture
def local(tmp_path: Path, fresh_database: Path) -> str:
    """The address of an SQLite database of this test's own."""
    shutil.copy(fresh_database, tmp_path / "mlflow.db")
    return connection.resolved(tmp_path / "mlflow.db")


@pytest.fixture(params=["sqlite", "server"])
def uri(request: pytest.FixtureRequest) -> str:
    """Every place to track to, one after the other."""
    if request.param == "sqlite":
        return str(request.getfixturevalue("local"))
    return str(request.getfixturevalue("server").uri)


@pytest.fixture
def database(uri: str, request: pytest.FixtureRequest) -> Path:
    """The SQLite file behind ``uri``, to count rows in."""
    file = connection.sqlite_file(uri)
    return file if file is not None else request.getfixturevalue("server").database


@pytest.fixture
def sweep() -> str:
    """A name of this test's own, since all tests share the server."""
    return f"sweep-{uuid4().hex[:8]}"
