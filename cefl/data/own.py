"""The source ``package.module:function``: a function of the user's own that returns arrays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cefl.data.array_rules import (
    READ,
    array_problems,
    names,
    numbered,
    range_problems,
    refused,
    wrong_keys,
)
from cefl.data.npz_file import Member
from cefl.data.raw import SPLITS, ArrayRaw, Progress
from cefl.errors import CeflError, DataError
from cefl.own import find, load


@dataclass(frozen=True)
class OwnSource:
    """A function, called without arguments, that returns a dict of arrays in the layout of `cefl.data.npz`.

    Its module's source is what the cache is known by: who changes what the function reads changes that too,
    or deletes the cache.
    """

    path: str
    folders: tuple[str, ...] = ()

    @property
    def identity(self) -> str:
        return f"{self.path} in {find(self.path, self.folders).file}"

    @property
    def name(self) -> str:
        return self.path.replace(":", ".")

    def is_there(self) -> bool:
        return True  # its identity is of the module, so that without one there is nothing to look for

    def fingerprint(self) -> str:
        return find(self.path, self.folders).digest

    def read(self, skip_corrupt: bool = False, progress: Progress | None = None) -> ArrayRaw:
        function = load(self.path, self.folders)
        try:
            found: Any = function()
        except CeflError:
            raise
        except Exception as error:
            raise DataError(f"{self.path}: fails: {type(error).__name__}: {error}") from error
        if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
            raise DataError(f"{self.path}: must return a dict of arrays by name, but returned {type(found)}")
        self._refuse(wrong_keys(list(found)))
        arrays: dict[str, NDArray[Any]] = {key: np.asarray(found[key]) for key in READ if key in found}
        self._refuse(
            array_problems({key: Member(key, each.shape, False, each.dtype) for key, each in arrays.items()})
        )
        splits = [split for split in SPLITS if f"{split}_images" in arrays]
        labels = {split: arrays[f"{split}_labels"].reshape(-1) for split in splits}
        named = "class_names" in arrays
        classes = names(arrays["class_names"]) if named else numbered(labels, self.path)
        self._refuse(range_problems(labels, classes))
        ignored = sorted(set(found) - set(READ))
        return ArrayRaw(
            classes,
            {split: with_channels(arrays[f"{split}_images"]) for split in splits},
            {split: part.astype(np.int64) for split, part in labels.items()},
            notes=(f"keys not read: {', '.join(ignored)}",) if ignored else (),
        )

    def _refuse(self, problems: Iterable[str]) -> None:
        told = list(problems)
        if told:
            raise refused(self.path, told)


def with_channels(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``(N, H, W)`` as ``(N, H, W, 1)``."""
    return images if images.ndim == 4 else images[..., None]
