"""What the tests of faults share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from forked import context

from sweeps.home import Home
from sweeps.ledger import Ledger
from sweeps.tracking import initialise_local


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with both databases and nothing in them, to copy: to make them takes seconds."""
    context()  # It imports meanwhile.
    home = Home(tmp_path_factory.mktemp("empty") / "home")
    home.create()
    initialise_local(home)
    Ledger(home, "nothing").close()
    return home.root


@pytest.fixture
def home(tmp_path: Path, empty: Path) -> Path:
    shutil.copytree(empty, tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """What the driver says."""
    return tmp_path / "log.txt"
