"""Trials that were trained once more, beside their first training, or beside what an export says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sweeps.errors import InputError
from sweeps.files import read_json
from sweeps.history import Row, folder_fault, found_in, read_result
from sweeps.home import Home
from sweeps.ledger import Ledger
from sweeps.plan import Plan
from sweeps.results import read_results
from trackers.table import TrialResult

EXPECTED = "expected.json"
"""What lies beside an exported ``best.yaml``: the numbers that it should give again."""

TIMING = {"seconds", "images_per_second"}
CONDITIONS = ("device", "precision", "threads", "instructions", "torch")
"""What numbers can only be equal to the last bit under."""


def numbers(row: Row) -> dict[str, float]:
    """The metrics of an epoch without those of its clock."""
    return {name: value for name, value in row["metrics"].items() if name not in TIMING}


def conditions(folder: Path) -> dict[str, Any]:
    """What a complete trial was computed with."""
    final = (read_result(folder) or {}).get("final", {})
    return {name: final[name] for name in CONDITIONS if name in final}


def apart(first: Mapping[str, Any], again: Mapping[str, Any]) -> list[str]:
    """Why two trainings need not be equal to the last bit: ``threads 2, first 1``."""
    return [
        f"{name} {again[name]}, first {first[name]}"
        for name in CONDITIONS
        if name in first and name in again and first[name] != again[name]
    ]


def every_number(folder: Path) -> list[dict[str, float]]:
    """The numbers of every epoch of a trial."""
    return [numbers(row) for row in found_in(folder).rows]


def damage(*folders: Path) -> list[str]:
    """What is wrong with the folders of complete trials, so that nothing can be equal to them."""
    faults = ((folder.name, folder_fault(folder, "complete")) for folder in folders)
    return [f"{name}: {fault}" for name, fault in faults if fault is not None]


def compare_fresh(ledger: Ledger, home: Home) -> list[dict[str, Any]]:
    """Every repeated training beside its first: both scores, and whether all their numbers are equal."""
    rows = [row for row in ledger.rows() if row.state == "complete"]
    first = {row.attrs["key"]: row for row in rows if not row.attrs.get("fresh")}
    found = []
    for row in rows:
        key, repetition = row.attrs["key"], row.attrs.get("fresh")
        if not repetition or key not in first:
            continue
        before, after = home.trial(key), home.trial(key, repetition)
        found.append(
            {
                "key": key, "study": row.study, "loss": row.attrs["loss"], "params": row.attrs["params"],
                "seed": row.attrs["seed"], "repetition": repetition, "first": first[key].value,
                "again": row.value,
                "identical": every_number(before) == every_number(after),
                "apart": [*apart(conditions(before), conditions(after)), *damage(before, after)],
            }
        )  # fmt: skip
    return found


def expected_of(home: Home, trials: Sequence[TrialResult]) -> dict[str, Any]:
    """The content of `EXPECTED`: the last epoch of complete trials, and what they were computed with."""
    return {
        "format": 1,
        "trials": [
            {
                "key": trial.key, "study": trial.study, "loss": trial.loss, "params": dict(trial.params),
                "seed": trial.seed, "score": trial.score, "conditions": conditions(home.trial(trial.key)),
                "metrics": numbers({"metrics": trial.metrics}),
            }
            for trial in trials
        ],
    }  # fmt: skip


def read_expected(path: Path) -> list[dict[str, Any]]:
    """The trials that an export tells of, none where there is no such file.

    Raises:
        InputError: If it is not what was written: it came with the export, from whomever.
    """
    told = read_json(path, "export again, or delete it")
    if told is None or (isinstance(told, dict) and told.get("format") != 1):
        return []
    trials = told.get("trials") if isinstance(told, dict) else None
    types: dict[str, Any] = {"key": str, "score": float | int, "metrics": dict, "conditions": dict}
    if not isinstance(trials, list) or not all(
        isinstance(each, dict) and all(isinstance(each.get(name), kind) for name, kind in types.items())
        for each in trials
    ):
        raise InputError(f"{path}: is not what `sweeps export` writes; export again, or delete it")
    return trials


def compare_expected(folder: Path, home: Home, plan: Plan) -> list[dict[str, Any]]:
    """The trials of a plan beside what an export says of them; the latest training of each counts.

    Args:
        folder: Of the specification.

    Raises:
        InputError: If the file of the export is not what was written.
    """
    expected = read_expected(folder / EXPECTED)
    if not expected:
        return []
    complete = {
        trial.key: trial for trial in read_results(home, plan, histories=False) if trial.state == "complete"
    }
    found = []
    for each in expected:
        trial = complete.get(each["key"])
        if trial is None:
            continue
        again = latest(home, trial)
        rows = found_in(again).rows
        found.append(
            {
                "key": trial.key, "study": trial.study, "loss": trial.loss, "params": dict(trial.params),
                "seed": trial.seed, "repetition": "exported", "first": each["score"], "again": trial.score,
                "identical": bool(rows) and numbers(rows[-1]) == each["metrics"],
                "apart": [*apart(each["conditions"], conditions(again)), *damage(again)],
            }
        )  # fmt: skip
    return found


def latest(home: Home, trial: TrialResult) -> Path:
    """Folder of the last training of a trial."""
    number = 0
    while read_result(home.trial(trial.key, number + 1)) is not None:
        number += 1
    return home.trial(trial.key, number)
