"""Listed image files as a ``Raw``: measured by their headers, decoded where they go in the cache."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from cefl.data.images import Geometry, Header, common_geometry, decode, strict_decoder
from cefl.data.listing import ImageFile, Listing
from cefl.data.raw import Job, Progress, Reduced, Tick, some_names
from cefl.data.scanning import Failures, by_class, header, in_threads, unreadable
from cefl.errors import UnreadableImage, UnreadableImages

Decoded = Mapping[str, NDArray[np.uint8]]
"""Images that have been decoded before, by their relative path."""


@dataclass(frozen=True, eq=False)
class ImageFilesRaw:
    """Image files of every split, some of them perhaps left out, not decoded yet.

    Attributes:
        identity: Of the source, for messages.
        files: By split, in the order of the labels.
        headers: By relative path.
        skip_corrupt: Whether images that turn out to be unreadable are left out, or refused.
        left_out: What has been left out so far.
        decoded: What need not be decoded again.
    """

    identity: str
    classes: tuple[str, ...]
    files: Mapping[str, Sequence[ImageFile]]
    headers: Mapping[str, Header]
    geometry: Geometry
    test_per_class: int | None
    skip_corrupt: bool
    left_out: tuple[UnreadableImage, ...] = ()
    other_notes: tuple[str, ...] = ()
    decoded: Decoded = field(default_factory=dict)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.geometry.height, self.geometry.width, self.geometry.channels

    @property
    def labels(self) -> Mapping[str, NDArray[np.int64]]:
        numbers = {name: number for number, name in enumerate(self.classes)}
        return {
            split: np.array([numbers[file.class_name] for file in members], dtype=np.int64)
            for split, members in self.files.items()
        }

    @property
    def notes(self) -> tuple[str, ...]:
        notes = []
        if self.geometry.scaled:
            side = self.geometry.width
            enlarged = sum(min(each.width, each.height) < side for each in self.headers.values())
            notes.append(
                f"shorter side scaled to {side} px and centre-cropped to a square; {enlarged} of "
                f"{len(self.headers)} images were smaller"
            )
        if self.left_out:
            total = len(self.headers) + len(self.left_out)
            notes.append(
                f"unreadable images left out: {by_class(self.left_out)} ({len(self.left_out)} of {total})"
            )
        return (*notes, *self.other_notes)

    def write(self, jobs: Sequence[Job], tick: Tick) -> None:
        failures: Failures = {}
        written: dict[str, NDArray[np.uint8]] = {}
        with strict_decoder():
            for job in jobs:
                files = [self.files[job.split][index] for index in job.indices]
                rows = {file.relative: job.out[row] for row, file in enumerate(files)}
                written |= rows

                def put(file: ImageFile, rows: dict[str, NDArray[np.uint8]] = rows) -> None:
                    before = self.decoded.get(file.relative)
                    rows[file.relative][:] = decode(file.path, self.geometry) if before is None else before

                failures |= in_threads(put, files, tick)[1]
        if failures and self.skip_corrupt:
            raise Reduced(self._without(failures, written))
        if failures:
            raise UnreadableImages(self.identity, len(self._all), unreadable(self._all, failures))

    @property
    def _all(self) -> list[ImageFile]:
        return [file for split in self.files.values() for file in split]

    def _without(self, failures: Failures, written: Decoded) -> ImageFilesRaw:
        """The same as if these files had never been there."""
        headers = {name: value for name, value in self.headers.items() if name not in failures}
        left_out = (*self.left_out, *unreadable(self._all, failures))
        if not headers:
            raise UnreadableImages(self.identity, len(left_out), left_out)
        geometry = common_geometry(list(headers.values()))
        return replace(
            self,
            files=_kept(self.files, failures),
            headers=headers,
            geometry=geometry,
            left_out=left_out,
            decoded=written if geometry == self.geometry else {},
        )


def measure(
    identity: str,
    listing: Listing,
    test_per_class: int | None,
    skip_corrupt: bool,
    notes: Sequence[str],
    progress: Progress | None,
) -> ImageFilesRaw:
    """Read the headers of all listed files and settle what every image becomes.

    Args:
        identity: Of the source, for messages.
        listing: What there is.
        test_per_class: See ``Raw``.
        skip_corrupt: Leave out files with an unreadable header instead of refusing all.
        notes: What else to say about the source.
        progress: Called with images done and to do while all others are decoded to complete a refusal.

    Raises:
        UnreadableImages: With every file that cannot be used; also if no file can.
    """
    files = [file for split in listing.files.values() for file in split]
    with strict_decoder():
        found, failures = in_threads(lambda file: (file.relative, header(file)), files)
        if failures and (not skip_corrupt or not found):
            failures |= _undecodable([file for file in files if file.relative not in failures], progress)
            raise UnreadableImages(identity, len(files), unreadable(files, failures))
    if listing.left_out:
        others = f"{len(listing.left_out)} files that are no images left out: {some_names(listing.left_out)}"
        notes = (others, *notes)
    headers = dict(found)
    return ImageFilesRaw(
        identity=identity,
        classes=listing.classes,
        files=_kept(listing.files, failures),
        headers=headers,
        geometry=common_geometry(list(headers.values())),
        test_per_class=test_per_class,
        skip_corrupt=skip_corrupt,
        left_out=unreadable(files, failures),
        other_notes=tuple(notes),
    )


def _undecodable(files: Sequence[ImageFile], progress: Progress | None) -> Failures:
    """What is wrong with files whose headers are good, so that one answer names all of a source."""
    done = 0

    def tick(images: int) -> None:
        nonlocal done
        done += images
        if progress is not None:
            progress(done, len(files))

    small = Geometry(1, 1, 3, scaled=True)
    return in_threads(lambda file: decode(file.path, small), files, tick)[1]


def _kept(files: Mapping[str, Sequence[ImageFile]], failures: Failures) -> dict[str, list[ImageFile]]:
    return {
        split: [file for file in members if file.relative not in failures] for split, members in files.items()
    }


def fingerprint(listing: Listing, *more: bytes) -> str:
    """Of names, sizes and times of all files, and of what else decides."""
    hasher = hashlib.sha256()
    for split, files in listing.files.items():
        for file in files:
            line = f"{split}\0{file.relative}\0{file.size}\0{file.modified_ns}\n"
            hasher.update(os.fsencode(line))
    for each in more:
        hasher.update(each)
    return hasher.hexdigest()
