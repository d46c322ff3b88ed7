"""The folder of one trial on the driver's side: its rows, as they came, and its result."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cefl.config import TrialConfig
from sweeps.errors import DamagedFile
from sweeps.files import naming, read_json, write_json

HISTORY, RESULT = "history.jsonl", "result.json"
SPLIT_NAMES = {"validation": "val", "test": "test"}
PARTS = {"state", "sweep", "epochs", "seconds", "metrics", "config"}
"""What every result has."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Found:
    """What can be read of a history.

    Attributes:
        rows: Those before the damage, where there is any.
        ends: Where in the file each of them ends, in bytes.
        damage: The line that is not what was written; ``None``: all of them are.
    """

    rows: list[Row]
    ends: list[int]
    damage: int | None = None


def found_in(folder: Path) -> Found:
    """What can be read of a trial's history; a last line that a crash has torn is no damage, and left out."""
    try:
        content = (folder / HISTORY).read_bytes()
    except FileNotFoundError:
        return Found([], [])
    rows: list[Row] = []
    ends: list[int] = []
    for number, line in enumerate(content.split(b"\n")[:-1], 1):
        row = _row(line)
        if row is None:
            return Found(rows, ends, number)
        rows.append(row)
        ends.append(len(line) + 1 + (ends[-1] if ends else 0))
    return Found(rows, ends)


def _row(line: bytes) -> Row | None:
    """The row of a line, ``None`` if it is not one that was written."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or not isinstance(row.get("metrics"), dict):
        return None
    numbers = (row.get("epoch"), row.get("timestamp"), *row["metrics"].values())
    return row if all(isinstance(each, int | float) for each in numbers) else None


def read_history(folder: Path, sweep: str = "NAME") -> list[Row]:
    """The rows of a trial, one an epoch; a last line that a crash has torn is left out.

    Args:
        sweep: One that has the trial, to be named in what is to be done.

    Raises:
        DamagedFile: If another line is not what was written.
    """
    found = found_in(folder)
    if found.damage is not None:
        raise DamagedFile(
            f"{folder / HISTORY}:{found.damage}: is damaged; `sweeps retry {sweep}` trains this trial again"
        )
    return found.rows


class History:
    """The growing history of one trial. A row, once written, is never written again.

    What is damaged, or does not follow on the rows before it, counts as never written; whoever trains the
    trial goes on from there, and a copy of what was there stays aside.

    Attributes:
        damage: The line from which on nothing counts, ``None`` where all do.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / HISTORY
        found = found_in(folder)
        wrong = (number for number, row in enumerate(found.rows, 1) if row["epoch"] != number)
        self.damage = next(wrong, found.damage)
        count = len(found.rows) if self.damage is None else self.damage - 1
        self.rows = found.rows[:count]
        self._size = found.ends[count - 1] if count else 0
        self._is_cut = False

    def add(self, row: Row) -> bool:
        """Write a row; whether it was new."""
        if self.rows and row["epoch"] <= self.rows[-1]["epoch"]:
            return False
        line = (json.dumps(row, ensure_ascii=False) + "\n").encode()
        with naming(self.path):
            self._cut()
            with self.path.open("ab", buffering=0) as file:
                if file.write(line) < len(line):  # The disk is full: no half line stays.
                    os.truncate(self.path, self._size)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        self._size += len(line)
        self.rows.append(row)
        return True

    def _cut(self) -> None:
        """Let the next row start a line, after the last one that counts."""
        if not self._is_cut and self.path.exists() and self.path.stat().st_size > self._size:
            if self.damage is not None:
                shutil.copyfile(self.path, aside_of(self.path))
            os.truncate(self.path, self._size)
        self._is_cut = True


def aside_of(path: Path) -> Path:
    """Where a damaged file stays until `sweeps gc` finds it."""
    return path.with_name(f".{path.name}.damaged.tmp")


def score(
    rows: Sequence[Row], metric: str, split: str, epoch: str, milestones: Sequence[int]
) -> float | None:
    """The objective of a trial from its rows.

    Args:
        metric: Such as ``balanced_accuracy``.
        split: ``validation`` or ``test``.
        epoch: ``last``, or ``since_last_drop``: the mean over the epochs since the learning rate dropped.
        milestones: Epochs, counted from 0, at which it drops.

    Returns:
        The score, ``None`` where a row that it is made of has no such metric.
    """
    name = f"{SPLIT_NAMES[split]}/{metric}"
    values = {row["epoch"]: row["metrics"][name] for row in rows if name in row["metrics"]}
    if not values:
        return None
    last = max(values)
    passed = [milestone for milestone in milestones if milestone < last]
    if epoch == "last" or not passed:
        return float(values[last])
    chosen = range(passed[-1] + 1, last + 1)
    if not values.keys() >= set(chosen):
        return None
    return math.fsum(values[number] for number in chosen) / len(chosen)


def is_finite(row: Row) -> bool:
    """Whether loss and metrics of a row are numbers."""
    return all(math.isfinite(value) for value in row["metrics"].values())


def read_result(folder: Path) -> dict[str, Any] | None:
    """The result of a trial that is complete; ``None`` if it is not, or if its result is damaged."""
    try:
        result = read_json(folder / RESULT)
    except DamagedFile:  # Told by `folder_fault`, and mended by a retry.
        return None
    whole = isinstance(result, dict) and result.keys() >= PARTS and result["state"] == "complete"
    return result if whole else None


def whole_result(folder: Path) -> dict[str, Any] | None:
    """The same, where the history is whole, too: only this can stand for a training."""
    result = read_result(folder)
    return result if result is not None and folder_fault(folder, "complete") is None else None


def write_result(folder: Path, key: str, config: TrialConfig, rows: Sequence[Row], sweep: str) -> None:
    """Write what a complete trial came to."""
    last = rows[-1]
    result = {
        "key": key,
        "state": "complete",
        "sweep": sweep,
        "epochs": last["epoch"],
        "seconds": math.fsum(row["metrics"]["seconds"] for row in rows),
        "finished": last["timestamp"],
        "metrics": last["metrics"],
        "final": last.get("final", {}),
        "config": config.as_json(),
    }
    write_json(folder / RESULT, result)


def folder_fault(folder: Path, state: str) -> str | None:
    """What is wrong with the history of a trial, or with its result if it is complete; ``None``: nothing."""
    found = found_in(folder)
    epochs = [each["epoch"] for each in found.rows]
    result = read_result(folder) if state == "complete" else None
    if found.damage is not None:
        return f"its history is damaged in line {found.damage}"
    if state == "complete" and result is None:
        return "is complete, but has no result there"
    if epochs != list(range(1, len(epochs) + 1)):
        return f"its history has the epochs {epochs}"
    if result is not None and len(epochs) != result["epochs"]:
        return f"its history has {len(epochs)} of {result['epochs']} epochs"
    return None
