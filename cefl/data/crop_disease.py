"""The source ``crop-disease:PATH``: the crop diseases of AI Challenger 2018, as they were published.

    PATH/AgriculturalDisease_trainingset/images/*.jpg
                                         AgriculturalDisease_train_annotations.json
    PATH/AgriculturalDisease_validationset/images/*.jpg
                                           AgriculturalDisease_validation_annotations.json

An annotation is a list of ``{"disease_class": 0 to 60, "image_id": "name.jpg"}``. The published validation
set is the test split: results are on it (Wang et al. 2020, section IV), and the published test sets have no
labels.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cefl.data.annotation import read_annotation
from cefl.data.folder import did_you_mean
from cefl.data.image_files import ImageFilesRaw, fingerprint, measure
from cefl.data.listing import ImageFile, Listing, visible
from cefl.data.raw import Progress
from cefl.errors import DataError, MissingData

DISEASES: Mapping[str, Sequence[str]] = {
    "apple": ("healthy", "scab*", "frogeye spot", "cedar rust*"),
    "cherry": ("healthy", "powdery mildew*"),
    "corn": ("healthy", "grey leaf spot*", "rust*", "curvularia leaf spot*", "dwarf mosaic virus"),
    "grape": ("healthy", "black rot*", "black measles*", "leaf blight*"),
    "citrus": ("healthy", "greening*"),
    "peach": ("healthy", "bacterial spot*"),
    "pepper": ("healthy", "scab*"),
    "potato": ("healthy", "early blight*", "late blight*"),
    "strawberry": ("healthy", "scorch*"),
    "tomato": (
        "healthy", "powdery mildew*", "bacterial spot*", "early blight*", "late blight*", "leaf mold*",
        "target spot*", "septoria leaf spot*", "spider mite damage*", "YLCV virus*", "mosaic virus",
    ),
}  # fmt: skip
"""Species and their diseases, in the order of the labels; those with a star come in two degrees."""

CLASSES = tuple(
    f"{species} {disease.removesuffix('*')}{degree}"
    for species, diseases in DISEASES.items()
    for disease in diseases
    for degree in ((" general", " serious") if disease.endswith("*") else ("",))
)
"""The 61 classes, by label."""

FOLDERS = {"train": "AgriculturalDisease_trainingset", "test": "AgriculturalDisease_validationset"}
ANNOTATIONS = {
    "train": "AgriculturalDisease_train_annotations.json",
    "test": "AgriculturalDisease_validation_annotations.json",
}


@dataclass(frozen=True)
class CropDiseaseSource:
    """The unpacked archives at an absolute path."""

    path: Path
    name: str = "crop-disease"

    @property
    def identity(self) -> str:
        return f"crop-disease:{self.path}"

    def is_there(self) -> bool:
        return self.path.exists()

    def fingerprint(self) -> str:
        listing, notes = self._listing()
        return fingerprint(listing, *(note.encode() for note in notes))

    def read(self, skip_corrupt: bool = False, progress: Progress | None = None) -> ImageFilesRaw:
        listing, notes = self._listing()
        return measure(self.identity, listing, None, skip_corrupt, notes, progress)

    def _listing(self) -> tuple[Listing, list[str]]:
        """Every annotated image by class and name, without the classes that have none to train on."""
        notes: list[str] = []
        try:
            files = {split: self._files(split, notes) for split in FOLDERS}
        except OSError as error:
            raise DataError(
                f"{self.identity}: cannot be read ({error}); check path and permissions"
            ) from error
        trained = {file.class_name for file in files["train"]}
        for number, name in enumerate(CLASSES):
            if name not in trained:
                lost = sum(file.class_name == name for file in files["test"])
                notes.append(f"class {number} ({name}) left out: no training and {lost} test images")
        kept = {split: [file for file in each if file.class_name in trained] for split, each in files.items()}
        return Listing(kept, tuple(name for name in CLASSES if name in trained)), notes

    def _files(self, split: str, notes: list[str]) -> list[ImageFile]:
        folder = self._folder(split)
        images = folder / "images"
        if not images.is_dir():
            raise DataError(f"{self.identity}: {images} is missing: unpack the whole archive")
        self._refuse_outside(images)
        annotation = self._annotation(folder, split)
        labels, repeated = read_annotation(annotation, len(CLASSES))
        there = {entry.name: entry for entry in visible(images)}
        files = []
        for file, label in sorted(labels.items(), key=lambda item: (item[1], item[0])):
            path, entry = images / file, there.get(file)
            if entry is not None and entry.is_symlink():
                self._refuse_outside(path)
            status = entry.stat() if entry is not None and entry.is_file() else None
            size, time = (status.st_size, status.st_mtime_ns) if status else (-1, 0)
            relative = path.relative_to(self.path).as_posix()
            files.append(ImageFile(str(path), relative, CLASSES[label], size, time))
        if repeated:
            notes.append(f"{annotation.name} names {repeated} images twice; each counts once")
        unnamed = len(there.keys() - labels.keys())
        if unnamed:
            notes.append(f"{unnamed} files in {images.relative_to(self.path)} without a class left out")
        return files

    def _folder(self, split: str) -> Path:
        """The folder of a set, which may lie in a folder of the archive's name."""
        if not self.path.is_dir():
            raise MissingData(
                f"{self.identity}: there is no such folder{did_you_mean(self.path)}; it must hold "
                f"{' and '.join(FOLDERS.values())} of AI Challenger 2018, as unpacked"
            )
        inside = sorted(each for each in self.path.iterdir() if each.is_dir())
        found = [each / FOLDERS[split] for each in (self.path, *inside) if (each / FOLDERS[split]).is_dir()]
        if len(found) != 1:
            said = "is missing" if not found else f"is there {len(found)} times"
            raise DataError(
                f"{self.identity}: {FOLDERS[split]} {said}: the folder must hold "
                f"{' and '.join(FOLDERS.values())} once, as unpacked"
            )
        self._refuse_outside(found[0])
        return found[0]

    def _annotation(self, folder: Path, split: str) -> Path:
        found = sorted(folder.glob("*annotation*.json"))
        if len(found) != 1:
            there = ", ".join(path.name for path in found) or "none"
            raise DataError(
                f"{self.identity}: {folder} must hold one annotation file, {ANNOTATIONS[split]}, but has "
                f"{there}"
            )
        self._refuse_outside(found[0])
        return found[0]

    def _refuse_outside(self, path: Path) -> None:
        """A link in a foreign archive must not show other files of this machine."""
        real = os.path.realpath(path)
        if os.path.commonpath([real, os.path.realpath(self.path)]) != os.path.realpath(self.path):
            raise DataError(
                f"{self.identity}: {path.relative_to(self.path)} is a link that leads out of the folder, to "
                f"{real}: put the files themselves there"
            )
