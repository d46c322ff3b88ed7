"""Where ledger, histories and MLflow say different things of one sweep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweeps.entries import entry_of
from sweeps.history import Row, folder_fault, found_in, read_result
from sweeps.home import Home
from sweeps.plan import Plan
from sweeps.snapshot import LedgerRow, read_ledger
from sweeps.tracking import PARENT, STATUS
from trackers.connection import sqlite_file
from trackers.seen import Seen, runs_seen

MLFLOW, FOLDER = "MLflow", "folder"
WRITE, RETRY, BY_HAND = "write", "retry", "by hand"
MENDS = ("rewrite", "alone", "anew")
"""How a run is written that is there and wrong: see `trackers.wanted.Run`."""
WRITTEN = (WRITE, *MENDS)


@dataclass(frozen=True)
class Disagreement:
    """One thing that is not as the ledger has it.

    Attributes:
        ref: ``<study>#<number>`` of a trial's run, or ``sweep``.
        key: Of the trial.
        place: `FOLDER` of the trial, or `MLFLOW`.
        found: What is there and what should be, in words.
        mend: What does: a synchronisation (one of `WRITTEN`), `RETRY`, or whoever reads it.
    """

    ref: str
    key: str | None
    place: str
    found: str
    mend: str = WRITE

    def as_json(self) -> dict[str, Any]:
        """With stable keys."""
        return {"ref": self.ref, "key": self.key, "place": self.place, "found": self.found}


def steps(found: Sequence[Disagreement], name: str) -> list[str]:
    """The commands that mend what was found, and what no command does."""
    mends = {each.mend for each in found}
    told = {
        f"sweeps retry {name}": RETRY in mends,
        f"sweeps sync {name}": bool(mends & set(WRITTEN)),
        "delete in MLflow what no sweep of this name elsewhere needs": BY_HAND in mends,
    }
    return [step for step, needed in told.items() if needed]


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
    return [*in_folders(home, plan.name, rows), *in_mlflow(home, plan, rows, ended)]


def in_folders(home: Home, name: str, rows: Mapping[str, LedgerRow]) -> Iterator[Disagreement]:
    """Histories with holes, trials whose result is not as the ledger has it, and results of no trial."""
    for ref, row in rows.items():
        entry = entry_of(row)
        folder = home.trial(entry.key, entry.fresh)
        text = folder_fault(folder, row.state)
        if text is not None:
            yield Disagreement(ref, entry.key, FOLDER, text, RETRY)
        elif row.state == "failed" and read_result(folder) is not None:
            yield Disagreement(ref, entry.key, FOLDER, "failed, but has a result there since", RETRY)
    started = {row.attrs["key"] for row in read_ledger(home.optuna_url, None, ("key",)) if row.attrs}
    for folder in sorted((home.root / "trials").glob("*/")):
        if folder.name.partition("-")[0] not in started and (result := read_result(folder)):
            if result["sweep"] == name:
                text = "there is a result of this sweep, but no trial in its ledger"
                yield Disagreement(folder.name, folder.name, FOLDER, text, RETRY)


def in_mlflow(home: Home, plan: Plan, rows: Mapping[str, LedgerRow], ended: bool) -> Iterator[Disagreement]:
    """Runs that are missing, doubled, behind or of another state, and runs of no trial.

    Trials of cells that were taken out of the specification are not looked at.
    """
    uri, file = home.tracked_at(plan.spec.tracking.uri), sqlite_file(home.mlflow_uri)
    there = uri is not None or (file is not None and file.exists())  # To look at it would make it.
    runs = runs_seen(uri or home.mlflow_uri, plan.name) if there else {}
    cells = {cell.name for cell in plan.cells}
    for ref in [PARENT, *rows]:
        row = rows.get(ref)
        key = row.attrs["key"] if row else None
        found = runs.pop((ref, key or ""), [])
        if row is None or row.study.split("/")[1] in cells:
            for text, mend in differences(home, row, found, ended):
                yield Disagreement(ref, key, MLFLOW, text, mend)
    for (ref, key), left in runs.items():
        if not left[0].deleted:
            text = f"run {left[0].run_id} is of no trial of this sweep"
            yield Disagreement(ref, key or None, MLFLOW, text, BY_HAND)


def differences(
    home: Home, row: LedgerRow | None, found: list[Seen], ended: bool
) -> Iterator[tuple[str, str]]:
    """What is wrong with the runs of one trial, or of the sweep (``row`` is ``None``), and what mends it."""
    if not found:
        yield "there is no run of it", WRITE
        return
    if len(found) > 1:
        yield f"there are {len(found)} runs of it", "alone"
    run = found[0]
    if run.deleted:
        yield "its run was deleted", WRITE
    if row is None:
        if ended and run.status == "RUNNING":
            yield "its run is RUNNING, though nothing drives it", WRITE
        return
    entry = entry_of(row)
    folder = home.trial(entry.key, entry.fresh)
    fault = folder_fault(folder, row.state)
    for text, mend in points_apart(run, found_in(folder).rows):
        # What a trial has lost of its history is not taken from MLflow, too: it is trained again first.
        yield text, mend if fault is None else RETRY
    wanted = STATUS["interrupted" if row.state == "running" else row.state]
    if (ended or row.state != "running") and run.status != wanted:
        yield f"its run is {run.status}, not {wanted}", WRITE


def points_apart(run: Seen, rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    """Which points of a run are not those of the history, and what mends it."""
    missing, other = run.apart(rows)
    if run.epochs != len(rows):
        yield f"its run has {run.epochs} of {len(rows)} epochs", WRITE if run.epochs < len(rows) else "anew"
    elif missing:
        yield f"its run has not all of {', '.join(missing)}", WRITE
    elif other:
        yield f"its run has other values of {', '.join(other)} than its history", "anew"
    if run.points != run.epochs:
        text = f"its run has {run.points} points of {run.epochs} epochs"
        yield text, "rewrite" if run.points < run.epochs else "anew"
