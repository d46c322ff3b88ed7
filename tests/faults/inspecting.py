"""What a home holds in the end: whether anything is lost or stands twice."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from sweeps.home import Home
from sweeps.snapshot import LedgerRow, read_ledger

TIMING = {"seconds", "images_per_second"}


def ledger(home: Path, sweep: str) -> list[LedgerRow]:
    return read_ledger(Home(home).optuna_url, sweep)


def histories(home: Path) -> dict[str, list[dict[str, float]]]:
    """Numbers of every epoch of every trial, but for its timing."""
    return {
        path.parent.name: [
            {name: value for name, value in json.loads(line)["metrics"].items() if name not in TIMING}
            for line in path.read_text().splitlines()
        ]
        for path in (home / "trials").glob("*/history.jsonl")
    }


def runs(database: Path, sweep: str) -> dict[str, dict[str, Any]]:
    """MLflow's runs of a sweep by their ref, read from its tables: status, tags, steps of ``train/loss``.

    Asserts that there is one run of each, but for deleted ones, and that no point stands twice.
    """
    found: dict[str, dict[str, Any]] = {}
    with closing(sqlite3.connect(database)) as connected:
        tags: dict[str, dict[str, str]] = {}
        for run, name, value in connected.execute("SELECT run_uuid, key, value FROM tags"):
            tags.setdefault(run, {})[name] = value
        steps: dict[str, list[int]] = {}
        points: Counter[tuple[str, str, int]] = Counter()
        for run, name, step in connected.execute("SELECT run_uuid, key, step FROM metrics"):
            points[run, name, step] += 1
            if name == "train/loss":
                steps.setdefault(run, []).append(step)
        listed = "SELECT run_uuid, status, lifecycle_stage FROM runs ORDER BY lifecycle_stage"
        for run, status, stage in connected.execute(listed):
            mine = tags.get(run, {})
            if mine.get("sweep.name") != sweep:
                continue
            if stage == "deleted" and mine["sweep.ref"] in found:
                continue  # A double, or one that was written anew.
            assert stage == "active", f"{mine['sweep.ref']} was deleted"
            assert mine["sweep.ref"] not in found, f"{mine['sweep.ref']} stands twice"
            found[mine["sweep.ref"]] = {
                "id": run, "status": status, "tags": mine, "steps": sorted(steps.get(run, []))
            }  # fmt: skip
    living = {run["id"] for run in found.values()}
    assert all(number == 1 for (run, _, _), number in points.items() if run in living), "a point stands twice"
    return found


def assert_whole(home: Path, sweep: str, database: Path | None = None) -> dict[str, dict[str, Any]]:
    """Nothing is lost and nothing doubled in a sweep that is over; its runs by ref.

    Of every key the last try counts; each key stands once among what is complete; every run of MLflow is
    ended, is that of one trial, and has the epochs of the history, each once.
    """
    rows = ledger(home, sweep)
    assert rows
    assert "running" not in {row.state for row in rows}
    last = {f"{row.study}#{row.attrs.get('first', row.number)}": row for row in rows}
    complete = Counter(
        row.attrs["key"] for row in last.values() if row.state == "complete" and "fresh" not in row.attrs
    )
    assert set(complete.values()) <= {1}, "a key is complete twice"
    found = runs(database or home / "mlflow.db", sweep)
    statuses = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
    assert set(found) == {*last, "sweep"}, "a run of each trial, and one of the sweep"
    assert found["sweep"]["status"] != "RUNNING"
    for ref, row in last.items():
        history = home / "trials" / row.attrs["key"] / "history.jsonl"
        lines = history.read_text().splitlines() if history.exists() else []
        epochs = [json.loads(line)["epoch"] for line in lines]
        assert epochs == list(range(1, len(epochs) + 1)), "no epoch is missing, none stands twice"
        assert found[ref]["steps"] == epochs, f"{ref} in MLflow"
        assert found[ref]["status"] == statuses[row.state]
        assert found[ref]["tags"]["sweep.key"] == row.attrs["key"]
    return found
