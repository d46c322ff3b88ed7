"""Python's garbage collector beside the loop of a driver."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def sparing() -> Iterator[None]:
    """What there is by now is left out of all collections within.

    A driver has hundreds of thousands of objects before its first trial, most of them of libraries, and a
    collection that looks through them all holds up its loop for 0.1 to 0.2 s: measured by
    tests/bench/tracking.py. One that others have frozen something in is left to them.
    """
    ours = gc.get_freeze_count() == 0
    if ours:
        gc.freeze()
    try:
        yield
    finally:
        if ours:
            gc.unfreeze()
