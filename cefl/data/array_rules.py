"""What must hold for images and labels in arrays of MedMNIST's key layout, from a file or a function."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cefl.data.npz_file import Member
from cefl.data.raw import SPLITS
from cefl.errors import DataError

KEYS = tuple(f"{split}_{role}" for split in SPLITS for role in ("images", "labels"))
READ = (*KEYS, "class_names")
CHANNELS = (1, 3, 4)
MOST_IMAGE_BYTES = 1 << 26


def refused(place: str, problems: Sequence[str]) -> DataError:
    """One error for all problems of a source."""
    if len(problems) == 1:
        return DataError(f"{place}: {problems[0]}")
    return DataError("\n  ".join([f"{place}: {len(problems)} problems", *problems]))


def array_problems(members: Mapping[str, Member]) -> list[str]:
    """What is wrong with arrays by their types and shapes alone, once their keys are right."""
    problems = _objects(members.values())
    for split in SPLITS:
        if f"{split}_images" in members:
            images = members[f"{split}_images"]
            problems += _image_problems(images, members["train_images"])
            problems += _label_problems(members[f"{split}_labels"], images)
    return problems + _name_problems(members.get("class_names"))


def wrong_keys(keys: Sequence[str]) -> list[str]:
    """Keys that are missing, and misspelt ones."""
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
    elif math.prod(member.image_shape) > MOST_IMAGE_BYTES:
        problems.append(
            f"{member.key} must have images of at most {MOST_IMAGE_BYTES:,} bytes, "
            f"but has shape {member.shape}"
        )
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


def names(values: NDArray[Any]) -> tuple[str, ...]:
    """The class names as text."""
    return tuple(
        value.decode("utf-8", errors="replace") if isinstance(value, bytes) else value
        for value in values.tolist()
    )


def numbered(labels: Mapping[str, NDArray[Any]], place: str) -> tuple[str, ...]:
    """Classes ``0`` to the largest label; a stray huge label must not make a list of that length."""
    largest = max(int(values.max()) for values in labels.values())
    if largest >= len(labels["train"]):
        raise refused(
            place,
            [
                f"every class needs images to train on, but labels go up to {largest} with "
                f"{len(labels['train'])} training images: number the classes from 0 without gaps"
            ],
        )
    return tuple(str(label) for label in range(max(0, largest) + 1))


def range_problems(labels: Mapping[str, NDArray[Any]], classes: Sequence[str]) -> list[str]:
    """Labels that stand for none of the classes."""
    problems = []
    for split, values in labels.items():
        low, high = int(values.min()), int(values.max())
        if low < 0 or high >= len(classes):
            problems.append(
                f"{split}_labels must lie from 0 to {len(classes) - 1} for {len(classes)} classes, "
                f"but go from {low} to {high}"
            )
    return problems
