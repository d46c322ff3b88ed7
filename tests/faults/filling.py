"""Disks of a few megabytes that are really full, to the last byte, from a moment on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from killing import is_writing


@contextmanager
def mounted(folder: Path, megabytes: int = 48) -> Iterator[Path]:
    """A file system of its own, in memory.

    Raises:
        PermissionError: If this process may not mount one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    asked = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise PermissionError("there is no `mount` here") from None
    if done.returncode:
        raise PermissionError(done.stderr.strip())
    try:
        yield folder
    finally:  # MLflow keeps its databases open to the end of the process.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def read_only(folder: Path, yes: bool = True) -> None:
    """Mount it again, read-only or not."""
    subprocess.run(["mount", "-o", f"remount,{'ro' if yes else 'rw'}", str(folder)], check=True)


def fill(folder: Path) -> None:
    """Leave no byte free on the disk of a folder."""
    ballast = os.open(folder / "ballast", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        for size in (1 << 20, 1 << 12, 1):
            with suppress(OSError):
                while os.write(ballast, bytes(size)):
                    pass
    finally:
        os.close(ballast)


def make_room(folder: Path) -> None:
    """Free what was filled."""
    (folder / "ballast").unlink()


@dataclass
class FillAtWrite:
    """Fills a disk when this process opens a file of a folder to write it, for the ``count``-th time.

    The hook stays in the process, as hooks do, and does nothing after that or once it is over.

    Args:
        part: Of the path of the file.
        disk: What is filled, by default that of the folder.
    """

    folder: Path
    part: str
    count: int = 1
    disk: Path | None = None
    opened: str | None = field(default=None, init=False)
    busy: bool = field(default=False, init=False)

    def __enter__(self) -> FillAtWrite:
        sys.addaudithook(self.hook)
        return self

    def __exit__(self, *_: object) -> None:
        self.count = 0

    def hook(self, event: str, args: tuple[Any, ...]) -> None:
        if self.count <= 0 or self.busy or event != "open" or not is_writing(args):
            return
        path = os.fsdecode(args[0]) if isinstance(args[0], str | bytes) else ""
        if self.part not in path or not path.startswith(str(self.folder)):
            return
        self.count -= 1
        if self.count == 0:
            self.busy, self.opened = True, path
            fill(self.disk or self.folder)
