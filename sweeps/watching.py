"""When a running trial is given up: it says nothing any more, or takes more memory than it may."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sweeps.memory import machine_memory, own_memory

WATCH_SECONDS = 1.0
STARTING_SECONDS = 120.0
"""What a process may take to start and to load its data, beside the first epoch."""

UNKNOWN_SECONDS, LEAST_SECONDS, TIMES_LONGEST = 6 * 3600.0, 600.0, 30.0
"""An epoch may last 30 times the longest of its cell, at least 10 minutes; before there is one, 6 hours."""

MEMORY_SECONDS = 0.25
SHORT = 0.05
"""A machine with less than this share of its memory left is short of it."""

LAST_WORDS_SECONDS = 3.0


class Silence:
    """How long trials have said nothing, and which of them hang.

    Only time in which somebody listened counts: a driver that had to wait itself, for a disk or a lock, does
    not take its own silence for theirs.

    Args:
        limit: Seconds that an epoch may take; ``None``: by the epochs that were seen.
    """

    def __init__(self, limit: float | None) -> None:
        self.limit = limit
        self.seconds: dict[str, float] = {}
        self.before_first: set[str] = set()
        self.longest: dict[str, float] = {}
        self.last: float | None = None

    def begun(self, ref: str) -> None:
        """A trial has a process."""
        self.seconds[ref] = 0.0
        self.before_first.add(ref)

    def heard(self, ref: str, cell: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Epochs of a trial have come."""
        self.seconds[ref] = 0.0
        self.before_first.discard(ref)
        for row in rows:
            self.longest[cell] = max(self.longest.get(cell, 0.0), row["metrics"].get("seconds", 0.0))

    def over(self, ref: str) -> None:
        """A trial has ended."""
        self.seconds.pop(ref, None)
        self.before_first.discard(ref)

    def listen(self, now: float) -> None:
        """So much time has passed.

        Args:
            now: By the monotonic clock, which a laptop's sleep does not move.
        """
        elapsed = 0.0 if self.last is None else min(now - self.last, 2 * WATCH_SECONDS)
        self.last = now
        for ref in self.seconds:
            self.seconds[ref] += elapsed

    def allowed(self, ref: str, cell: str) -> float:
        """How many seconds a trial may say nothing now."""
        longest = self.longest.get(cell)
        if self.limit is not None:
            seconds = self.limit
        else:
            seconds = UNKNOWN_SECONDS if longest is None else max(LEAST_SECONDS, TIMES_LONGEST * longest)
        return seconds + (STARTING_SECONDS if ref in self.before_first else 0.0)

    def reason(self, ref: str, cell: str) -> str | None:
        """Why a trial hangs, in words; ``None``: it does not."""
        allowed = self.allowed(ref, cell)
        return overdue(allowed) if self.seconds.get(ref, 0.0) > allowed else None


def overdue(seconds: float) -> str:
    """That an epoch has taken too long."""
    return f"it hangs: no epoch within {seconds:,.0f} s (resources.epoch_limit sets how long one may take)"


@dataclass(frozen=True)
class MemoryLimit:
    """How much memory a trial's process may take.

    Attributes:
        most: Bytes; ``None``: all there is, but no more than its share where the machine is short of memory.
        trials: How many of them run on the machine at a time.
        base: Bytes that the process had before its first trial and that do not count.
    """

    most: int | None
    trials: int = 1
    base: int = 0

    def exceeded(self) -> str | None:
        """Why this process must end, in words; ``None``: it need not."""
        own = own_memory() - self.base
        if self.most is not None:
            over = f"it took more than the {gibibytes(self.most)} of memory that resources.memory allows"
            return over if own > self.most else None
        total, left = machine_memory()
        if left >= SHORT * total or own <= total / self.trials:
            return None
        return (
            f"it took {gibibytes(own)} of the machine's {gibibytes(total)} of memory, with {gibibytes(left)}"
            f" left, and {self.trials} trials share it (resources.memory, resources.concurrent)"
        )


def gibibytes(count: int) -> str:
    """``1.25 GiB``."""
    return f"{count / 2**30:.2f} GiB"


@contextmanager
def bounded_memory(limit: MemoryLimit, last_words: Callable[[str], object]) -> Iterator[None]:
    """End this process as soon as it takes more memory than it may.

    A limit of the address space would be simpler, but CUDA reserves far more of it than it uses.

    Args:
        last_words: Told why, in another thread; given a few seconds, since the memory may be growing on.
    """
    over = threading.Event()

    def watch() -> None:
        while not over.wait(MEMORY_SECONDS):
            reason = limit.exceeded()
            if reason is not None:
                telling = threading.Thread(target=last_words, args=(reason,), daemon=True)
                telling.start()
                telling.join(LAST_WORDS_SECONDS)
                os._exit(1)

    watching = threading.Thread(target=watch, name="memory-watch", daemon=True)
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join()
