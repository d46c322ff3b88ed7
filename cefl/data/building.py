"""Writes the cache of a source aside and gives it its name when it is complete.

Several processes may build one cache at once, each in a folder of its own: the first to finish gives the
cache its name, the others discard theirs. Whoever is killed leaves a hidden folder, removed after a day.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cefl.data.dataset import (
    META,
    VERSION,
    Arrays,
    Meta,
    class_totals,
    digest_of,
    open_dataset,
    read_meta,
    statistics,
)
from cefl.data.heldout import hold_out_test
from cefl.data.raw import SPLITS, Job, Progress, Raw, Reduced, Source, check_raw, legible
from cefl.data.storing import new_image_file, save, sync
from cefl.disk import NO_ROOM, free_at
from cefl.errors import IMAGES_SHOWN, CacheNotWritten, DataError, UnreadableImage, UnreadableImages

LEFT_OUT = "left-out.json"
BUILDING, REPLACED = ".building-", ".replaced-"
STALE_SECONDS = 24 * 3600
RENAME_ATTEMPTS = 20
TAKEN = (errno.EEXIST, errno.ENOTEMPTY)


@dataclass(frozen=True, eq=False)
class Part:
    """A split to be stored: positions in a split of the source, ascending."""

    source_split: str
    indices: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Layout:
    """The splits to be stored, how the test split came about, and what to say about it."""

    parts: Mapping[str, Part]
    test_rule: str
    notes: tuple[str, ...]


def build(
    source: Source,
    target: Path,
    fingerprint: str,
    test_per_class: int | None,
    skip_corrupt: bool,
    progress: Progress | None,
) -> None:
    """Read a source and leave its cache at ``target``, or nothing at all.

    Args:
        source: What to read.
        target: The folder that the cache becomes; an outdated one there is replaced.
        fingerprint: Of the source, taken before; if it differs after reading, the cache is discarded.
        test_per_class: See ``prepare``.
        skip_corrupt: See ``prepare``.
        progress: See ``prepare``.

    Raises:
        DataError: If the source cannot be read, changes meanwhile, or the cache cannot be written.
    """
    listed = target.with_name(f"{target.name}.unreadable.json")
    try:
        raw = source.read(skip_corrupt, progress)
        while True:
            try:
                _build(source, raw, target, fingerprint, test_per_class, progress)
                break
            except Reduced as reduced:
                raw = reduced.raw
    except UnreadableImages as error:
        if len(error.images) <= IMAGES_SHOWN or not _list(error.images, listed):
            raise
        raise error.listed_in(str(listed)) from None
    listed.unlink(missing_ok=True)


def _build(
    source: Source,
    raw: Raw,
    target: Path,
    fingerprint: str,
    test_per_class: int | None,
    progress: Progress | None,
) -> None:
    notes = (*raw.notes, *check_raw(raw, source.identity))
    layout = _layout(raw, test_per_class, source.identity)
    work = target.parent / f"{BUILDING}{target.name}-{uuid.uuid4().hex}"
    try:
        work.mkdir(parents=True)
        _remove_stale(target.parent)
        splits = _write_splits(raw, layout, work, progress)
        if raw.left_out:
            save(work / LEFT_OUT, _as_json(raw.left_out))
        meta = _describe(source, raw, splits, layout.test_rule, (*notes, *layout.notes), fingerprint)
        save(work / META, json.dumps(meta.as_json(), indent=1).encode("ascii") + b"\n")
        sync(work)
        if source.fingerprint() != fingerprint:
            raise DataError(
                f"{source.identity}: changed while it was read: prepare it again when it is at rest"
            )
        _publish(work, target, fingerprint)
    except OSError as error:
        raise _cannot_write(target.parent, error) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _as_json(images: Sequence[UnreadableImage]) -> bytes:
    return json.dumps([asdict(image) for image in images], indent=1).encode("ascii") + b"\n"


def _list(images: Sequence[UnreadableImage], path: Path) -> bool:
    """Write the whole list beside the caches, unless that cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_as_json(images))
    except OSError:
        return False
    return True


def is_current(target: Path, fingerprint: str | None) -> bool:
    """Whether a complete cache of this version, made from the source as it is now, is there.

    Args:
        target: Its folder.
        fingerprint: Of the source as it is now; ``None`` where it is gone, so that any cache of it serves.
    """
    try:
        meta = read_meta(target)
        if meta.version != VERSION or fingerprint not in (None, meta.fingerprint):
            return False
        open_dataset(target)
    except DataError:
        return False
    return True


