"""The source ``npz:PATH``: one NPZ file in the key layout of MedMNIST.

Keys: ``train_images``, ``train_labels``, optional ``val_*`` and ``test_*``, optional ``class_names``. Images
are uint8 of shape ``(N, H, W)`` or ``(N, H, W, C)`` with 1, 3 or 4 channels, labels integers from 0 of shape
``(N,)`` or ``(N, 1)``. Images are streamed to the cache, so a file may be larger than the memory.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cefl.data.npz_file import Member, NpzFile, npz_error
from cefl.data.raw import SPLITS, Job, Progress, Tick
from cefl.errors import DataError, UnreadableImage

KEYS = tuple(f"{split}_{role}" for split in SPLITS for role in ("images", "labels"))
READ = (*KEYS, "class_names")
CHANNELS = (1, 3, 4)


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
            self._refuse(_wrong_keys(keys))
            members = {key: file.member(key) for key in keys if key in READ}
            splits = [split for split in SPLITS if f"{split}_images" in members]
            images = {split: members[f"{split}_images"] for split in splits}
            labels = {split: members[f"{split}_labels"] for split in splits}
            problems = _objects(members.values())
            for split in splits:
                problems += _image_problems(images[split], images["train"])
                problems += _label_problems(labels[split], images[split])
            self._refuse(problems + _name_problems(members.get("class_names")))
            values = {split: file.array(member.key).reshape(-1) for split, member in labels.items()}
            named = "class_names" in members
            classes = _names(file.array("class_names")) if named else _numbered(values, self.path)
        self._refuse(_range_problems(values, classes))
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
            raise npz_error(self.path, problems)

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


def _wrong_keys(keys: Sequence[str]) -> list[str]:
    required = {"train"} | {split for split in SPLITS if {f"{split}_images", f"{split}_labels"} & set(keys)}
    missing = [key for key in KEYS if key.split("_")[0] in required and key not in keys]
    problems = []
    if missing:
        there = ", ".join(sorted(keys)) or "no arrays at all"
        problems.append(
            f"these keys must be there, but are missing: {', '.join(missing)}; there are: {there}"
        )
    for key in sorted(set(keys) - set(KEYS)):
        if key.endswith(("_images", "_labels")):
            close = difflib.get_close_matches(key, KEYS, n=1, cutoff=0)[0]
            problems.append(f"unknown key {key}, did you mean {close}? The splits are {', '.join(SPLITS)}")
    return problems


def _objects(members: Iterable[Member]) -> list[str]:
    return [
        f"{member.key} holds Python objects, which are never unpickled: save numbers, or names with dtype=str"
        for member in members
        if member.dtype.hasobject
    ]


def _image_problems(member: Member, train: Member) -> list[str]:
    if member.dtype.hasobject:
        return []
    problems = []
    if member.dtype != np.uint8:
        problems.append(f"{member.key} must be uint8, from 0 to 255, but is {member.dtype}")
    if len(member.shape) not in (3, 4) or member.image_shape[-1] not in CHANNELS:
        first = len(member.shape) == 4 and member.shape[1] in CHANNELS
        problems.append(
            f"{member.key} must have shape (N, H, W) or (N, H, W, C), C in 1, 3, 4, but has {member.shape}"
            + (": put the channels last" if first else "")
        )
    elif 0 in member.shape:
        problems.append(f"{member.key} must hold images, but has shape {member.shape}")
    elif member.image_shape != train.image_shape:
        problems.append(
            f"{member.key} must have images of the shape of train_images, {train.image_shape}, "
            f"but has {member.image_shape}"
        )
    return problems


def _label_problems(member: Member, images: Member) -> list[str]:
    if member.dtype.hasobject:
        return []
    if member.dtype.kind not in "iu":
        return [f"{member.key} must be integers, but is {member.dtype}"]
    if len(member.shape) not in (1, 2) or member.shape[1:] not in ((), (1,)):
        several = ": several labels an image are not supported" if len(member.shape) == 2 else ""
        return [f"{member.key} must have shape (N,) or (N, 1), but has {member.shape}{several}"]
    if images.shape[:1] != member.shape[:1]:
        return [
            f"`as many labels as images` must hold, but {member.key} has {member.shape[0]} "
            f"and {images.key} {images.shape[0] if images.shape else 'no dimension'}"
        ]
    return []


def _name_problems(member: Member | None) -> list[str]:
    if member is None or member.dtype.hasobject:
        return []
    if member.dtype.kind not in "US" or len(member.shape) != 1:
        return [f"class_names must be a list of texts, but is {member.dtype} of shape {member.shape}"]
    return []


def _names(values: NDArray[Any]) -> tuple[str, ...]:
    return tuple(
        value.decode("utf-8", errors="replace") if isinstance(value, bytes) else value
        for value in values.tolist()
    )


def _numbered(labels: Mapping[str, NDArray[Any]], path: Path) -> tuple[str, ...]:
    """Classes ``0`` to the largest label; a stray huge label must not make a list of that length."""
    largest = max(int(values.max()) for values in labels.values())
    if largest >= len(labels["train"]):
        raise npz_error(
            path,
            [
                f"every class needs images to train on, but labels go up to {largest} with "
                f"{len(labels['train'])} training images: number the classes from 0 without gaps"
            ],
        )
    return tuple(str(label) for label in range(max(0, largest) + 1))


def _range_problems(labels: Mapping[str, NDArray[Any]], classes: Sequence[str]) -> list[str]:
    problems = []
    for split, values in labels.items():
        low, high = int(values.min()), int(values.max())
        if low < 0 or high >= len(classes):
            problems.append(
                f"{split}_labels must lie from 0 to {len(classes) - 1} for {len(classes)} classes, "
                f"but go from {low} to {high}"
            )
    return problems
