"""The source ``npz:PATH``: one NPZ file in the key layout of MedMNIST.

Keys: ``train_images``, ``train_labels``, optional ``val_*`` and ``test_*``, optional ``class_names``. Images
are uint8 of shape ``(N, H, W)`` or ``(N, H, W, C)`` with 1, 3 or 4 channels, labels integers from 0 of shape
``(N,)`` or ``(N, 1)``. Images are streamed to the cache, so a file may be larger than the memory.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

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
from cefl.data.npz_file import Member, NpzFile
from cefl.data.raw import SPLITS, Job, Progress, Tick
from cefl.errors import DataError, UnreadableImage


@dataclass(frozen=True)
class NpzSource:
    """An NPZ file at an absolute path."""

    path: Path

    @property
    def identity(self) -> str:
        return f"npz:{self.path}"

    @property
    def name(self) -> str:
        return self.path.stem

    def is_there(self) -> bool:
        return self.path.exists()

    def fingerprint(self) -> str:
        try:
            status = self.path.stat()
        except OSError as error:
            hint = self._did_you_mean()
            raise DataError(f"{self.identity}: cannot be read ({error.strerror}){hint}") from error
        if not self.path.is_file():
            raise DataError(f"{self.identity}: must be a file; a folder of images is 'folder:{self.path}'")
        return f"{status.st_size} bytes, modified {status.st_mtime_ns}"

    def read(self, skip_corrupt: bool = False, progress: Progress | None = None) -> NpzRaw:
        with NpzFile(self.path) as file:
            keys = file.keys()
            self._refuse(wrong_keys(keys))
            members = {key: file.member(key) for key in keys if key in READ}
            splits = [split for split in SPLITS if f"{split}_images" in members]
            images = {split: members[f"{split}_images"] for split in splits}
            labels = {split: members[f"{split}_labels"] for split in splits}
            self._refuse(array_problems(members))
            values = {split: file.array(member.key).reshape(-1) for split, member in labels.items()}
            named = "class_names" in members
            classes = names(file.array("class_names")) if named else numbered(values, self.identity)
        self._refuse(range_problems(values, classes))
        ignored = sorted(set(keys) - set(READ))
        return NpzRaw(
            self.path,
            classes,
            labels={split: part.astype(np.int64) for split, part in values.items()},
            members=images,
            notes=(f"keys not read: {', '.join(ignored)}",) if ignored else (),
        )

    def _refuse(self, problems: Sequence[str]) -> None:
        if problems:
            raise refused(self.identity, problems)

    def _did_you_mean(self) -> str:
        siblings = [path.name for path in self.path.parent.glob("*.npz")]
        close = difflib.get_close_matches(self.path.name, siblings, n=1)
        return f"; did you mean {close[0]!r}?" if close else ""


@dataclass(frozen=True, eq=False)
class NpzRaw:
    """A checked NPZ file, its images still in it."""

    path: Path
    classes: tuple[str, ...]
    labels: Mapping[str, NDArray[np.int64]]
    members: Mapping[str, Member]
    notes: tuple[str, ...]
    left_out: tuple[UnreadableImage, ...] = ()
    test_per_class: int | None = None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        height, width, channels = self.members["train"].image_shape
        return height, width, channels

    def write(self, jobs: Sequence[Job], tick: Tick) -> None:
        with NpzFile(self.path) as file:
            for split, member in self.members.items():
                mine = [job for job in jobs if job.split == split]
                for start, block in file.blocks(member):
                    for job in mine:
                        low, high = np.searchsorted(job.indices, [start, start + len(block)])
                        job.out[low:high] = block[job.indices[low:high] - start]
                        tick(int(high - low))
