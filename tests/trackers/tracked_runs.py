"""Writing runs in tests, and looking at them without the writer."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from trackers import connection
from trackers.writer import RunWriter

WAIT = 30.0
"""Longest wait in seconds for what takes milliseconds."""


def row(epoch: int, **metrics: float) -> dict[str, Any]:
    values = metrics or {"train/loss": 2.0 / (epoch + 1), "val/balanced_accuracy": epoch / 100}
    return {"epoch": epoch, "timestamp": 1_700_000_000_000 + 1000 * epoch, "metrics": values}


def writing(uri: str, sweep: str) -> RunWriter:
    writer = RunWriter(uri, f"experiment of {sweep}", sweep)
    writer.start()
    return writer


def runs_of(uri: str, sweep: str, deleted: bool = False) -> dict[str, Any]:
    """Reference to run, asserting that there is one of each."""
    client = connection.connect(uri)
    experiments = [each.experiment_id for each in client.search_experiments()]
    runs = list(connection.search(client, experiments, sweep, deleted=deleted))
    found = {run.data.tags["sweep.ref"]: run for run in runs}
    assert len(found) == len(runs)
    return found


def values(uri: str, run: Any, metric: str) -> list[tuple[int, int, float]]:
    history = connection.connect(uri).get_metric_history(run.info.run_id, metric)
    return sorted((each.step, each.timestamp, each.value) for each in history)


def rows_in(database: Path, run: Any) -> int:
    with closing(sqlite3.connect(database)) as connected:
        query = "SELECT COUNT(*) FROM metrics WHERE run_uuid = ?"
        return int(connected.execute(query, (run.info.run_id,)).fetchone()[0])
