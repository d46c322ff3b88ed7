"""Temporary folders that go with their process; of one that was killed, the next driver removes them.

Who has a folder holds a lock in it, which the system takes back when the process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX, OWNER = "sweeps-", "owner.lock"
SHORT = "/tmp"  # As Ray does: the path of a socket has at most 107 characters, and TMPDIR may have them all.

_held: dict[Path, FileLock] = {}


def make(kind: str = "", place: str | None = None) -> Path:
    """A folder for this user alone, which is this process's until `remove`, or until it ends.

    Args:
        kind: Part of its name.
        place: Where; by default where temporary files are.
    """
    folder = Path(tempfile.mkdtemp(prefix=PREFIX + kind, dir=place))
    aside = folder / f".{OWNER}"
    lock = FileLock(aside)
    with contextlib.suppress(
        OSError, NotImplementedError
    ):  # Without locks it stays if this process is killed.
        lock.acquire()
        aside.rename(folder / OWNER)  # Locked before anybody can find it.
        _held[folder] = lock
    return folder


def remove(folder: Path) -> None:
    """Remove a folder that `make` made."""
    shutil.rmtree(folder, ignore_errors=True)
    if (lock := _held.pop(folder, None)) is not None:
        lock.release()


@contextlib.contextmanager
def temporary(kind: str) -> Iterator[Path]:
    """A folder for as long as it is needed."""
    folder = make(kind)
    try:
        yield folder
    finally:
        remove(folder)


def remove_left_overs() -> list[Path]:
    """Remove the folders of this user whose process is gone; those that were."""
    places = {Path(place).resolve() for place in (SHORT, tempfile.gettempdir())}
    found = (folder for place in places for folder in sorted(place.glob(f"{PREFIX}*")))
    return [folder for folder in found if is_left_over(folder)]


def is_left_over(folder: Path) -> bool:
    """Whether a folder was one that nobody holds; then it is gone."""
    with contextlib.suppress(OSError, NotImplementedError, Timeout):
        about, lock = folder.lstat(), (folder / OWNER).lstat()
        if not stat.S_ISDIR(about.st_mode) or not stat.S_ISREG(lock.st_mode) or about.st_uid != os.getuid():
            return False
        with FileLock(folder / OWNER, timeout=0):
            shutil.rmtree(folder, ignore_errors=True)
        return not folder.exists()
    return False
