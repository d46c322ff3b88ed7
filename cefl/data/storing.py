"""Files that are whole or not there: room is reserved first, and bytes are on the disk before a name is."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

NOT_SUPPORTED = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS)
ZEROS = bytes(1 << 20)


@contextmanager
def new_image_file(path: Path, shape: tuple[int, ...]) -> Iterator[NDArray[np.uint8]]:
    """A new ``.npy`` file of uint8, mapped into memory for writing, brought to the disk at the end.

    Its room on the disk is reserved first: a page that finds no room when it is written would kill the
    process with a signal, where this raises an ordinary error.

    Raises:
        OSError: If there is no room, or the folder cannot be written.
    """
    with path.open("xb") as file:
        npy.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        file.flush()
        _reserve(file.fileno(), file.tell(), int(np.prod(shape)))
    images: np.memmap[Any, np.dtype[np.uint8]] = npy.open_memmap(path, mode="r+")
    try:
        yield images
    finally:
        images.flush()
    sync(path)


def _reserve(descriptor: int, offset: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, offset, size)
            return
        except OSError as error:
            if error.errno not in NOT_SUPPORTED:
                raise
    os.lseek(descriptor, offset, os.SEEK_SET)
    while size > 0:
        size -= os.write(descriptor, ZEROS[:size])


def save(path: Path, content: bytes | NDArray[np.int64]) -> None:
    """Write a small file, bytes or a ``.npy`` array, and bring it to the disk.

    Raises:
        OSError: If it cannot be written.
    """
    with path.open("xb") as file:
        if isinstance(content, bytes):
            file.write(content)
        else:
            npy.write_array(file, content, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NOT_SUPPORTED:  # some network file systems do not sync folders
            raise
    finally:
        os.close(descriptor)
