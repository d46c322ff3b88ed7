"""From the text of a source, such as ``npz:data/blood.npz``, to the object that reads it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cefl.data.cifar import CifarSource
from cefl.data.crop_disease import CropDiseaseSource
from cefl.data.digits import DigitsSource
from cefl.data.folder import FolderSource, MushroomSource
from cefl.data.npz import NpzSource
from cefl.data.own import OwnSource
from cefl.data.raw import Source
from cefl.errors import DataError
from cefl.own import is_path


@dataclass(frozen=True)
class Kind:
    """One kind of source: how it is spelled, and what opens it.

    Attributes:
        spelling: For messages and help, such as ``npz:PATH``.
        open: From a path to the source: the one that the spelling has, else the folder of downloads.
    """

    spelling: str
    open: Callable[[Path], Source]

    @property
    def takes_path(self) -> bool:
        return ":" in self.spelling


SOURCES: Mapping[str, Kind] = {
    "digits": Kind("digits", lambda _path: DigitsSource()),
    "cifar10": Kind("cifar10", lambda path: CifarSource("cifar10", path)),
    "cifar100": Kind("cifar100", lambda path: CifarSource("cifar100", path)),
    "mushroom": Kind("mushroom:PATH", MushroomSource),
    "crop-disease": Kind("crop-disease:PATH", CropDiseaseSource),
    "npz": Kind("npz:PATH", NpzSource),
    "folder": Kind("folder:PATH", FolderSource),
}

SPELLINGS = ", ".join(kind.spelling for kind in SOURCES.values())
DOWNLOADS = "downloads"
"""Folder below that of the caches for archives, downloaded or put there."""


def parse_source(source: str, base: Path | None = None, root: Path | None = None) -> Source:
    """The source that a text names; reads nothing.

    Args:
        source: One of ``SPELLINGS``, or an import path, see `cefl.data.own.OwnSource`; ``~`` is the user's
            folder.
        base: What a relative path is relative to, by default the working directory.
        root: Folder of the caches, by default the working directory.

    Raises:
        DataError: If there is no such kind of source, or its path is missing or superfluous.
    """
    name, colon, argument = source.strip().partition(":")
    kind = SOURCES.get(name)
    if kind is None and is_path(source.strip()) and ("." in name or not _close(name)):
        folders = dict.fromkeys(str(folder.resolve()) for folder in (base or Path.cwd(), Path.cwd()))
        return OwnSource(source.strip(), tuple(folders))
    if kind is None:
        raise DataError(_unknown(source.strip(), name, argument, base))
    if kind.takes_path and not argument.strip():
        raise DataError(f"data source {source!r}: the path is missing, write '{kind.spelling}'")
    if not kind.takes_path and colon:
        raise DataError(f"data source {source!r}: '{name}' takes no path, write '{kind.spelling}'")
    return kind.open(
        _absolute(argument.strip(), base) if kind.takes_path else (root or Path.cwd()) / DOWNLOADS
    )


def _absolute(path: str, base: Path | None) -> Path:
    try:
        return ((base or Path.cwd()) / Path(path).expanduser()).resolve()
    except (RuntimeError, OSError, ValueError) as error:  # no such user, a loop of links, a zero byte
        raise DataError(f"path {path!r} cannot be resolved ({error}): write it in full") from error


def _close(name: str) -> list[str]:
    return difflib.get_close_matches(name.lower(), SOURCES, n=1)


def _unknown(source: str, name: str, argument: str, base: Path | None) -> str:
    known = ", ".join(f"'{kind.spelling}'" for kind in SOURCES.values())
    message = f"unknown data source {source!r}: the sources are {known}"
    close = _close(name)
    meant = None
    if not argument and source.lower().endswith(".npz"):
        meant = f"npz:{source}"
    elif close:
        meant = f"{close[0]}:{argument or 'PATH'}" if SOURCES[close[0]].takes_path else close[0]
    elif source and _absolute(source, base).is_dir():
        meant = f"folder:{source}"
    return f"{message}; did you mean {meant!r}?" if meant else message
