"""Ways for a driver to be killed, from inside its own process: at a write, or a moment after it."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from dataclasses import dataclass
from typing import Any

RENAMES = {"os.rename", "os.remove", "os.truncate", "os.mkdir"}
WRITING = os.O_WRONLY | os.O_RDWR


@dataclass
class KillAtWrite:
    """Kills its process at the ``count``-th time that it opens a file to write, or changes a folder.

    Args:
        after: Seconds that it lives on, so that it dies in the middle of what it writes.
    """

    count: int
    after: float = 0.0

    def __call__(self) -> None:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # Ends a process at once, like SIGKILL.
        sys.addaudithook(self.hook)

    def hook(self, event: str, args: tuple[Any, ...]) -> None:
        if event not in RENAMES and not (event == "open" and is_writing(args)):
            return
        self.count -= 1
        if self.count == 0:
            if self.after:
                signal.setitimer(signal.ITIMER_REAL, self.after)
            else:
                os.kill(os.getpid(), signal.SIGKILL)


def is_writing(args: tuple[Any, ...]) -> bool:
    """Whether an ``open`` is for writing."""
    _, mode, flags = args
    return any(each in mode for each in "wax+") if isinstance(mode, str) else bool((flags or 0) & WRITING)


@dataclass(frozen=True)
class KillAtCall:
    """Kills its process at the ``count``-th call of a method of the ledger: before it writes, or after.

    Args:
        of: Module and class of the method.
    """

    method: str
    count: int
    after: bool
    of: str = "sweeps.ledger:Ledger"

    def __call__(self) -> None:
        module, _, name = self.of.partition(":")
        target = getattr(importlib.import_module(module), name)
        plain, left = getattr(target, self.method), self.count

        def killing(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0 and not self.after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = plain(*args, **kwargs)
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        setattr(target, self.method, killing)
