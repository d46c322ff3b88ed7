"""Something done again and again beside a test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def repeating(do: Callable[[], object], every: float = 0.2) -> Iterator[None]:
    """Call it from another thread as long as this goes on; ``every``: seconds in between."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(every):
            do()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
