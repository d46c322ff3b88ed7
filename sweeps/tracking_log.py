"""What MLflow is known to hold of a sweep, without loading MLflow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_tracking(folder: Path) -> dict[str, dict[str, Any]]:
    """The last line about every run of a sweep, by its ref.

    Torn or damaged lines are passed over: what MLflow holds is compared anew where nothing is known of it.
    """
    known: dict[str, dict[str, Any]] = {}
    path = folder / "tracking.jsonl"
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict) and isinstance(value.get("ref"), str):
            known[value["ref"]] = value
    return known
