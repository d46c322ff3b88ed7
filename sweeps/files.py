"""The files of a home: written whole or not at all, and never taken for absent when they are damaged."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cefl import plain_json
from cefl.disk import write_whole
from sweeps.errors import DamagedFile, EnvironmentProblem

NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
RESTORE = "bring it back from a backup"


def read_json(path: Path, todo: str = RESTORE, absent: Any = None) -> Any:
    """Content of a JSON file, ``absent`` where there is none.

    Args:
        todo: What is to be done where it is damaged.

    Raises:
        DamagedFile: If it is no JSON, a key stands in it twice, or it is larger or deeper than what this
            program writes.
        EnvironmentProblem: If the system does not give it.
    """
    try:
        return plain_json.read(path)
    except OSError as error:
        if error.errno in NOT_THERE:
            return absent
        raise EnvironmentProblem(f"{path}: cannot be read ({error.strerror or error}); mend that") from None
    except ValueError as error:
        raise DamagedFile(f"{path}: is damaged ({error}); {todo}") from None


def read_object(path: Path, todo: str = RESTORE, values: type | tuple[type, ...] = object) -> dict[str, Any]:
    """The object in a JSON file, empty where there is no file.

    Args:
        values: What each of its values is.

    Raises:
        DamagedFile: As `read_json`, and if it holds something else.
        EnvironmentProblem: As `read_json`.
    """
    found = read_json(path, todo, {})
    if not isinstance(found, dict) or not all(isinstance(each, values) for each in found.values()):
        raise DamagedFile(f"{path}: is damaged (it is not what was written there); {todo}")
    return found


def read_note(path: Path) -> Any:
    """Content of a JSON file that decides nothing by itself; ``None`` also where it cannot be read."""
    try:
        return read_json(path)
    except (DamagedFile, EnvironmentProblem):
        return None


def write_json(path: Path, value: Any) -> None:
    """Write aside and rename."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Likewise."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write aside, sync and rename, so that a reader sees all of it or none; makes the folder.

    Raises:
        OSError: If the disk does not take it; says which file.
    """
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Have an error of writing say which file: that of a full disk does not."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise
