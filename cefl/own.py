"""Losses, models and data sets of the user's own, named by import path: ``package.module:name``.

What is found is known by the SHA-256 of its file and, where it was installed, by its distribution and
version: both are part of a trial's key. What that file imports from others is not looked at. Importing runs
its code.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.metadata
import importlib.util
import re
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cefl.errors import CeflError

PATH = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
TIMM = "timm"
"""``timm:NAME`` is a model of that library."""

_IMPORTED: dict[str, Part] = {}


@dataclass(frozen=True)
class Part:
    """Where an import path leads.

    Attributes:
        file: Source of the module, ``None`` for timm's models.
        digest: What the part is known by, such as ``3f5a... mylosses 1.2``.
    """

    path: str
    file: Path | None
    digest: str

    @property
    def module(self) -> str:
        return self.path.partition(":")[0]

    @property
    def name(self) -> str:
        return self.path.partition(":")[2]


def is_path(text: str) -> bool:
    """Whether a text is written like an import path."""
    return PATH.fullmatch(text) is not None


def find(path: str, folders: Iterable[str] = ()) -> Part:
    """Find a part without importing its module (Python imports the packages around it).

    Args:
        path: Such as ``mypackage.losses:MyLoss``.
        folders: Searched for modules that are not installed; stay on the search path of this Python.

    Raises:
        CeflError: If it is no import path, or there is no such module, or it has no source file.
    """
    if not is_path(path):
        raise CeflError(f"{path!r} is no import path, which is written package.module:name")
    module = path.partition(":")[0]
    for folder in folders:
        if folder not in sys.path:
            sys.path.append(folder)
    importlib.invalidate_caches()
    try:
        spec = importlib.util.find_spec(module)
    except Exception as error:
        raise CeflError(f"{path}: {module} cannot be found: {type(error).__name__}: {error}") from None
    if module == TIMM:
        if spec is None:
            raise CeflError(f"{path}: timm is not installed; `pip install timm`, or `uv add timm`")
        return Part(path, None, f"timm {importlib.metadata.version('timm')}")
    if spec is None:
        searched = ", ".join(folders) or "the search path of Python"
        raise CeflError(f"{path}: there is no module {module} among what is installed, nor in {searched}")
    if spec.origin is None or not spec.origin.endswith(".py"):
        raise CeflError(
            f"{path}: {module} has no source file; name the module that holds {path.partition(':')[2]}"
        )
    file = Path(spec.origin)
    try:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()[:32]
    except OSError as error:
        raise CeflError(f"{path}: {file} cannot be read ({error.strerror})") from None
    return Part(path, file, " ".join([digest, *_distribution(module, file)]))


def _distribution(module: str, file: Path) -> list[str]:
    """Name and version of what the module was installed with."""
    places = {Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib")}
    if not any(file.resolve().is_relative_to(place) for place in places):
        return []
    names = importlib.metadata.packages_distributions().get(module.partition(".")[0], [])
    return [f"{name} {importlib.metadata.version(name)}" for name in sorted(set(names))]


def load(path: str, folders: Iterable[str] = (), digest: str | None = None) -> Any:
    """Import what a path names.

    Args:
        folders: As in `find`.
        digest: What it must be known by.

    Raises:
        CeflError: If it is not found, cannot be imported, or is not what it was.
    """
    part = find(path, tuple(folders))
    if digest is not None and part.digest != digest:
        raise CeflError(
            f"{path}: is {part.digest}, but this trial was planned with {digest}; run the sweep again"
        )
    fresh = part.module not in sys.modules
    try:
        module = importlib.import_module(part.module)
    except Exception as error:
        raise CeflError(
            f"{path}: {part.module} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    before = _IMPORTED.setdefault(part.module, part) if not fresh else part
    _IMPORTED[part.module] = before
    if before.digest != part.digest:
        raise CeflError(f"{path}: {part.file} has changed since this Python imported it; start Python anew")
    if part.module == TIMM:
        return module
    if not hasattr(module, part.name):
        close = difflib.get_close_matches(part.name, dir(module), n=1)
        hint = f"; did you mean {part.module}:{close[0]}?" if close else ""
        raise CeflError(f"{path}: {part.module} has no {part.name}{hint}")
    return getattr(module, part.name)
