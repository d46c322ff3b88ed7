"""Which files are checkpoints, for whoever lists or removes them without loading torch."""

from __future__ import annotations

import re
from pathlib import Path

NAME = re.compile(r"checkpoint-(\d{6})-([0-9a-f]{64})\.pt")
ASIDE = ".checkpoint-*.tmp"


def delete_checkpoints(folder: Path) -> None:
    """Remove what only a resume needs."""
    for path in [*(place for _, place in found(folder)), *folder.glob(ASIDE)]:
        path.unlink(missing_ok=True)


def found(folder: Path) -> list[tuple[int, Path]]:
    """Checkpoints of a folder as (epoch, path), newest first."""
    matches = ((NAME.fullmatch(path.name), path) for path in folder.glob("checkpoint-*.pt"))
    return sorted(((int(match[1]), path) for match, path in matches if match), reverse=True)
