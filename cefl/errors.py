"""What this package raises on bad input; every message names place, value, rule and next step.

CeflError (a ValueError)
├── DataError              a source or its cache cannot be used
│   ├── MissingData        a published set is not there and cannot be fetched
│   ├── UnreadableImages   some images of a source are damaged, all of them listed
│   ├── ImbalanceError     a class would be left without images
│   └── SplitError         a validation rule does not fit the data
├── ModelError             a model that cannot be built as asked
├── CheckpointError        a checkpoint that is of another trial, or was not written by this program
└── StorageError           a disk that is full, read-only or broken
    └── CacheNotWritten    where a data cache was to be; a DataError, too
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

IMAGES_SHOWN = 20
"""How many unreadable images a message lists before it says how many more there are."""


class CeflError(ValueError):
    """Root of the package's errors."""


class DataError(CeflError):
    """A data source or its cache cannot be used."""


class MissingData(DataError):
    """A published data set is not there and cannot be fetched; says which file or folder goes where."""


@dataclass(frozen=True)
class UnreadableImage:
    """An image that cannot be used: its class, its path below the source, and why."""

    class_name: str
    file: str
    reason: str


class UnreadableImages(DataError):
    """Every image of a source that cannot be used.

    Attributes:
        images: All of them; the message shows the first.
    """

    def __init__(self, place: str, total: int, images: Sequence[UnreadableImage], listed: str = "") -> None:
        self.place, self.total, self.images = place, total, tuple(images)
        lines = [
            f"{place}: {len(self.images)} of {total} images cannot be read; mend or remove them, or leave "
            "them out with `skip_corrupt: true` beside the source (`data prepare`, `init`: --skip-corrupt)"
        ]
        lines += [
            f"class {image.class_name!r}, {image.file}: {image.reason}" for image in images[:IMAGES_SHOWN]
        ]
        if len(images) > IMAGES_SHOWN:
            lines.append(f"and {len(images) - IMAGES_SHOWN} more{listed}")
        super().__init__("\n  ".join(lines))

    def listed_in(self, path: str) -> UnreadableImages:
        """The same, with the file that holds the whole list."""
        return UnreadableImages(self.place, self.total, self.images, f": {path}")


class ImbalanceError(DataError):
    """The imbalance leaves a class without images."""


class SplitError(DataError):
    """The validation rule does not fit the data."""


class ModelError(CeflError):
    """A model cannot be built as asked."""


class CheckpointError(CeflError):
    """A checkpoint belongs to another trial, or was not written by this program."""


class StorageError(CeflError):
    """A disk does not take what is to be written; says what, how large it is, and how much is free."""


class CacheNotWritten(DataError, StorageError):
    """There is no room for a data cache, or its folder cannot be written."""
