"""Lines in the log of a job that carry what a command printed, the files it wrote and how it ended.

A job has one log for all it prints, with lines of Ray's own in it. A frame is a line of its own that begins
with `MARK`; all else is not meant for whoever asked.
"""

from __future__ import annotations

import base64
import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from sweeps.errors import EnvironmentProblem

MARK = "#sweeps "
OUT, ERR, FOLDER, FILES, END = "out", "err", "folder", "files", "end"
CHUNK = 12_000  # Bytes of an archive in one line: Ray sends a log in pieces of 20,000 characters.


def frame(kind: str, value: str | int) -> str:
    """A line of ASCII, with its end."""
    return MARK + json.dumps({kind: value}) + "\n"


def parsed(line: str) -> tuple[str, Any] | None:
    """Kind and value of a frame, ``None`` of any other line."""
    if not line.startswith(MARK):
        return None
    try:
        ((kind, value),) = json.loads(line.removeprefix(MARK)).items()
    except (ValueError, AttributeError):
        return None
    return kind, value


def packed(folder: Path, files: Iterable[Path]) -> Iterator[str]:
    """Frames of an archive of files, named as they lie below a folder."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for file in files:
            archive.add(file, file.relative_to(folder).as_posix(), recursive=False)
    data = content.getvalue()
    for start in range(0, len(data), CHUNK):
        yield frame(FILES, base64.b64encode(data[start : start + CHUNK]).decode())


def unpack(pieces: Iterable[str], folder: Path) -> list[Path]:
    """Write the files of an archive below a folder; nothing leaves it.

    Raises:
        EnvironmentProblem: If the archive is damaged, holds anything but files, or a name leads out of it.
    """
    content = io.BytesIO(b"".join(base64.b64decode(piece) for piece in pieces))
    try:
        with tarfile.open(fileobj=content, mode="r:gz") as archive:
            members = archive.getmembers()
            strange = [each.name for each in members if not each.isfile() or each.name.startswith("/")]
            if strange:
                raise EnvironmentProblem(
                    f"the answer has {strange[0]!r} in it, which is no file to be written"
                )
            folder.mkdir(parents=True, exist_ok=True)
            archive.extractall(folder, members, filter="data")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise EnvironmentProblem(f"the files that came cannot be written to {folder}: {error}") from None
    return sorted(folder / member.name for member in members)


class Lines:
    """Whole lines from text that comes in pieces."""

    def __init__(self) -> None:
        self.rest = ""

    def take(self, text: str) -> list[str]:
        """The lines that are whole now, without their ends."""
        *whole, self.rest = (self.rest + text).split("\n")
        return whole


class Framed(io.StringIO):
    """A stream whose lines become frames on another as soon as they are whole, the last when it is closed."""

    def __init__(self, kind: str, to: TextIO) -> None:
        super().__init__()
        self.kind, self.to, self.lines = kind, to, Lines()

    def write(self, text: str) -> int:
        """Take some text in."""
        for line in self.lines.take(text):
            self.to.write(frame(self.kind, line + "\n"))
        self.to.flush()
        return len(text)

    def close(self) -> None:
        """Send what is left."""
        if not self.closed and self.lines.rest:
            self.to.write(frame(self.kind, self.lines.rest))
            self.to.flush()
        super().close()
