"""What the tests of faults share."""

from __future__ import annotations

from pathlib import Path

import pytest
from forked import context


@pytest.fixture(scope="session", autouse=True)
def _forking() -> None:
    """The process that commands are forked from: it imports while the first test is prepared."""
    context()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """What the driver says."""
    return tmp_path / "log.txt"
