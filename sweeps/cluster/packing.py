"""What travels with a job: the specification, its data where they are small, and code of one's own.

A relative path starts at the specification's file and travels; an absolute one is a path of the cluster.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from cefl.data.sources import SOURCES
from cefl.errors import CeflError
from cefl.own import find
from sweeps.errors import InputError, Problem, SpecError
from sweeps.own_parts import import_folders, named_parts
from sweeps.spec import LoadedSpec
from sweeps.spec.reading import Path as Place

MOST_BYTES = 100 * 2**20
"""Of all that travels: Ray keeps it in the memory of the head."""

ONE_FILE = "npz"
"""The kind of source that is one file."""

WAY_OUT = "write the absolute path that it has on the cluster"


def pack(loaded: LoadedSpec, folder: Path) -> str:
    """Put what a specification needs into an empty folder; the name of its file there.

    Raises:
        SpecError: If something that it names cannot travel: with every such place, and what to do.
        InputError: If it is too much.
    """
    problems: list[Problem] = []
    files = {*data_files(loaded, problems), *code_files(loaded, problems)}
    if problems:
        raise SpecError(loaded.file, list(dict.fromkeys(problems)))
    size = sum(file.stat().st_size for file in files)
    if size > MOST_BYTES:
        largest = max(files, key=lambda file: file.stat().st_size)
        raise InputError(
            f"{loaded.file}: its files have {size / 2**20:,.0f} MiB, and {MOST_BYTES // 2**20} at most travel"
            f" with a job; put {largest.name} where the cluster reaches it, and write its absolute path there"
        )
    for file in files:
        copy = folder / file.relative_to(loaded.base.resolve())
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    name = Path(loaded.file).name.removesuffix(".yaml") + ".yaml"
    (folder / name).write_text(loaded.shareable, encoding="utf-8")
    return name


def data_files(loaded: LoadedSpec, problems: list[Problem]) -> Iterator[Path]:
    """Data that a relative path names."""
    for place, source in sources(loaded):
        kind, _, path = source.strip().partition(":")
        if kind not in SOURCES or not SOURCES[kind].takes_path or Path(path.strip()).is_absolute():
            continue
        if kind == ONE_FILE:
            yield from inside(loaded, place, loaded.base / path.strip(), problems)
        else:
            text = f"{source}: a folder of images does not travel with a job"
            problems.append(loaded.problem(place, f"{text}; {WAY_OUT}"))


def sources(loaded: LoadedSpec) -> Iterator[tuple[Place, str]]:
    """Place and text of every source of data."""
    for index, entry in enumerate(loaded.spec.data or []):
        yield ("data", index, "source"), entry.source
    for index, cell in enumerate(loaded.spec.cells or []):
        yield ("cells", index, "data"), cell.data.source


def code_files(loaded: LoadedSpec, problems: list[Problem]) -> Iterator[Path]:
    """Modules of one's own, with the packages that they are in, and the folders of `code`."""
    for index, name in enumerate(loaded.spec.code):
        if not Path(name).is_absolute():
            for file in sorted((loaded.base / name).rglob("*.py")):
                yield from inside(loaded, ("code", index), file, problems)
    own = ((place, source) for place, source in sources(loaded) if source.partition(":")[0] not in SOURCES)
    for place, path in (*named_parts(loaded), *own):
        try:
            part = find(path, import_folders(loaded))
        except CeflError as error:
            problems.append(loaded.problem(place, str(error)))
            continue
        base = loaded.base.resolve()
        if part.file is None or not part.file.resolve().is_relative_to(base):
            continue  # Installed, or in a folder of `code`.
        package = base / part.module.partition(".")[0]
        yield from sorted(package.rglob("*.py")) if package.is_dir() else [part.file.resolve()]


def inside(loaded: LoadedSpec, place: Place, path: Path, problems: list[Problem]) -> Iterator[Path]:
    """A file, if it is there and below the folder of the specification."""
    file = path.resolve()
    if not file.is_relative_to(loaded.base.resolve()):
        text = f"{file} is not below the folder of this file, and does not travel; move it there, or"
        problems.append(loaded.problem(place, f"{text} {WAY_OUT}"))
    elif not file.is_file():
        problems.append(loaded.problem(place, f"there is no file {file}"))
    else:
        yield file
