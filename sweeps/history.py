"""The folder of one trial on the driver's side: its rows, as they came, and its result."""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cefl.config import TrialConfig
from sweeps.home import naming, read_json, write_json

HISTORY, RESULT = "history.jsonl", "result.json"
SPLIT_NAMES = {"validation": "val", "test": "test"}
Row = Mapping[str, Any]


def read_history(folder: Path) -> list[Row]:
    """The rows of a trial, one an epoch; a last line that a crash has torn is left out."""
    try:
        content = (folder / HISTORY).read_bytes()
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in content[: content.rfind(b"\n") + 1].splitlines()]


class History:
    """The growing history of one trial. A row, once written, is never written again."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / HISTORY
        self.rows = read_history(folder)
        if self.path.exists():
            whole = self.path.read_bytes().rfind(b"\n") + 1
            os.truncate(self.path, whole)  # So that the next row starts a line.

    def add(self, row: Row) -> bool:
        """Write a row; whether it was new."""
        if self.rows and row["epoch"] <= self.rows[-1]["epoch"]:
            return False
        line = (json.dumps(row, ensure_ascii=False) + "\n").encode()
        with naming(self.path), self.path.open("ab", buffering=0) as file:
            size = file.tell()
            if file.write(line) < len(line):  # The disk is full: no half line stays.
                os.truncate(self.path, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        self.rows.append(row)
        return True


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
        The score, ``None`` where no row has the metric.
    """
    name = f"{SPLIT_NAMES[split]}/{metric}"
    values = {row["epoch"]: row["metrics"][name] for row in rows if name in row["metrics"]}
    if not values:
        return None
    last = max(values)
    passed = [milestone for milestone in milestones if milestone < last]
    if epoch == "last" or not passed:
        return float(values[last])
    chosen = [value for number, value in values.items() if number > passed[-1]]
    return math.fsum(chosen) / len(chosen)


def is_finite(row: Row) -> bool:
    """Whether loss and metrics of a row are numbers."""
    return all(math.isfinite(value) for value in row["metrics"].values())


def read_result(folder: Path) -> dict[str, Any] | None:
    """The result of a trial that is complete, ``None`` if it is not."""
    result = read_json(folder / RESULT)
    return result if isinstance(result, dict) and result.get("state") == "complete" else None


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
    epochs = [each["epoch"] for each in read_history(folder)]
    result = read_result(folder) if state == "complete" else None
    if state == "complete" and result is None:
        return "is complete, but has no result there"
    if epochs != list(range(1, len(epochs) + 1)):
        return f"its history has the epochs {epochs}"
    if result is not None and len(epochs) != result["epochs"]:
        return f"its history has {len(epochs)} of {result['epochs']} epochs"
    return None
