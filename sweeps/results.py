"""The tidy table of a sweep: ledger, histories and results joined, for whoever compares, draws or exports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from cefl.recipes import Recipe
from sweeps.cells import Cell
from sweeps.entries import Entry, entry_of
from sweeps.errors import DamagedFile
from sweeps.history import Row, read_history, read_result, score
from sweeps.home import Home
from sweeps.plan import Plan
from sweeps.rungs import standing
from sweeps.snapshot import LedgerRow, read_ledger
from sweeps.tracking_log import read_tracking
from trackers.compare import Objective
from trackers.table import TrialResult


def read_results(home: Home, plan: Plan, *, histories: bool = True) -> list[TrialResult]:
    """Every started trial that the plan still asks for, in the order of their start.

    Trials whose arm was taken out of the specification stay in the ledger and are left out here; so are
    repetitions by ``--fresh``.
    """
    cells = {cell.name: cell for cell in plan.cells}
    runs = read_tracking(home.sweep(plan.name))
    results = []
    for row in asked_for(plan, read_ledger(home.optuna_url, plan.name)):
        cell = cells.get(row.study.split("/")[1])
        if cell is not None:
            results.append(trial_result(home, plan, cell, row, runs, histories))
    return results


def counted(rows: list[LedgerRow]) -> list[LedgerRow]:
    """The rows that count: with a key, no repetition, and of each key in a study the latest."""
    latest = {
        (row.study, row.attrs["key"]): row
        for row in rows
        if "key" in row.attrs and not row.attrs.get("fresh")
    }
    return sorted(latest.values(), key=lambda row: row.trial_id)


def trial_result(
    home: Home, plan: Plan, cell: Cell, row: LedgerRow, runs: dict[str, dict[str, Any]], histories: bool
) -> TrialResult:
    """One row of the table."""
    entry, select, recipe = entry_of(row), plan.spec.select, cell.base.recipe
    folder = home.trial(entry.key, entry.fresh)
    result = read_result(folder) if row.state == "complete" else None
    whole = histories or result is None or select.epoch != "last"
    try:
        rows, damage = read_history(folder, plan.name) if whole else [], None
    except DamagedFile as error:
        rows, damage = [], str(error)
    scored = rows or ([{"epoch": result["epochs"], "metrics": result["metrics"]}] if result else [])
    value = outcome(plan, row.state, scored, recipe)
    if damage is not None:  # The ledger knows the score; without a result it has nothing to stand beside it.
        value = row.value if result else None
    run_id = entry.run_id or runs.get(entry.run_ref, {}).get("run_id")
    found = describe(cell, entry, row.state, value, rows, result, run_id)
    return found if damage is None else replace(found, reason=found.reason or damage)


def damaged(trials: Sequence[TrialResult]) -> list[str]:
    """What is told of complete trials whose history cannot be read."""
    return [trial.reason for trial in trials if trial.state == "complete" and trial.reason]


def outcome(plan: Plan, state: str, rows: Sequence[Row], recipe: Recipe) -> float | None:
    """The score of a trial; of one that was stopped early what was compared last, of other states none."""
    select = plan.spec.select
    if state == "pruned" and rows:
        return standing(rows, rows[-1]["epoch"], select, recipe.milestones)
    if state == "complete":
        return score(rows, select.metric, select.split, select.epoch, recipe.milestones)
    return None


def describe(
    cell: Cell,
    entry: Entry,
    state: str,
    value: float | None,
    rows: list[Row],
    result: dict[str, Any] | None,
    run_id: str | None,
) -> TrialResult:
    """A trial in the words of the tracker; without rows its metrics are those of its result."""
    done = (result or {}) if state == "complete" else {}
    final = done.get("final", {})
    return TrialResult(
        key=entry.key,
        study=entry.study,
        number=entry.number,
        state=state,
        cell=cell.name,
        dataset=cell.dataset,
        imbalance=cell.imbalance,
        order=None if cell.imbalance is None else cell.order,
        model=cell.base.model,
        depth=cell.depth,
        pretrained=cell.base.pretrained,
        loss=entry.loss,
        params=entry.params,
        seed=entry.seed,
        kind=entry.kind,
        epochs=cell.base.recipe.epochs,
        run_id=run_id,
        score=value,
        metrics=done.get("metrics") or (rows[-1]["metrics"] if rows else {}),
        reason=entry.attrs.get("reason"),
        origin=entry.attrs.get("origin"),
        seconds=done.get("seconds"),
        history=tuple(rows),
        confusion=final.get("confusion", {}),
        classes=cell.classes,
        train_counts=tuple(final.get("train_counts", cell.train_counts)),
    )


def asked_for(plan: Plan, rows: list[LedgerRow]) -> list[LedgerRow]:
    """The counted rows of what the plan still lists or searches; the rest stays in the ledger alone."""
    planned = {point.key for point in plan.listed}
    searched = {search.study for search in plan.searches}
    return [
        row
        for row in counted(rows)
        if row.attrs["key"] in planned or (row.attrs["kind"] == "ask" and row.study in searched)
    ]


def asks_so_far(rows: list[LedgerRow]) -> Counter[str]:
    """How often each study was asked; a trial that was tried again is one ask."""
    return Counter(row.study for row in counted(rows) if row.attrs["kind"] == "ask")


def count_states(plan: Plan, rows: list[LedgerRow]) -> dict[str, int]:
    """``total, waiting, running, complete, pruned, failed`` of what the plan asks for; counts are by key."""
    return tally(plan.total, asked_for(plan, rows))


def count_cells(plan: Plan, rows: list[LedgerRow]) -> dict[str, dict[str, int]]:
    """The same by the name of the cell."""
    totals = Counter(point.cell.name for point in plan.listed)
    for search in plan.searches:
        totals[search.cell.name] += search.asks
    members: dict[str, list[LedgerRow]] = {cell.name: [] for cell in plan.cells}
    for row in asked_for(plan, rows):
        members.setdefault(row.study.split("/")[1], []).append(row)
    return {cell: tally(totals[cell], found) for cell, found in members.items()}


def tally(total: int, rows: list[LedgerRow]) -> dict[str, int]:
    """Rows by state; what is missing of the total waits."""
    states = Counter(row.state for row in rows)
    counts = {state: states[state] for state in ("running", "complete", "pruned", "failed")}
    return {"total": max(total, len(rows)), "waiting": max(0, total - len(rows)), **counts}


def objective(plan: Plan) -> Objective:
    """How the plan chooses, in the words of the tracker's comparison."""
    select = plan.spec.select
    return Objective(metric=select.metric, split=select.split, epoch=select.epoch)
