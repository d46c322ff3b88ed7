"""The source ``folder:PATH``: class folders of images, or train, val and test folders of class folders."""

from __future__ import annotations

import difflib
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cefl.data.images import (
    OTHER_IMAGES,
    Geometry,
    Header,
    common_geometry,
    decode,
    read_header,
    reason,
    strict_decoder,
)
from cefl.data.listing import ImageFile, Listing, list_folder
from cefl.data.raw import Job, Tick, some_names
from cefl.errors import DataError

FAILURES_SHOWN = 20
BATCH = 512
"""Images handed to the threads at a time, so that an interrupt is answered soon."""

MAX_THREADS = 16

Result = TypeVar("Result")
Failures = dict[str, str]
"""Reasons by the relative path of the image."""


@dataclass(frozen=True)
class FolderSource:
    """A folder of images at an absolute path."""

    path: Path

    @property
    def identity(self) -> str:
        return f"folder:{self.path}"

    @property
    def name(self) -> str:
        return self.path.name

    def fingerprint(self) -> str:
        hasher = hashlib.sha256()
        for split, files in self._listing().files.items():
            for file in files:
                line = f"{split}\0{file.relative}\0{file.size}\0{file.modified_ns}\n"
                hasher.update(os.fsencode(line))
        return hasher.hexdigest()

    def read(self) -> FolderRaw:
        listing = self._listing()
        files = [file for split in listing.files.values() for file in split]
        with strict_decoder():
            headers, failures = _in_threads(_header, files)
            if failures:  # one answer for all: those with a good header may still fail to decode
                readable = [file for file in files if file.relative not in failures]
                geometry = Geometry(1, 1, 3, scaled=True)
                failures |= _in_threads(lambda file: decode(file.path, geometry), readable)[1]
                raise _unreadable(self.identity, files, failures)
        geometry = common_geometry(headers)
        numbers = {name: number for number, name in enumerate(listing.classes)}
        labels = {
            split: np.array([numbers[file.class_name] for file in members], dtype=np.int64)
            for split, members in listing.files.items()
        }
        return FolderRaw(
            self.identity,
            listing.classes,
            labels,
            listing.files,
            geometry,
            _notes(listing, headers, geometry),
        )

    def _listing(self) -> Listing:
        if not self.path.is_dir():
            raise DataError(f"{self.identity}: there is no such folder{self._did_you_mean()}")
        return list_folder(self.path)

    def _did_you_mean(self) -> str:
        siblings = [path.name for path in self.path.parent.glob("*") if path.is_dir()]
        close = difflib.get_close_matches(self.path.name, siblings, n=1)
        return f"; did you mean {close[0]!r}?" if close else ""


@dataclass(frozen=True, eq=False)
class FolderRaw:
    """Listed and measured image files, not decoded yet."""

    identity: str
    classes: tuple[str, ...]
    labels: Mapping[str, NDArray[np.int64]]
    files: Mapping[str, Sequence[ImageFile]]
    geometry: Geometry
    notes: tuple[str, ...]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.geometry.height, self.geometry.width, self.geometry.channels

    def write(self, jobs: Sequence[Job], tick: Tick) -> None:
        failures: Failures = {}
        with strict_decoder():
            for job in jobs:
                files = [self.files[job.split][index] for index in job.indices]
                rows = {file.relative: row for row, file in enumerate(files)}

                def put(
                    file: ImageFile, out: NDArray[np.uint8] = job.out, rows: dict[str, int] = rows
                ) -> None:
                    out[rows[file.relative]] = decode(file.path, self.geometry)

                failures |= _in_threads(put, files, tick)[1]
        if failures:
            raise _unreadable(
                self.identity, [file for split in self.files.values() for file in split], failures
            )


def _header(file: ImageFile) -> Header:
    if file.relative.lower().endswith(OTHER_IMAGES):
        raise ValueError("a format that is not read: convert it to PNG or JPEG")
    return read_header(file.path)


def _in_threads(
    work: Callable[[ImageFile], Result], files: Sequence[ImageFile], tick: Tick | None = None
) -> tuple[list[Result], Failures]:
    """Results in the order of the files, without those that failed, and why these did."""

    def attempt(file: ImageFile) -> tuple[Result | None, str | None]:
        try:
            return work(file), None
        except Exception as error:  # decoders of damaged files raise anything; all of it is reported
            return None, reason(file.path, error)

    results: list[Result] = []
    failures: Failures = {}
    with ThreadPoolExecutor(min(MAX_THREADS, _processors())) as pool:
        for start in range(0, len(files), BATCH):
            batch = files[start : start + BATCH]
            for file, (result, failure) in zip(batch, pool.map(attempt, batch), strict=True):
                if failure is not None:
                    failures[file.relative] = failure
                else:
                    results.append(result)  # type: ignore[arg-type]  # None where the work returns None
                if tick is not None:
                    tick(1)
    return results, failures


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _unreadable(place: str, files: Sequence[ImageFile], failures: Failures) -> DataError:
    failed = [file for file in files if file.relative in failures]
    lines = [
        f"class {file.class_name!r}, {file.relative}: {failures[file.relative]}"
        for file in failed[:FAILURES_SHOWN]
    ]
    if len(failed) > FAILURES_SHOWN:
        lines.append(f"and {len(failed) - FAILURES_SHOWN} more")
    head = f"{place}: {len(failed)} of {len(files)} images cannot be read; mend or remove them"
    return DataError("\n  ".join([head, *lines]))


def _notes(listing: Listing, headers: Sequence[Header], geometry: Geometry) -> tuple[str, ...]:
    notes = []
    if geometry.scaled:
        enlarged = sum(min(header.width, header.height) < geometry.width for header in headers)
        notes.append(
            f"shorter side scaled to {geometry.width} px and centre-cropped to a square; {enlarged} of "
            f"{len(headers)} images were smaller"
        )
    if listing.left_out:
        notes.append(
            f"{len(listing.left_out)} files that are no images left out: {some_names(listing.left_out)}"
        )
    return tuple(notes)
