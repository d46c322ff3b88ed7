"""What many tests share: small real data sets on disk, and specifications for them."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from small_data import SMALL, write_stripes

# Many tests start Python anew: to compile torch, Ray and MLflow each time takes longer than the tests.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

LONGEST = ("e2e", "faults", "cluster", "docker")

# A shell that runs the tests in the background has them ignore interrupts, and what they start would too.
if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    and threading.current_thread() is threading.main_thread()
):
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Two workers on two cores: a second thread of each would wait for the other's.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Ray makes its workers wait for all other processes (nice 15): beside other tests they would come to nothing.
os.environ.setdefault("RAY_worker_niceness", "0")


LEVELS = {
    "fuller": "only with --all, as in .ci/run: the fuller forms of the tests of faults, and the cluster",
    "long": "only with --long, which includes --all: the forms that take many minutes",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="also the tests marked fuller: what .ci/run runs")
    parser.addoption("--long", action="store_true", help="also the tests marked long, for many minutes")


def pytest_configure(config: pytest.Config) -> None:
    for level, meaning in LEVELS.items():
        config.addinivalue_line("markers", f"{level}: {meaning}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What its level leaves out is skipped; the longest files begin first, so that no worker ends alone."""
    wanted = {"fuller": _fuller(config), "long": _long(config)}
    for item in items:
        for level, meaning in LEVELS.items():
            if not wanted[level] and item.get_closest_marker(level):
                item.add_marker(pytest.mark.skip(reason=meaning))
    items.sort(key=lambda item: min((LONGEST.index(e) for e in item.path.parts if e in LONGEST), default=9))


def _long(config: pytest.Config) -> bool:
    return bool(config.getoption("--long"))


def _fuller(config: pytest.Config) -> bool:
    return _long(config) or bool(config.getoption("--all"))


@pytest.fixture(scope="session")
def fuller(request: pytest.FixtureRequest) -> bool:
    """Whether a test may take its fuller form: tens of seconds, in `.ci/run`."""
    return _fuller(request.config)


@pytest.fixture(scope="session")
def long(request: pytest.FixtureRequest) -> bool:
    """Whether a test may take minutes."""
    return _long(request.config)


@pytest.fixture
def stripes(tmp_path: Path) -> Path:
    """A small NPZ in a folder of the test's own."""
    return write_stripes(tmp_path / "stripes.npz")


@pytest.fixture
def small_spec(stripes: Path) -> Path:
    """A sweep of three trials of two epochs on `stripes`."""
    path = stripes.with_name("small.yaml")
    path.write_text(textwrap.dedent(SMALL))
    return path


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with both databases and nothing in them, to copy: to make them takes seconds."""
    from sweeps.home import Home
    from sweeps.ledger import Ledger
    from sweeps.tracking import initialise_local

    home = Home(tmp_path_factory.mktemp("empty") / "home")
    home.create()
    initialise_local(home)
    Ledger(home, "nothing").close()
    return home.root


@pytest.fixture
def home(tmp_path: Path, empty: Path) -> Path:
    """A home of the test's own, in which nothing was run."""
    return shutil.copytree(empty, tmp_path / "home")