def _layout(raw: Raw, test_per_class: int | None, place: str) -> Layout:
    parts = {split: Part(split, np.arange(len(raw.labels[split]))) for split in SPLITS if split in raw.labels}
    if "test" not in parts:
        drawn = raw.test_per_class if test_per_class is None else test_per_class
        held_out = hold_out_test(raw.labels["train"], classes_of(raw), drawn, place)
        parts |= {"train": Part("train", held_out.train), "test": Part("train", held_out.test)}
        return Layout(parts, held_out.rule, held_out.notes)
    if test_per_class is not None:
        raise DataError(
            f"{place}: `test_per_class` needs a source without a test split, but got {test_per_class} "
            f"and a test split of {len(raw.labels['test'])} images: leave it out"
        )
    return Layout(parts, "given", ())


def _write_splits(raw: Raw, layout: Layout, work: Path, progress: Progress | None) -> dict[str, Arrays]:
    """Write images and labels of every split, and open them again in the order of ``SPLITS``."""
    total = sum(len(part.indices) for part in layout.parts.values())
    done = 0

    def tick(images: int) -> None:
        nonlocal done
        done += images
        if progress is not None and images:
            progress(done, total)

    with ExitStack() as stack:
        jobs = []
        for name, part in layout.parts.items():
            (work / name).mkdir()
            save(work / name / "labels.npy", raw.labels[part.source_split][part.indices])
            shape = (len(part.indices), *raw.image_shape)
            out = stack.enter_context(new_image_file(work / name / "images.npy", shape))
            jobs.append(Job(part.source_split, part.indices, out))
        raw.write(jobs, tick)
    for name in layout.parts:
        sync(work / name)
    return {
        name: Arrays(np.load(work / name / "images.npy", mmap_mode="r"), np.load(work / name / "labels.npy"))
        for name in SPLITS
        if name in layout.parts
    }


def classes_of(raw: Raw) -> tuple[str, ...]:
    """Names of the classes as they are kept and shown from here on."""
    return tuple(map(legible, raw.classes))


def _describe(
    source: Source,
    raw: Raw,
    splits: dict[str, Arrays],
    test_rule: str,
    notes: Sequence[str],
    fingerprint: str,
) -> Meta:
    mean, std = statistics(splits["train"].images)
    return Meta(
        version=VERSION,
        source=source.identity,
        name=source.name,
        classes=list(classes_of(raw)),
        digest=digest_of(classes_of(raw), splits),
        mean=list(mean),
        std=list(std),
        image_shape=list(raw.image_shape),
        counts={name: list(class_totals(arrays.labels, len(raw.classes))) for name, arrays in splits.items()},
        test_rule=test_rule,
        notes=list(notes),
        fingerprint=fingerprint,
    )


def _publish(work: Path, target: Path, fingerprint: str) -> None:
    """Give a complete cache its name, unless another process was faster with the same."""
    for _ in range(RENAME_ATTEMPTS):
        try:
            os.rename(work, target)
        except OSError as error:
            if error.errno not in TAKEN:
                raise
        else:
            sync(target.parent)
            return
        if is_current(target, fingerprint):
            return
        aside = target.parent / f"{REPLACED}{target.name}-{uuid.uuid4().hex}"
        try:
            os.rename(target, aside)
        except FileNotFoundError:  # another process has just put it aside too
            continue
        shutil.rmtree(aside, ignore_errors=True)  # who has it open goes on reading
    raise DataError(
        f"{target}: other processes keep replacing this cache: prepare the source when they are done"
    )


def _remove_stale(root: Path) -> None:
    """Remove what builds left that were killed more than a day ago."""
    oldest = time.time() - STALE_SECONDS
    for folder in root.glob(".*"):
        if not folder.name.startswith((BUILDING, REPLACED)):
            continue
        try:
            latest = max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
        except OSError:  # goes away just now
            continue
        if latest < oldest:
            shutil.rmtree(folder, ignore_errors=True)


def _cannot_write(root: Path, error: OSError) -> DataError:
    if error.errno in NO_ROOM:
        return CacheNotWritten(
            f"{root}: no room for the cache ({error.strerror}, {free_at(root)}): free some, or choose another"
            " folder"
        )
    return CacheNotWritten(
        f"{root}: the cache cannot be written ({error.strerror or error}): choose a writable folder"
    )
