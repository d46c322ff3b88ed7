"""What `plan`, `status` and `list` show, as plain values; nothing slow is loaded for them."""

from __future__ import annotations

import statistics
import time
from collections import Counter, defaultdict
from typing import Any

from sweeps.display_words import readable
from sweeps.errors import DamagedFile
from sweeps.history import read_result
from sweeps.home import Home
from sweeps.outlook import ATTRIBUTES, outlook
from sweeps.plan import Plan
from sweeps.protocol import read_confirming, with_confirmation
from sweeps.results import count_cells, count_states, counted
from sweeps.snapshot import read_ledger
from sweeps.spec.losses import loss_arms
from sweeps.state import read_state, stored_plan

COUNTED = ("key", "kind", "fresh")
SAMPLED_RESULTS = 20  # Enough for an estimate of time.


def overview(plan: Plan, home: Home) -> dict[str, Any]:
    """Cells, losses and counts of a plan beside what is already done."""
    plan = with_confirmation(home, plan)
    confirming = read_confirming(home, plan.name)
    confirms = plan.spec.confirm is not None or confirming is not None
    rows = read_ledger(home.optuna_url, plan.name, (*COUNTED, *ATTRIBUTES) if confirms else COUNTED)
    counts = count_states(plan, rows)
    done = {row.attrs["key"] for row in counted(rows) if row.state == "complete"}
    points: Counter[str] = Counter(point.cell.name for point in plan.points)
    finished: Counter[str] = Counter(point.cell.name for point in plan.points if point.key in done)
    trained = {path.parent.name for path in (home.root / "trials").glob("*/result.json")}
    reusable = sum(1 for point in plan.listed if point.key not in done and point.key in trained)
    asked = Counter(row.study.split("/")[1] for row in counted(rows) if row.attrs.get("kind") == "ask")
    cells = []
    for cell in plan.cells:
        asks = sum(search.asks for search in plan.searches if search.cell is cell)
        cells.append(
            {
                "cell": cell.name, "train_images": sum(cell.train_counts),
                "ratio": round(max(cell.train_counts) / max(1, min(cell.train_counts)), 1),
                "rarest": min(cell.train_counts), "validation_images": sum(cell.validation_counts),
                "test_images": sum(cell.test_counts), "points": points[cell.name], "asks": asks,
                "done": finished[cell.name] + min(asked[cell.name], asks),
                "to_do": points[cell.name] - finished[cell.name] + asks - min(asked[cell.name], asks),
                "epochs": cell.base.recipe.epochs, "notes": cell_notes(cell.train_only, cell.notes),
            }
        )  # fmt: skip
    return {
        "name": plan.name,
        "seeds": len(plan.spec.trial_seeds),
        "points_a_seed": len(plan.points) // len(plan.spec.trial_seeds),
        "trials": counts,
        "reusable": reusable,
        "cells": cells,
        "losses": losses_of(plan),
        "budget": budget.model_dump(exclude_none=True) if (budget := plan.spec.budget) else None,
        "confirm": outlook(plan, counted(rows), confirming) if confirms else None,
        "estimate": estimate(plan, home, done, counts["waiting"] + counts["running"] - reusable),
    }


def cell_notes(train_only: tuple[str, ...], notes: tuple[str, ...]) -> list[str]:
    """What a reader of a cell's results should know."""
    small = [f"too small to validate on, trained only: {', '.join(train_only)}"] if train_only else []
    return [*small, *notes]


def losses_of(plan: Plan) -> list[dict[str, Any]]:
    """Every loss of the plan with its values, once."""
    values: dict[str, dict[str, list[float]]] = {}
    arms: dict[str, set[tuple[tuple[str, float], ...]]] = defaultdict(set)
    for cell in plan.cells:
        for entry in cell.losses:
            for arm in loss_arms(entry):
                arms[entry.loss].add(tuple(sorted(arm.items())))
                for name, value in arm.items():
                    listed = values.setdefault(entry.loss, {}).setdefault(name, [])
                    if value not in listed:
                        listed.append(value)
            values.setdefault(entry.loss, {})
    searched = {search.loss: search for search in plan.searches}
    rows = []
    for loss, params in values.items():
        texts = [f"{name} {', '.join(f'{value:g}' for value in listed)}" for name, listed in params.items()]
        if search := searched.get(loss):
            texts += [f"asks {name} in [{low:g}, {high:g}]" for name, (low, high) in search.ranges.items()]
            texts += [f"the weaker stopped after epoch {epoch}" for epoch in search.rungs.epochs[:1]]
        rows.append({"loss": loss, "arms": len(arms[loss]), "values": "; ".join(texts)})
    return rows


def estimate(plan: Plan, home: Home, done: set[str], left: int) -> str:
    """Training time left, from trials of this plan that are done; says so where there are none."""
    if left <= 0:
        return "nothing to train"
    keys = [point.key for point in plan.points if point.key in done][:SAMPLED_RESULTS]
    seconds = [result["seconds"] for key in keys if (result := read_result(home.trial(key)))]
    if not seconds:
        return "time unknown until the first trials are done"
    return f"about {readable(statistics.fmean(seconds) * left)} of training, divided by the trials at a time"


def sweep_status(home: Home, name: str) -> dict[str, Any]:
    """State and counts of a sweep, whole and by cell."""
    state = read_state(home, name)
    plan = stored_plan(home, name)
    rows = read_ledger(home.optuna_url, name, COUNTED)
    return {
        "name": name,
        "state": state.state,
        "trials": count_states(plan, rows),
        "cells": [{"cell": cell, **counts} for cell, counts in count_cells(plan, rows).items()],
        "reason": state.reason,
    }


def sweep_list(home: Home) -> list[dict[str, Any]]:
    """Every sweep of a home with its state and counts."""
    rows = []
    for name in home.sweeps():
        try:
            found = read_state(home, name)
            state, updated = found.state, time.strftime("%Y-%m-%d %H:%M", time.localtime(found.updated))
        except DamagedFile:  # `status` tells the file, and what to do.
            state, updated = "damaged", None
        states = Counter(row.state for row in counted(read_ledger(home.optuna_url, name, COUNTED)))
        rows.append(
            {
                "name": name, "state": state, "total": states.total(), "complete": states["complete"],
                "failed": states["failed"], "updated": updated,
            }
        )  # fmt: skip
    return rows
