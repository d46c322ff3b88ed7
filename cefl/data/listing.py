"""Which image files a folder source consists of: layout, classes, and everything that is left out."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cefl.data.images import EXTENSIONS, OTHER_IMAGES
from cefl.data.raw import SPLITS, some_names
from cefl.errors import DataError

SPLIT_FOLDERS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""Names of folders that hold a split rather than a class."""

IGNORED_FOLDERS = ("__MACOSX",)


@dataclass(frozen=True)
class ImageFile:
    """One image file: its path, that below the source (with '/'), its class, and what tells of a change."""

    path: str
    relative: str
    class_name: str
    size: int
    modified_ns: int


@dataclass
class Listing:
    """All image files by split, in an order that is the same on every machine."""

    files: dict[str, list[ImageFile]] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    left_out: list[str] = field(default_factory=list)


def list_folder(root: Path, place: str) -> Listing:
    """Find the images of a folder of class folders, or of ``train/``, ``val/`` and ``test/`` folders of them.

    Hidden files and files that are no images are left out; links are followed.

    Args:
        root: The folder.
        place: The source, for messages.

    Raises:
        DataError: If the folder cannot be read, has no class folders, a class without images, or a class in
            ``val`` or ``test`` that ``train`` lacks.
    """
    listing = Listing()
    try:
        for split, folder in _split_folders(root, place).items():
            names = [entry.name for entry in visible(folder) if entry.is_dir()]
            if not names:
                raise DataError(f"{place}: {folder} must hold a folder for each class, but holds none")
            listing.left_out += [entry.name for entry in visible(folder) if not entry.is_dir()]
            found = {
                name: list(_images(folder / name, root, name, listing.left_out)) for name in _ordered(names)
            }
            _check_classes(place, split, found, listing)
            listing.files[split] = [file for files in found.values() for file in files]
    except OSError as error:
        where = error.filename or root
        raise DataError(
            f"{place}: cannot read {where} ({error.strerror}); check path and permissions"
        ) from error
    return listing


def _check_classes(
    place: str, split: str, found: Mapping[str, Sequence[ImageFile]], listing: Listing
) -> None:
    if split == "train":
        empty = [name for name, files in found.items() if not files]
        if empty:
            raise DataError(
                f"{place}: every class folder needs images ({', '.join(EXTENSIONS)}), but there are none in "
                f"{some_names(empty)}: add images or remove the folder"
            )
        listing.classes = tuple(found)
        return
    unknown = [name for name, files in found.items() if name not in listing.classes and files]
    if unknown:
        raise DataError(
            f"{place}: every class of {split} must be in train too, but train lacks {some_names(unknown)}: "
            "add them to train, or rename or remove them"
        )


def _split_folders(root: Path, place: str) -> dict[str, Path]:
    """The folder of each split; the root itself is ``train`` where it holds class folders directly."""
    names = sorted(entry.name for entry in visible(root) if entry.is_dir())
    splits = [name for name in names if name in SPLIT_FOLDERS]
    others = [name for name in names if name not in SPLIT_FOLDERS]
    if "train" in splits and not others:
        folders: dict[str, Path] = {}
        for name in splits:
            if SPLIT_FOLDERS[name] in folders:
                twice = [name for name in splits if SPLIT_FOLDERS[name] == "val"]
                raise DataError(f"{place}: one validation folder must do, but there are {some_names(twice)}")
            folders[SPLIT_FOLDERS[name]] = root / name
        return {split: folders[split] for split in SPLITS if split in folders}
    if splits and not others:
        raise DataError(f"{place}: {some_names(splits)} without a folder train: add it")
    # A class may be called 'train', like the vehicle, as long as it holds images rather than classes.
    if splits and (splits != ["train"] or any(entry.is_dir() for entry in visible(root / "train"))):
        raise DataError(
            f"{place}: must hold either class folders or train, val and test alone, but {some_names(splits)} "
            f"stand beside {some_names(others)}: move or rename one or the other"
        )
    return {"train": root}


def visible(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder, by name, without hidden files and those that archives of a Mac carry."""
    with os.scandir(folder) as entries:
        return sorted(
            (
                entry
                for entry in entries
                if not entry.name.startswith(".") and entry.name not in IGNORED_FOLDERS
            ),
            key=lambda entry: entry.name,
        )


def _ordered(names: Sequence[str]) -> list[str]:
    """Sorted as text, or by value if all are whole numbers."""
    if all(name.isascii() and name.isdecimal() for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)


def _images(
    folder: Path,
    root: Path,
    class_name: str,
    left_out: list[str],
    above: frozenset[tuple[int, int]] = frozenset(),
) -> Iterator[ImageFile]:
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:  # a link to a folder that it lies in
        return
    for entry in visible(folder):
        if entry.is_dir():
            yield from _images(Path(entry.path), root, class_name, left_out, above | {here})
            continue
        if not entry.name.lower().endswith((*EXTENSIONS, *OTHER_IMAGES)):
            left_out.append(entry.name)
            continue
        relative = Path(entry.path).relative_to(root).as_posix()
        yield ImageFile(entry.path, relative, class_name, *_size_and_time(entry))


def _size_and_time(entry: os.DirEntry[str]) -> tuple[int, int]:
    try:
        status = entry.stat()
    except OSError:  # a link that leads nowhere: reported with the other unreadable images
        return -1, 0
    return (status.st_size if stat.S_ISREG(status.st_mode) else -1), status.st_mtime_ns
