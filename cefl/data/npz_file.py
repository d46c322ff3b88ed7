"""An NPZ file as it lies on disk: headers, small arrays, and images block by block.

Nothing is unpickled, and damage of any kind becomes one ``DataError``.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from cefl.errors import DataError

BLOCK_BYTES = 1 << 24
"""How many bytes of images are in memory at a time."""

MOST_BYTES = 1 << 28
"""Of what is read at once, labels or names say: a few kB may unpack to any number."""

DAMAGE = (OSError, ValueError, EOFError, RuntimeError, MemoryError, zlib.error)
"""What zipfile and numpy raise on files that are damaged, encrypted, compressed in an unknown way, or lie."""

HEADER_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


@dataclass(frozen=True)
class Member:
    """One array of the file, known by its header alone."""

    key: str
    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Height, width and channels of an array of images ``(N, H, W)`` or ``(N, H, W, C)``."""
        return (*self.shape[1:], 1)[:3]


def npz_error(path: Path, problems: Sequence[str]) -> DataError:
    """One error for all problems of a file."""
    if len(problems) == 1:
        return DataError(f"npz:{path}: {problems[0]}")
    return DataError("\n  ".join([f"npz:{path}: {len(problems)} problems", *problems]))


class NpzFile:
    """A file that is open for reading, to be used in a ``with`` statement.

    Raises:
        DataError: Wherever the file turns out to be unreadable.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._reading():
            self._archive = zipfile.ZipFile(path)

    def __enter__(self) -> NpzFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._archive.close()

    def keys(self) -> list[str]:
        """Names of the arrays."""
        names = self._archive.namelist()
        return [name.removesuffix(".npy") for name in names if name.endswith(".npy")]

    def member(self, key: str) -> Member:
        """Shape and type of an array."""
        with self._stream(key) as stream:
            return _header(stream, key)

    def array(self, key: str) -> NDArray[Any]:
        """A whole array, for labels and names."""
        with self._stream(key) as stream:
            member = _header(stream, key)
            if (unpacked := math.prod(member.shape) * member.dtype.itemsize) > MOST_BYTES:
                raise ValueError(f"{key} unpacks to {unpacked:,} bytes, of which {MOST_BYTES:,} are read")
        with self._stream(key) as stream:
            values: NDArray[Any] = npy.read_array(stream, allow_pickle=False)
            return values

    def blocks(self, member: Member) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Images in order: position of the first, and ``(n, H, W, C)``."""
        if member.fortran_order:  # its images do not lie one after the other
            yield 0, self.array(member.key).reshape(-1, *member.image_shape)
            return
        image_bytes = math.prod(member.image_shape)
        per_block = max(1, BLOCK_BYTES // image_bytes)
        with self._stream(member.key) as stream:
            _header(stream, member.key)
            for start in range(0, member.shape[0], per_block):
                wanted = min(per_block, member.shape[0] - start) * image_bytes
                data = stream.read(wanted)
                if len(data) < wanted:
                    raise EOFError(f"{member.key} ends too early")
                yield start, np.frombuffer(data, dtype=np.uint8).reshape(-1, *member.image_shape)
            stream.read(1)  # the checksum is compared at the end of the stream

    @contextmanager
    def _stream(self, key: str) -> Iterator[IO[bytes]]:
        with self._reading(), self._archive.open(f"{key}.npy") as stream:
            yield stream

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (zipfile.BadZipFile, *DAMAGE) as error:
            advice = "write it with numpy.savez or numpy.savez_compressed"
            problem = f"is not an NPZ file, or is damaged ({error}): {advice}"
            raise npz_error(self.path, [problem]) from error


def _header(stream: IO[bytes], key: str) -> Member:
    version = npy.read_magic(stream)
    if version not in HEADER_READERS:
        raise ValueError(f"{key} has the unknown format version {version}")
    shape, fortran_order, dtype = HEADER_READERS[version](stream)
    return Member(key, tuple(shape), fortran_order, dtype)
