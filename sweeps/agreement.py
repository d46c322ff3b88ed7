"""Where ledger, histories and MLflow say different things of one sweep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sweeps.entries import entry_of
from sweeps.history import read_history, read_result
from sweeps.home import Home
from sweeps.plan import Plan
from sweeps.snapshot import LedgerRow, read_ledger
from sweeps.tracking import PARENT, STATUS
from trackers.connection import sqlite_file
from trackers.seen import Seen, runs_seen

MLFLOW, FOLDER = "MLflow", "folder"


@dataclass(frozen=True)
class Disagreement:
    """One thing that is not as the ledger has it.

    Attributes:
        ref: ``<study>#<number>`` of a trial's run, or ``sweep``.
        key: Of the trial.
        place: `FOLDER` of the trial, or `MLFLOW`.
        found: What is there and what should be, in words.
    """

    ref: str
    key: str | None
    place: str
    found: str

    def as_json(self) -> dict[str, Any]:
        """With stable keys."""
        return {"ref": self.ref, "key": self.key, "place": self.place, "found": self.found}


def latest(home: Home, name: str) -> dict[str, LedgerRow]:
    """Every trial of a sweep by the ref of its run; of several tries the last."""
    rows = read_ledger(home.optuna_url, name)
    return {entry_of(row).run_ref: row for row in rows if "key" in row.attrs}


def disagreements(home: Home, plan: Plan, ended: bool) -> list[Disagreement]:
    """All that folders and MLflow say differently.

    Args:
        ended: Whether no driver runs, so that no run should be open.

    Raises:
        TrackingError: If MLflow does not answer.
    """
    rows = latest(home, plan.name)
    return [*in_folders(home, rows), *in_mlflow(home, plan, rows, ended)]


def in_folders(home: Home, rows: Mapping[str, LedgerRow]) -> Iterator[Disagreement]:
    """Histories with holes, and complete trials whose result is not there."""
    for ref, row in rows.items():
        entry = entry_of(row)
        folder = home.trial(entry.key, entry.fresh)
        epochs = [each["epoch"] for each in read_history(folder)]
        result = read_result(folder) if row.state == "complete" else None
        if row.state == "complete" and result is None:
            yield Disagreement(ref, entry.key, FOLDER, "is complete, but has no result there")
        elif epochs != list(range(1, len(epochs) + 1)):
            yield Disagreement(ref, entry.key, FOLDER, f"its history has the epochs {epochs}")
        elif result is not None and len(epochs) != result["epochs"]:
            text = f"its history has {len(epochs)} of {result['epochs']} epochs"
            yield Disagreement(ref, entry.key, FOLDER, text)


def in_mlflow(home: Home, plan: Plan, rows: Mapping[str, LedgerRow], ended: bool) -> Iterator[Disagreement]:
    """Runs that are missing, doubled, behind or of another state, and runs of no trial.

    Trials of cells that were taken out of the specification are not looked at.
    """
    uri, file = plan.spec.tracking.uri, sqlite_file(home.mlflow_uri)
    there = uri is not None or (file is not None and file.exists())  # To look at it would make it.
    runs = runs_seen(uri or home.mlflow_uri, plan.name) if there else {}
    cells = {cell.name for cell in plan.cells}
    for ref in [PARENT, *rows]:
        row = rows.get(ref)
        key = row.attrs["key"] if row else None
        found = runs.pop((ref, key or ""), [])
        if row is None or row.study.split("/")[1] in cells:
            for text in differences(home, row, found, ended):
                yield Disagreement(ref, key, MLFLOW, text)
    for (ref, key), _ in runs.items():
        yield Disagreement(ref, key or None, MLFLOW, "a run of no trial of this sweep")


def differences(home: Home, row: LedgerRow | None, found: list[Seen], ended: bool) -> Iterator[str]:
    """What is wrong with the runs of one trial, or of the sweep (``row`` is ``None``)."""
    if not found:
        yield "there is no run of it"
        return
    if len(found) > 1:
        yield f"there are {len(found)} runs of it"
    run = found[0]
    if run.deleted:
        yield "its run was deleted"
    if row is None:
        if ended and run.status == "RUNNING":
            yield "its run is RUNNING, though nothing drives it"
        return
    entry = entry_of(row)
    epochs = len(read_history(home.trial(entry.key, entry.fresh)))
    if run.epochs != epochs:
        yield f"its run has {run.epochs} of {epochs} epochs"
    if run.points != run.epochs:
        yield f"its run has {run.points} points of {run.epochs} epochs"
    wanted = STATUS["interrupted" if row.state == "running" else row.state]
    if (ended or row.state != "running") and run.status != wanted:
        yield f"its run is {run.status}, not {wanted}"
