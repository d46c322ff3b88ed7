"""What many tests share: small real data sets on disk, and specifications for them."""

from __future__ import annotations

import os
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

LONGEST = {"e2e", "faults"}

# A shell that runs the tests in the background has them ignore interrupts, and what they start would too.
if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    and threading.current_thread() is threading.main_thread()
):
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Two workers on two cores: a second thread of each would wait for the other's.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest begin first, so that no worker ends alone with one of them."""
    items.sort(key=lambda item: not LONGEST & set(item.path.parts))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="the long form of the tests of faults: more of each")


@pytest.fixture(scope="session")
def long(request: pytest.FixtureRequest) -> bool:
    """Whether a test may take minutes."""
    return bool(request.config.getoption("--long"))


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
