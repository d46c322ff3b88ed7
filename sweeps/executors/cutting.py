"""Epochs of this process's own training that are cut short: the sweep stops, or they last too long.

Python takes a signal between two of its steps, so what hangs inside a library, not in Python, is not cut.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

from sweeps.stopping import AGAIN_SECONDS, WAKE, wake

LATE = signal.SIGALRM


class Cut(BaseException):
    """An epoch ends in its middle. No `Exception`: nothing on its way may take it for an error of its own."""


class Late(Cut):
    """It has lasted too long."""


class Scissors:
    """Cuts what is between its blades, in the main thread alone: no other gets signals.

    Args:
        limit: Seconds that an epoch may take; ``None``: any number.
    """

    def __init__(self, limit: float | None) -> None:
        self.limit = limit
        self.open = self.over = False

    def rows(self, rows: Iterator[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        """What comes, each within its time.

        Raises:
            Cut: If `cut` is called meanwhile, or was before.
            Late: If a row does not come in time.
        """
        if threading.current_thread() is not threading.main_thread():
            yield from rows
            return
        with self._listening():
            while True:
                row = self._next(rows)
                if row is None:
                    return
                yield row

    def _next(self, rows: Iterator[Mapping[str, Any]]) -> Mapping[str, Any] | None:
        if self.limit is not None:
            signal.setitimer(signal.ITIMER_REAL, self.limit, AGAIN_SECONDS)
        self.open = True
        try:
            if self.over:  # It was cut while there was nothing to cut.
                raise Cut
            return next(rows, None)
        finally:
            self.open = False
            if self.limit is not None:
                signal.setitimer(signal.ITIMER_REAL, 0.0)

    @contextmanager
    def _listening(self) -> Iterator[None]:
        numbers = [WAKE] if self.limit is None else [WAKE, LATE]
        before = {number: signal.signal(number, self._on_signal) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.open and (self.over or number == LATE):
            raise Cut if self.over else Late

    def cut(self) -> None:
        """End the epoch that is under way, from any thread, and let none begin; again if it goes on."""
        self.over = True
        if self.open:
            wake()
