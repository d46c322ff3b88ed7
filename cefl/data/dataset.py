"""A prepared data set: what its folder says, and its arrays, memory-mapped."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cefl import plain_json
from cefl.data.contents import channel_statistics, digest
from cefl.data.raw import SPLITS
from cefl.errors import DataError

VERSION = 1
"""Raised when the same source would be cached differently; caches of another version are prepared anew."""

META = "meta.json"


@dataclass(frozen=True)
class Meta:
    """The contents of ``meta.json``.

    Attributes:
        version: Of the format, see ``VERSION``.
        source: The source in full.
        name: Its short name.
        classes: Names; a label is an index into them.
        digest: SHA-256 over class names, images and labels.
        mean: Per channel, over the training images, where 255 counts as 1.
        std: Likewise; 1 for a channel that never changes.
        image_shape: Height, width, channels.
        counts: Images of each class, by split.
        test_rule: ``given``, or how the test split was drawn.
        notes: What a reader of results should know.
        fingerprint: Of the source when it was read.
    """

    version: int
    source: str
    name: str
    classes: list[str]
    digest: str
    mean: list[float]
    std: list[float]
    image_shape: list[int]
    counts: dict[str, list[int]]
    test_rule: str
    notes: list[str]
    fingerprint: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Arrays:
    """One split: images of shape ``(N, H, W, C)``, uint8, memory-mapped, and labels ``(N,)``, int64."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A prepared data set; see ``Meta`` for what the fields mean."""

    name: str
    classes: tuple[str, ...]
    digest: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    folder: Path
    train: Arrays
    validation: Arrays | None
    test: Arrays
    source: str = ""
    test_rule: str = "given"
    notes: tuple[str, ...] = ()

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        height, width, channels = self.train.images.shape[1:]
        return height, width, channels

    @property
    def splits(self) -> dict[str, Arrays]:
        """The splits that there are, by name: ``train``, ``val``, ``test``."""
        found = {"train": self.train, "val": self.validation, "test": self.test}
        return {name: arrays for name, arrays in found.items() if arrays is not None}

    @property
    def counts(self) -> dict[str, tuple[int, ...]]:
        """Images of each class, by split."""
        return {name: class_totals(arrays.labels, self.num_classes) for name, arrays in self.splits.items()}


def class_totals(labels: NDArray[np.int64], num_classes: int) -> tuple[int, ...]:
    """Number of images of each class."""
    return tuple(np.bincount(labels, minlength=num_classes).tolist())


def open_dataset(folder: Path) -> Dataset:
    """Open what ``prepare`` made; costs no more than a look at the headers.

    Raises:
        DataError: If the folder is not a data set of this version, or is incomplete.
    """
    folder = Path(folder).absolute()
    meta = read_meta(folder)
    if meta.version != VERSION:
        raise _damaged(folder, f"is of version {meta.version}, not {VERSION}")
    splits = {name: _open_split(folder, name, meta) for name in SPLITS if name in meta.counts}
    if not {"train", "test"} <= set(splits):
        raise _damaged(folder, "lacks train or test")
    return Dataset(
        name=meta.name,
        classes=tuple(meta.classes),
        digest=meta.digest,
        mean=tuple(meta.mean),
        std=tuple(meta.std),
        folder=folder,
        train=splits["train"],
        validation=splits.get("val"),
        test=splits["test"],
        source=meta.source,
        test_rule=meta.test_rule,
        notes=tuple(meta.notes),
    )


def verify(folder: Path) -> None:
    """Read every byte of a data set and compare with what was written.

    Raises:
        DataError: If anything differs; names the folder and what to do.
    """
    dataset = open_dataset(folder)
    meta = read_meta(dataset.folder)
    labels_fit = all(
        arrays.labels.min() >= 0 and arrays.labels.max() < dataset.num_classes
        for arrays in dataset.splits.values()
    )
    if not labels_fit or digest_of(dataset.classes, dataset.splits) != dataset.digest:
        raise _damaged(dataset.folder, "does not have the images and labels any more that were written")
    found = {name: list(counts) for name, counts in dataset.counts.items()}
    if (list(meta.mean), list(meta.std), meta.counts) != (
        *map(list, statistics(dataset.train.images)),
        found,
    ):
        raise _damaged(dataset.folder, f"has a {META} that does not fit its images")


def digest_of(classes: tuple[str, ...], splits: Mapping[str, Arrays]) -> str:
    """The digest of opened splits."""
    return digest(classes, {name: (arrays.images, arrays.labels) for name, arrays in splits.items()})


def statistics(images: NDArray[np.uint8]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation to normalise with: a channel that never changes gets 1, so that dividing is safe."""
    mean, std = channel_statistics(images)
    return mean, tuple(value if value > 0 else 1.0 for value in std)


def read_meta(folder: Path) -> Meta:
    """Read and check ``meta.json``.

    Raises:
        DataError: If it is missing or damaged.
    """
    try:
        values = plain_json.read(folder / META)
    except FileNotFoundError as error:
        raise DataError(
            f"{folder}: holds no prepared data set ({META} is missing): prepare the source"
        ) from error
    except (OSError, ValueError) as error:
        raise _damaged(folder, f"has an unreadable {META} ({error})") from error
    names = {field.name for field in fields(Meta)}
    if not isinstance(values, dict) or set(values) != names:
        raise _damaged(folder, f"has a {META} with other keys than {sorted(names)}")
    meta = Meta(**values)
    if not _fits(meta):
        raise _damaged(folder, f"has a {META} with other values than are written there")
    return meta


def _fits(meta: Meta) -> bool:
    """Whether the values are such as are written: a cache may come from another machine."""
    try:
        texts = [meta.source, meta.name, meta.digest, meta.test_rule, meta.fingerprint]
        texts += [*meta.classes, *meta.notes]
        sizes = [meta.version, *meta.image_shape, *chain.from_iterable(meta.counts.values())]
        channels = [*zip(meta.mean, meta.std, strict=True)]
        return (
            all(isinstance(text, str) for text in texts)
            and all(type(size) is int and size >= 0 for size in sizes)
            and all(math.isfinite(mean) and 0 < std < math.inf for mean, std in channels)
            and len(meta.image_shape) == 3
            and len(channels) == meta.image_shape[2]
        )
    except (AttributeError, TypeError, ValueError):
        return False


def _open_split(folder: Path, name: str, meta: Meta) -> Arrays:
    try:
        images = np.load(folder / name / "images.npy", mmap_mode="r", allow_pickle=False)
        labels = np.load(folder / name / "labels.npy", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _damaged(folder, f"cannot be opened ({error})") from error
    total = sum(meta.counts[name])
    expected = (total, *meta.image_shape)
    if (
        images.shape != expected
        or images.dtype != np.uint8
        or labels.shape != (total,)
        or labels.dtype != np.int64
    ):
        raise _damaged(folder, f"has {name} images of shape {images.shape} where {expected} were written")
    labels.flags.writeable = False
    return Arrays(images, labels)


def _damaged(folder: Path, what: str) -> DataError:
    return DataError(f"{folder}: {what}: delete this folder and prepare the source again")
