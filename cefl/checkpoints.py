"""Checkpoints that are whole or not there.

A checkpoint is written aside, synced and renamed; its name carries the SHA-256 of its bytes, so that one rename puts
both in place. The previous checkpoint stays until the next one stands. Nothing that carries code is ever loaded.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
from pathlib import Path
from typing import Any

import torch

from cefl.errors import CheckpointError

NAME = re.compile(r"checkpoint-(\d{6})-([0-9a-f]{64})\.pt")


def write_aside(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` so that a reader, or a crash, sees all of it or none."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def save_checkpoint(folder: Path, epoch: int, state: dict[str, Any]) -> Path:
    """Write the state after ``epoch`` finished epochs; the one before it stays, older ones go."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    path = folder / f"checkpoint-{epoch:06d}-{hashlib.sha256(content).hexdigest()}.pt"
    write_aside(path, content)
    for _, older in found(folder)[2:]:
        older.unlink(missing_ok=True)
    return path


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """State of the newest checkpoint whose bytes match its name, ``None`` where there is none.

    Raises:
        CheckpointError: If checkpoints are there and every one of them is damaged.
    """
    candidates = found(folder)
    for _, path in candidates:
        content = path.read_bytes()
        if NAME.fullmatch(path.name)[2] == hashlib.sha256(content).hexdigest():  # type: ignore[index]
            state: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            return state
    if candidates:
        raise CheckpointError(
            f"{folder}: all {len(candidates)} checkpoints are damaged (their SHA-256 does not match their name);"
            " delete them to train this trial from its first epoch"
        )
    return None


def delete_checkpoints(folder: Path) -> None:
    """Remove what only a resume needs."""
    for _, path in found(folder):
        path.unlink(missing_ok=True)


def found(folder: Path) -> list[tuple[int, Path]]:
    """Checkpoints of a folder as (epoch, path), newest first."""
    matches = ((NAME.fullmatch(path.name), path) for path in folder.glob("checkpoint-*.pt"))
    return sorted(((int(match[1]), path) for match, path in matches if match), reverse=True)
