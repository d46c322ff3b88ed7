"""The sources ``cifar10`` and ``cifar100``: torchvision's archive, checked by its MD5 and read where it lies.

A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009. Nothing is extracted, and the
pickles inside may name arrays and nothing else.
"""

from __future__ import annotations

import http.client
import io
import pickle
import shutil
import tarfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cefl.data.raw import ArrayRaw, Progress
from cefl.errors import DataError, MissingData
from cefl.network import patience

ARCHIVES: Mapping[str, tuple[str, str]] = {
    "cifar10": ("CIFAR10", "c58f30108f718f92721af3b95e74349a"),
    "cifar100": ("CIFAR100", "eb9058c3a382ffc7106e4002c42a8d85"),
}
"""Torchvision's class, which knows address and contents of the archive, and the MD5 of the archive."""

SIDE, CHANNELS = 32, 3
LARGEST_MEMBER = 1 << 28
"""Bytes; the largest member of the two archives has 155 million."""


@dataclass(frozen=True)
class CifarSource:
    """One of the two, with the folder that its archive is in, or is downloaded to."""

    name: str
    downloads: Path

    @property
    def identity(self) -> str:
        return self.name

    def is_there(self) -> bool:
        return True

    def fingerprint(self) -> str:
        return f"MD5 {ARCHIVES[self.name][1]}"

    def read(self, skip_corrupt: bool = False, progress: Progress | None = None) -> ArrayRaw:
        origin = self._origin()
        members = _members(self._archive(origin), origin)
        train = [members[name] for name, _ in origin.train_list]
        test = [members[name] for name, _ in origin.test_list]
        return ArrayRaw(
            classes=tuple(members[origin.meta["filename"]][origin.meta["key"]]),
            images={"train": _images(train), "test": _images(test)},
            labels={"train": _labels(train), "test": _labels(test)},
        )

    def _origin(self) -> Any:
        from torchvision import datasets  # takes seconds, with torch: only when it is needed

        return getattr(datasets, ARCHIVES[self.name][0])

    def _archive(self, origin: Any) -> Path:
        """The archive with the right checksum, downloaded where it is not there."""
        from torchvision.datasets.utils import check_integrity

        path = self.downloads / str(origin.filename)
        if not path.exists():
            self._download(origin, path)
        if not check_integrity(path, origin.tgz_md5):
            raise DataError(
                f"{self.name}: {path} is damaged or another file, since its MD5 is not {origin.tgz_md5}: "
                "delete it to download it again, or put the right one there"
            )
        return path

    def _download(self, origin: Any, path: Path) -> None:
        from torchvision.datasets.utils import download_url

        self.downloads.mkdir(parents=True, exist_ok=True)
        aside = self.downloads / f".{origin.filename}-{uuid.uuid4().hex}"
        try:
            with patience():
                download_url(origin.url, str(aside), origin.filename, origin.tgz_md5)
            (aside / origin.filename).replace(path)
        except (OSError, RuntimeError, RecursionError, http.client.HTTPException) as error:
            raise MissingData(
                f"{self.name}: {origin.url} cannot be downloaded ({error}). Without a network: put "
                f"{origin.filename} (MD5 {origin.tgz_md5}) into {self.downloads}; or copy the folder of a "
                f"prepared cache, {self.name}-..., from another machine into {self.downloads.parent}; or "
                "give the images as 'npz:PATH'"
            ) from error
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def _members(archive: Path, origin: Any) -> dict[str, dict[str, Any]]:
    """The unpickled members that torchvision lists, each an ordinary file of that name and no other."""
    names = [name for name, _ in (*origin.train_list, *origin.test_list)] + [origin.meta["filename"]]
    wanted = {f"{origin.base_folder}/{name}": name for name in names}
    found: dict[str, dict[str, Any]] = {}
    try:
        with tarfile.open(archive, "r|gz") as tar:
            for member in tar:
                if member.name in wanted and member.isfile() and member.size <= LARGEST_MEMBER:
                    stream = tar.extractfile(member)
                    assert stream is not None
                    found[wanted[member.name]] = _Unpickler(io.BytesIO(stream.read())).load()
    except (tarfile.TarError, OSError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise DataError(f"{archive}: cannot be read ({error}): delete it to download it again") from error
    missing = [name for name in names if not isinstance(found.get(name), dict)]
    if missing:
        raise DataError(f"{archive}: holds no {', '.join(missing)}: delete it to download it again")
    return found


class _Unpickler(pickle.Unpickler):
    """Reads arrays, lists and texts that Python 2 wrote; refuses to name anything else."""

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream, encoding="latin1")

    def find_class(self, module: str, name: str) -> Any:
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return np.empty(0).__reduce__()[0]
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        if module == "_codecs" and name == "encode":  # bytes, as Python 3 writes them for Python 2
            return str.encode
        raise pickle.UnpicklingError(f"a pickle names {module}.{name}, which no CIFAR archive does")


def _images(batches: list[dict[str, Any]]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Shape ``(N, 32, 32, 3)``, from rows of 1,024 red, 1,024 green and 1,024 blue values."""
    rows = np.concatenate([batch["data"] for batch in batches]).reshape(-1, CHANNELS, SIDE, SIDE)
    return np.ascontiguousarray(rows.transpose(0, 2, 3, 1))


def _labels(batches: list[dict[str, Any]]) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.concatenate(
        [batch["labels" if "labels" in batch else "fine_labels"] for batch in batches]
    ).astype(np.int64)
