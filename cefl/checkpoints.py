"""Checkpoints that are whole or not there.

A checkpoint is written aside, synced and renamed; its name carries the SHA-256 of its bytes, so that one
rename puts both in place. The previous checkpoint stays until the next one stands. Nothing that carries code
is ever loaded. A folder belongs to one training at a time.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import re
from pathlib import Path
from typing import Any

import torch

from cefl.errors import CheckpointError

NAME = re.compile(r"checkpoint-(\d{6})-([0-9a-f]{64})\.pt")
ASIDE = ".checkpoint-*.tmp"


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
    """Write the state after ``epoch`` finished epochs, and clear the folder of what it makes useless.

    The newest checkpoint of an earlier epoch stays. Others go: older ones, those of this epoch or later ones,
    which were damaged if the training came here again, and what a killed process left half written.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    path = folder / f"checkpoint-{epoch:06d}-{hashlib.sha256(content).hexdigest()}.pt"
    write_aside(path, content)
    others = [(other, place) for other, place in found(folder) if place != path]
    previous = next((place for other, place in others if other < epoch), None)
    for useless in [*(place for _, place in others if place != previous), *folder.glob(ASIDE)]:
        useless.unlink(missing_ok=True)
    return path


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """State of the newest checkpoint whose bytes match its name, ``None`` where there is no checkpoint.

    Raises:
        CheckpointError: If checkpoints are there and every one of them is damaged, or the newest whole one
            holds more than tensors and plain values.
    """
    candidates = found(folder)
    for _, path in candidates:
        content = _whole_bytes(path)
        if content is None:
            continue
        try:
            state: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError) as error:
            raise CheckpointError(
                f"{path}: was not written by this program, and is not loaded: it must hold tensors and plain"
                " values only; delete it to train this trial from an earlier epoch"
            ) from error
        return state
    if candidates:
        raise CheckpointError(
            f"{folder}: all {len(candidates)} checkpoints are damaged (their SHA-256 does not match their"
            " name); delete them to train this trial from its first epoch"
        )
    return None


def delete_checkpoints(folder: Path) -> None:
    """Remove what only a resume needs."""
    for path in [*(place for _, place in found(folder)), *folder.glob(ASIDE)]:
        path.unlink(missing_ok=True)


def found(folder: Path) -> list[tuple[int, Path]]:
    """Checkpoints of a folder as (epoch, path), newest first."""
    matches = ((NAME.fullmatch(path.name), path) for path in folder.glob("checkpoint-*.pt"))
    return sorted(((int(match[1]), path) for match, path in matches if match), reverse=True)


def _whole_bytes(path: Path) -> bytes | None:
    """What a checkpoint holds, ``None`` if the disk cannot read it or it does not match its name."""
    match = NAME.fullmatch(path.name)
    try:
        content = path.read_bytes()
    except OSError:
        return None
    return content if match and match[2] == hashlib.sha256(content).hexdigest() else None
