"""Whatever an epoch does when it is to end, and whenever it is told, it ends."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from repeating import repeating

from sweeps.executors import cutting
from sweeps.executors.cutting import Cut, Late, Scissors
from sweeps.stopping import WAKE

Rows = Iterator[dict[str, Any]]
LONG = 20.0


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """It is tried again soon; and, as in a driver, a signal that comes too late does nothing."""
    monkeypatch.setattr(cutting, "AGAIN_SECONDS", 0.1)
    before = signal.signal(WAKE, lambda number, frame: None)
    yield
    signal.signal(WAKE, before)
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0), "nothing is left that goes off"


def epochs(seconds: float, lost: int = 0) -> Rows:
    """Two epochs, the second one long; it loses what is raised in it, as a destructor would."""
    yield {"epoch": 1}
    for _ in range(lost):
        with suppress(BaseException):
            time.sleep(seconds)
    time.sleep(seconds)
    yield {"epoch": 2}


def rows_until(kind: type[BaseException], scissors: Scissors, rows: Rows) -> int:
    """How many rows come before it is cut, which takes no long epoch."""
    begin, seen = time.monotonic(), 0

    def take() -> None:
        nonlocal seen
        for _ in scissors.rows(rows):
            seen += 1

    with pytest.raises(Cut) as cut:
        take()
    assert cut.type is kind
    assert time.monotonic() - begin < LONG / 2
    return seen


@pytest.mark.parametrize("lost", [0, 2])
def test_an_epoch_is_cut_even_if_it_loses_what_ends_it(lost: int) -> None:
    scissors = Scissors(None)
    with repeating(scissors.cut):
        assert rows_until(Cut, scissors, epochs(LONG, lost)) == 1


@pytest.mark.parametrize("lost", [0, 2])
def test_an_epoch_that_is_late_is_cut_even_if_it_loses_what_ends_it(lost: int) -> None:
    assert rows_until(Late, Scissors(0.2), epochs(LONG, lost)) == 1


def test_an_epoch_that_is_cut_when_it_was_late_already_is_not_the_fault_of_the_trial() -> None:
    scissors = Scissors(0.1)
    with repeating(scissors.cut):
        assert rows_until(Cut, scissors, epochs(LONG, lost=4)) == 1


def test_no_epoch_begins_once_it_was_cut_between_two() -> None:
    scissors, begun = Scissors(None), []

    def rows() -> Rows:
        for epoch in (1, 2):
            begun.append(epoch)
            yield {"epoch": epoch}

    cut = scissors.rows(rows())
    next(cut)
    scissors.cut()
    for each in (cut, scissors.rows(rows())):
        with pytest.raises(Cut):
            next(each)
    assert begun == [1], "nor does the first of the next trial"


def test_what_is_in_time_is_left_alone_and_so_is_another_thread() -> None:
    both = [{"epoch": 1}, {"epoch": 2}]
    assert list(Scissors(5.0).rows(epochs(0.0))) == both
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.extend(Scissors(0.05).rows(epochs(0.2))))
    thread.start()
    thread.join()
    assert found == both
