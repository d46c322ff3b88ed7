"""Files that are written whole or not at all; what is said where a disk does not take them, and its room."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cefl.errors import StorageError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_whole(path: Path, content: bytes) -> None:
    """Write aside, sync and rename, so that a reader, or a crash, sees all of it or none.

    Raises:
        OSError: If the disk does not take it; then the old content is still there.
    """
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.tmp")  # Several hosts may write at once.
    try:
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        with suppress(OSError):  # Of a disk that has become read-only nothing can be removed.
            aside.unlink(missing_ok=True)


def write_aside(path: Path, content: bytes) -> None:
    """The same.

    Raises:
        StorageError: If the disk does not take it, with what is free.
    """
    with storing(path, len(content)):
        write_whole(path, content)


@contextmanager
def storing(path: Path, size: int = 0) -> Iterator[None]:
    """While a file of ``size`` bytes, or a folder, is written.

    Raises:
        StorageError: Where the system refuses it.
    """
    try:
        yield
    except OSError as error:
        raise StorageError(refusal(path, size, error)) from error


def refusal(path: Path, size: int, error: OSError) -> str:
    """Why a file is not there, and what to do."""
    what = f"{path.name} ({megabytes(size)})" if size else path.name
    reason = error.strerror or str(error)
    if error.errno in NO_ROOM:
        return f"{path.parent}: no room for {what}: {reason}, {free_at(path)}; make room"
    return f"{path.parent}: {what} cannot be written: {reason}; mend that"


def free_at(path: Path) -> str:
    """``1.5 of 64.0 MB are free``, on the disk that a path is on, or would be."""
    there = next(each for each in (path, *path.absolute().parents) if each.exists())
    usage = shutil.disk_usage(there)
    return f"{megabytes(usage.free)} of {megabytes(usage.total)} are free"


def megabytes(size: float) -> str:
    """``1.5 MB``."""
    return f"{size / 1e6:.3g} MB" if size < 1e9 else f"{size / 1e9:.3g} GB"
