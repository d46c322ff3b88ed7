"""Folders that are written aside and then take the place of what is there: never half of one."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sweeps.errors import EnvironmentProblem, InputError


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A new folder to write into, which takes the place of ``folder`` once it is whole."""
    aside = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
    try:
        aside.mkdir(parents=True)
        yield aside
        if folder.exists():
            shutil.rmtree(folder)
        aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def writing_out(folder: Path, force: bool) -> Iterator[Path]:
    """The same for a folder that an option ``--out`` names.

    Raises:
        InputError: If it is there, without ``force``.
        EnvironmentProblem: If it cannot be written.
    """
    check_free(folder, force)
    try:
        with replacing(folder) as aside:
            yield aside
    except OSError as error:
        raise EnvironmentProblem(
            f"{folder}: cannot be written ({error.strerror}); choose another --out"
        ) from None


def check_free(folder: Path, force: bool) -> None:
    """Refuse a folder that is there, unless it is to be replaced.

    Raises:
        InputError: If so.
    """
    if folder.exists() and not force:
        raise InputError(f"{folder}: is there already; --force replaces it, --out names another")
