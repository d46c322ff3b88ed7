"""The heartbeat of a driver, by which another host sees that it lives.

The lock of a sweep belongs to the system: it goes with its process, whatever ends that. But on some network
file systems only one host sees it. So a driver counts in a file, too; who finds the lock free, and beside it
the name of a driver on another host, watches the count: it moves, or that driver is gone. No clock is read.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

BEAT_SECONDS = 5.0
LISTEN_SECONDS = 20.0  # A driver that misses three beats, since its disk is slow, say, still lives.
BOOT = Path("/proc/sys/kernel/random/boot_id")


def this_host() -> dict[str, str]:
    """Name and boot of this machine: its containers have other names, and two machines may have one name."""
    with suppress(OSError):
        return {"host": socket.gethostname(), "boot": BOOT.read_text(encoding="ascii").strip()}
    return {"host": socket.gethostname()}


def is_elsewhere(holder: Any) -> bool:
    """Whether a driver says that it is on another machine, whose locks this one may not see."""
    if not isinstance(holder, dict) or not holder:
        return False
    here = this_host()
    mark = "boot" if "boot" in holder and "boot" in here else "host"
    return bool(holder.get(mark) != here[mark])


@contextmanager
def beating(path: Path) -> Iterator[None]:
    """Count in a file as long as this goes on."""
    over = threading.Event()

    def beat() -> None:
        for number in count(1):
            with suppress(OSError):  # A full disk ends no sweep here.
                path.write_text(f"{number}\n", encoding="ascii")
            if over.wait(BEAT_SECONDS):
                return

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        path.unlink(missing_ok=True)


def is_beating(path: Path) -> bool:
    """Whether the count in a file moves; takes `LISTEN_SECONDS` where it does not."""
    before, deadline = _count(path), time.monotonic() + LISTEN_SECONDS
    while time.monotonic() < deadline:
        time.sleep(min(0.2, BEAT_SECONDS))
        if _count(path) != before:
            return True
    return False


def _count(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return None
