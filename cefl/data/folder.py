"""The sources ``folder:PATH`` and ``mushroom:PATH``: a folder of images for each class."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from cefl.data.image_files import ImageFilesRaw, fingerprint, measure
from cefl.data.listing import Listing, list_folder
from cefl.data.raw import Progress, some_names
from cefl.errors import DataError, MissingData

GENERA = (
    "Agaricus", "Amanita", "Boletus", "Cortinarius", "Entoloma", "Hygrocybe", "Lactarius", "Russula",
    "Suillus",
)  # fmt: skip
"""The class folders of the Kaggle set."""

KAGGLE = "maysee/mushrooms-classification-common-genuss-images on Kaggle"

MUSHROOM_TEST = 300
"""Random images of every class that Wang et al. 2020 test on."""


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

    def is_there(self) -> bool:
        return self.path.exists()

    def fingerprint(self) -> str:
        return fingerprint(self._listing())

    def read(self, skip_corrupt: bool = False, progress: Progress | None = None) -> ImageFilesRaw:
        return measure(self.identity, self._listing(), None, skip_corrupt, (), progress)

    def _listing(self) -> Listing:
        if not self.path.is_dir():
            raise DataError(f"{self.identity}: there is no such folder{did_you_mean(self.path)}")
        return list_folder(self.path, self.identity)


@dataclass(frozen=True)
class MushroomSource:
    """The nine genera of the Kaggle mushroom set at an absolute path, as Wang et al. 2020 use them."""

    path: Path
    name: str = "mushroom"

    @property
    def identity(self) -> str:
        return f"mushroom:{self.path}"

    def is_there(self) -> bool:
        return self.path.exists()

    def fingerprint(self) -> str:
        return fingerprint(self._listing())

    def read(self, skip_corrupt: bool = False, progress: Progress | None = None) -> ImageFilesRaw:
        return measure(self.identity, self._listing(), MUSHROOM_TEST, skip_corrupt, (), progress)

    def _listing(self) -> Listing:
        if not self.path.is_dir():
            raise MissingData(
                f"{self.identity}: there is no such folder{did_you_mean(self.path)}; it must hold the class "
                f"folders of {KAGGLE}: {', '.join(GENERA)}"
            )
        found = {entry.name for entry in self.path.iterdir() if entry.is_dir()}
        if not found & set(GENERA):
            inside = sorted(name for name in found if (self.path / name / GENERA[0]).is_dir())
            if inside:
                raise DataError(
                    f"{self.identity}: the genera lie one folder deeper: write "
                    f"'mushroom:{self.path / inside[0]}'"
                )
        listing = list_folder(self.path, self.identity)
        if set(listing.classes) != set(GENERA):
            raise DataError(f"{self.identity}: {_differences(listing.classes)}")
        return listing


def _differences(classes: tuple[str, ...]) -> str:
    missing = [name for name in GENERA if name not in classes]
    extra = [name for name in classes if name not in GENERA]
    parts = ["the class folders must be the nine genera of the Kaggle set"]
    parts += [f"missing: {some_names(missing)}"] if missing else []
    parts += [f"not among them: {some_names(extra)}"] if extra else []
    advice = (
        "mend the folders, or take any other set of class folders as 'folder:PATH' with "
        f"`test_per_class: {MUSHROOM_TEST}`"
    )
    return "; ".join([*parts, advice])


def did_you_mean(path: Path) -> str:
    """A folder beside the one that is not there whose name is close to it, as a question."""
    siblings = [each.name for each in path.parent.glob("*") if each.is_dir()]
    close = difflib.get_close_matches(path.name, siblings, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
