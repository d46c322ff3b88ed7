"""What a source has to offer to be cached: the protocol behind every entry of ``cefl.data.sources.SOURCES``.

A new source is a class with ``identity``, ``name``, ``fingerprint()`` and ``read()``. If its images fit into
memory, ``read()`` returns an ``ArrayRaw`` and is done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from unicodedata import category

import numpy as np
from numpy.typing import NDArray

from cefl.errors import DataError, UnreadableImage

SPLITS = ("train", "val", "test")
"""The names of the splits, in the order in which they are stored and digested."""

UNSEEN, JOINERS = ("Cc", "Cf", "Cs", "Zl", "Zp"), "\u200c\u200d"
"""Categories of Unicode: controls, formats, halves of pairs, separators; and formats that letters need."""

NAMES_SHOWN = 10
"""How many class names a message lists before it says how many more there are."""

Tick = Callable[[int], None]
"""Called with the number of images that have just been written."""

Progress = Callable[[int, int], None]
"""Called with the images done and the images to do."""


@dataclass(frozen=True, eq=False)
class Job:
    """Images to be written: those of one split of the source, at ``indices``.

    Attributes:
        split: Split of the source that the images come from.
        indices: Shape ``(N,)``, ascending positions in that split.
        out: Shape ``(N, H, W, C)``, uint8, where they go.
    """

    split: str
    indices: NDArray[np.int64]
    out: NDArray[np.uint8]


class Raw(Protocol):
    """A source whose labels and shapes are known and whose images are yet to be written."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; a label is an index into them."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""

    @property
    def labels(self) -> Mapping[str, NDArray[np.int64]]:
        """Labels of each split that the source has: ``train``, and perhaps ``val`` and ``test``."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader of a result should know about how the source was read."""

    @property
    def left_out(self) -> tuple[UnreadableImage, ...]:
        """Images that were left out because they cannot be read."""

    @property
    def test_per_class(self) -> int | None:
        """Images of each class to draw as a test split where there is none; ``None``: a share."""

    def write(self, jobs: Sequence[Job], tick: Tick) -> None:
        """Write the images of all jobs.

        Raises:
            DataError: If images cannot be read; one error for all of them.
            Reduced: If what cannot be read is to be left out: the rest is to be laid out anew.
        """


class Reduced(Exception):
    """Images turned out to be unreadable and are left out.

    Attributes:
        raw: What remains.
    """

    def __init__(self, raw: Raw) -> None:
        super().__init__("images were left out")
        self.raw = raw


class Source(Protocol):
    """Where a data set comes from, as ``prepare`` needs it."""

    @property
    def identity(self) -> str:
        """The source in full, paths absolute: what distinguishes its cache from another's."""

    @property
    def name(self) -> str:
        """Short name for people."""

    def is_there(self) -> bool:
        """Whether there is anything to read; a complete cache serves without it."""

    def fingerprint(self) -> str:
        """Something cheap to compute that changes whenever the source does."""

    def read(self, skip_corrupt: bool = False, progress: Progress | None = None) -> Raw:
        """Labels, classes and image shape; images only as far as that takes.

        Args:
            skip_corrupt: Leave images out that cannot be read, instead of refusing the source.
            progress: Called with the images done and the images to do, where reading takes long.
        """


@dataclass(frozen=True, eq=False)
class ArrayRaw:
    """A ``Raw`` whose images are in memory: shape ``(N, H, W, C)``, uint8, per split."""

    classes: tuple[str, ...]
    images: Mapping[str, NDArray[np.uint8]]
    labels: Mapping[str, NDArray[np.int64]]
    notes: tuple[str, ...] = ()
    left_out: tuple[UnreadableImage, ...] = ()
    test_per_class: int | None = None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        height, width, channels = self.images["train"].shape[1:]
        return height, width, channels

    def write(self, jobs: Sequence[Job], tick: Tick) -> None:
        for job in jobs:
            job.out[:] = self.images[job.split][job.indices]
            tick(len(job.indices))


def some_names(names: Sequence[str]) -> str:
    """``'a', 'b' and 3 more``: the start of a list of names, for a message."""
    shown = ", ".join(repr(name) for name in names[:NAMES_SHOWN])
    more = len(names) - NAMES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def legible(name: str) -> str:
    """A class name with escapes for what moves a cursor, turns the order of letters, or cannot be seen.

    What joins letters (U+200C, U+200D) stays, since languages need it.
    """
    return "".join(
        letter.encode("unicode_escape").decode()
        if category(letter) in UNSEEN and letter not in JOINERS
        else letter
        for letter in name
    )


def check_raw(raw: Raw, place: str) -> tuple[str, ...]:
    """Check that a model can be trained and tested on what a source offers.

    Args:
        raw: What was read.
        place: Name of the source, for the message.

    Returns:
        Notes on classes that are absent from ``val`` or ``test``.

    Raises:
        DataError: With fewer than two classes, class names that repeat or are empty, or a class without
            images to train on.
    """
    if len(raw.classes) < 2:
        raise DataError(
            f"{place}: `at least 2 classes` must hold, but there is {some_names(raw.classes) or 'none'}"
        )
    distinct = set(map(legible, raw.classes))
    if any(not name.strip() for name in raw.classes) or len(distinct) < len(raw.classes):
        raise DataError(f"{place}: class names must be unique and not empty, but are {list(raw.classes)}")
    notes = []
    for split, labels in raw.labels.items():
        counts = np.bincount(labels, minlength=len(raw.classes))
        absent = [name for name, count in zip(raw.classes, counts, strict=True) if count == 0]
        if not absent:
            continue
        if split == "train":
            raise DataError(
                f"{place}: every class needs images to train on, but train has none of {some_names(absent)}: "
                "add images, or remove the class everywhere"
            )
        if len(absent) == len(raw.classes):
            raise DataError(f"{place}: {split} has no images: add some, or leave {split} out")
        notes.append(f"{split} has no images of {some_names(absent)}")
    return tuple(notes)
