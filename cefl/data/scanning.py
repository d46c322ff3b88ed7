"""Many image files looked at in parallel; every one that cannot be used is kept with its reason."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from cefl.data.images import OTHER_IMAGES, Header, read_header, reason
from cefl.data.listing import ImageFile
from cefl.data.raw import Tick
from cefl.errors import UnreadableImage

BATCH = 512
"""Images handed to the threads at a time, so that a long list of them waits for no memory."""

MAX_THREADS = 16

Result = TypeVar("Result")
Failures = dict[str, str]
"""Reasons by the relative path of the image."""


def in_threads(
    work: Callable[[ImageFile], Result], files: Sequence[ImageFile], tick: Tick | None = None
) -> tuple[list[Result], Failures]:
    """Results in the order of the files, without those that failed, and why these did.

    Threads suffice: Pillow decodes and scales without Python's lock.
    """

    def attempt(file: ImageFile) -> tuple[Result | None, str | None]:
        try:
            return work(file), None
        except Exception as error:  # decoders of damaged files raise anything; all of it is reported
            return None, reason(file.path, error)

    results: list[Result] = []
    failures: Failures = {}
    pool = ThreadPoolExecutor(min(MAX_THREADS, _processors()))
    try:
        for start in range(0, len(files), BATCH):
            batch = files[start : start + BATCH]
            for file, (result, failure) in zip(batch, pool.map(attempt, batch), strict=True):
                if failure is not None:
                    failures[file.relative] = failure
                else:
                    results.append(result)  # type: ignore[arg-type]  # None where the work returns None
                if tick is not None:
                    tick(1)
    finally:  # an interrupt waits for the images in hand, not for the whole batch
        pool.shutdown(cancel_futures=True)
    return results, failures


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def header(file: ImageFile) -> Header:
    """Size and colour of one image, by its header.

    Raises:
        Exception: Whatever is wrong with it.
    """
    if file.size < 0 and os.path.exists(file.path):  # opening a pipe would wait for its other end
        raise ValueError("not a regular file")
    if file.relative.lower().endswith(OTHER_IMAGES):
        raise ValueError("a format that is not read: convert it to PNG or JPEG")
    return read_header(file.path)


def unreadable(files: Sequence[ImageFile], failures: Failures) -> tuple[UnreadableImage, ...]:
    """The failures in the order of the files, for people."""
    return tuple(
        UnreadableImage(file.class_name, printable(file.relative), printable(failures[file.relative]))
        for file in files
        if file.relative in failures
    )


def by_class(images: Sequence[UnreadableImage]) -> str:
    """``'cat' 2, 'dog' 1``: how many of each class, all classes that have any."""
    counts = Counter(image.class_name for image in images)
    return ", ".join(f"{name!r} {count}" for name, count in counts.items())


def printable(text: str) -> str:
    """Text that neither moves a terminal's cursor nor fails to be encoded; file names may hold anything."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text
    )
