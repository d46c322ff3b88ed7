"""What is said where a disk does not take what is written to it: which file, how large, how much is free."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cefl.errors import StorageError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


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
