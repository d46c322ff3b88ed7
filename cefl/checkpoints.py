"""Checkpoints that are whole or not there.

A checkpoint is written aside, synced and renamed; its name carries the SHA-256 of its bytes, so that one
rename puts both in place. The one before it stays, and what is older until the new one has been read back.
Nothing that carries code is ever loaded. A folder belongs to one training at a time.
"""

from __future__ import annotations

import hashlib
import io
import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from cefl.checkpoint_files import ASIDE, NAME, found
from cefl.disk import write_aside
from cefl.errors import CheckpointError, StorageError

LOG = logging.getLogger(__name__)


def save_checkpoint(folder: Path, epoch: int, state: dict[str, Any]) -> Path:
    """Write the state after ``epoch`` finished epochs, and clear the folder of what it makes useless.

    The newest checkpoint of an earlier epoch stays. Others go: older ones, those of this epoch or later ones,
    which were damaged if the training came here again, and what a killed process left half written.

    Raises:
        StorageError: If the disk does not take it, or gives back something else; what was there stays.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    path = folder / f"checkpoint-{epoch:06d}-{hashlib.sha256(content).hexdigest()}.pt"
    write_aside(path, content)
    if _whole_bytes(path) is None:
        raise StorageError(f"{path}: gives back other bytes than were written; mend the disk")
    others = [(other, place) for other, place in found(folder) if place != path]
    previous = next((place for other, place in others if other < epoch), None)
    for useless in [*(place for _, place in others if place != previous), *folder.glob(ASIDE)]:
        useless.unlink(missing_ok=True)
    return path


def load_checkpoint(folder: Path, warn: Callable[[str], None] = LOG.warning) -> dict[str, Any] | None:
    """State of the newest checkpoint whose bytes match its name, ``None`` where there is none.

    Args:
        warn: Told which checkpoints are damaged, and where the training goes on instead.

    Raises:
        CheckpointError: If the newest whole one holds more than tensors and plain values.
    """
    damaged: list[str] = []
    for epoch, path in found(folder):
        content = _whole_bytes(path)
        if content is None:
            damaged.append(path.name)
            continue
        if damaged:
            warn(_told(folder, damaged, f"goes on from epoch {epoch}"))
        try:
            state: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError) as error:
            raise CheckpointError(
                f"{path}: was not written by this program, and is not loaded: it must hold tensors and plain"
                " values only; delete it to train this trial from an earlier epoch"
            ) from error
        return state
    if damaged:
        warn(_told(folder, damaged, "begins with its first epoch"))
    return None


def _told(folder: Path, damaged: list[str], instead: str) -> str:
    names = ", ".join(damaged)
    return f"{folder}: damaged, since the SHA-256 is not the one in the name: {names}; the training {instead}"


def _whole_bytes(path: Path) -> bytes | None:
    """What a checkpoint holds, ``None`` if the disk cannot read it or it does not match its name."""
    match = NAME.fullmatch(path.name)
    try:
        content = path.read_bytes()
    except OSError:
        return None
    return content if match and match[2] == hashlib.sha256(content).hexdigest() else None
