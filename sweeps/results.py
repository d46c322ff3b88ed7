"""The tidy table of a sweep: ledger, histories and results joined, for everything that compares, draws or exports."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sweeps.history import read_history, read_result, score
from sweeps.home import Home
from sweeps.plan import Cell, Plan
from sweeps.snapshot import LedgerRow, read_ledger
from sweeps.tracking_log import read_tracking
from trackers.table import TrialResult


def read_results(home: Home, plan: Plan, *, histories: bool = True) -> list[TrialResult]:
    """Every started trial that the plan still asks for, in the order of their start.

    Trials whose arm was taken out of the specification stay in the ledger and are left out here; so are repetitions
    by ``--fresh``.
    """
    cells = {cell.name: cell for cell in plan.cells}
    runs = read_tracking(home.sweep(plan.name))
    planned = {point.key for point in plan.points}
    searched = {search.study for search in plan.searches}
    results = []
    for row in counted(read_ledger(home.optuna_url, plan.name)):
        cell = cells.get(row.study.split("/")[1])
        asked = row.attrs["kind"] == "ask" and row.study in searched
        if cell is not None and (asked or row.attrs["key"] in planned):
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
    attrs = row.attrs
    folder = home.trial(attrs["key"])
    rows = read_history(folder) if histories or row.state != "complete" else []
    result = (read_result(folder) if row.state == "complete" else None) or {}
    final = result.get("final", {})
    recipe, select = cell.base.recipe, plan.spec.select
    value = row.value
    if row.state == "pruned":
        value = score(rows, select.metric, select.split, select.epoch, recipe.milestones)
    run_id = attrs.get("run_id") or runs.get(f"{row.study}#{row.number}", {}).get("run_id")
    return TrialResult(
        key=attrs["key"], study=row.study, number=row.number, state=row.state, cell=cell.name, dataset=cell.dataset,
        imbalance=cell.imbalance, order=None if cell.imbalance is None else cell.order, model=cell.base.model,
        depth=cell.depth, pretrained=cell.base.pretrained, loss=attrs["loss"], params=attrs["params"],
        seed=attrs["seed"], kind=attrs["kind"], epochs=recipe.epochs, run_id=run_id, score=value,
        metrics=result.get("metrics") or (rows[-1]["metrics"] if rows else {}),
        reason=attrs.get("reason"), origin=attrs.get("origin"), seconds=result.get("seconds"),
        history=tuple(rows), confusion=final.get("confusion", {}), classes=cell.classes,
        train_counts=tuple(final.get("train_counts", cell.train_counts)),
    )  # fmt: skip


def count_states(plan: Plan, rows: list[LedgerRow]) -> dict[str, int]:
    """``total, waiting, running, complete, pruned, failed`` of what the plan asks for; counts are by key."""
    planned = {point.key for point in plan.points}
    searched = {search.study for search in plan.searches}
    states = Counter(
        row.state
        for row in counted(rows)
        if row.attrs["key"] in planned or (row.attrs.get("kind") == "ask" and row.study in searched)
    )
    counts = {state: states[state] for state in ("running", "complete", "pruned", "failed")}
    total = max(plan.total, sum(counts.values()))
    return {"total": total, "waiting": total - sum(counts.values()), **counts}
