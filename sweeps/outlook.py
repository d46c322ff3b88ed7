"""What a confirmation will cost, and how large a difference its seeds can show."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from sweeps.cells import CONFIRM, Cell
from sweeps.plan import Plan
from sweeps.protocol import FIRST_SEED, Confirming
from sweeps.snapshot import LedgerRow
from trackers.compare import BASELINE
from trackers.power import USUAL_DEVIATION, detectable_difference

SEEDS = (5, 10, 20)
"""Numbers of seeds that are shown beside the one that is asked for."""

ATTRIBUTES = ("loss", "params", "seed")
"""What is read of the ledger's rows."""

Scores = Mapping[tuple[Any, ...], Mapping[int, float]]
"""By arm and seed."""


def outlook(plan: Plan, rows: Iterable[LedgerRow], confirming: Confirming | None) -> dict[str, Any] | None:
    """Trials of the confirmation (an upper bound before it begins), and detectable differences by cell.

    Args:
        rows: The ledger's rows of this plan, with `ATTRIBUTES`.
        confirming: What is confirmed, once that has begun.

    Returns:
        ``None`` where nothing is to be confirmed. Deviations and differences are in percentage points.
    """
    stated = plan.spec.confirm
    if stated is None and confirming is None:
        return None
    top = stated.top if stated else 3
    count = max(stated.seeds if stated else 0, len(confirming.seeds) if confirming else 0)
    rows, cells = list(rows), []
    for cell in plan.cells:
        fixed = confirming.cells.get(cell.name) if confirming else None
        arms = len(fixed.arms) - 1 if fixed else top
        spread, source = spread_seen(cell, rows)
        cells.append(
            {
                "cell": cell.name,
                "arms": arms,
                "trials": (arms + 1) * count,
                "spread": round(100 * spread, 3),
                "source": source,
                "detectable": {
                    str(seeds): round(100 * spread * detectable_difference(seeds, arms), 2)
                    for seeds in sorted({count, *SEEDS})
                },
            }
        )
    started = sum(1 for row in rows if row.attrs.get("kind") == CONFIRM)
    return {"seeds": count, "first_seed": FIRST_SEED, "started": started, "cells": cells}


def spread_seen(cell: Cell, rows: Iterable[LedgerRow]) -> tuple[float, str]:
    """Deviation over seeds of the differences to cross-entropy, a share of 1, and where it was seen.

    It is that of the scores that arms are chosen by: those of the test set spread less, if anything.
    """
    scores: dict[str, dict[tuple[Any, ...], dict[int, float]]] = {}
    for row in rows:
        if row.study.split("/")[1] == cell.name and row.state == "complete" and row.value is not None:
            arm = (row.attrs["loss"], *sorted(row.attrs["params"].items()))
            part = "confirmation" if row.attrs["kind"] == CONFIRM else "search"
            scores.setdefault(part, defaultdict(dict))[arm][row.attrs["seed"]] = row.value
    for part in ("confirmation", "search"):
        found = pooled_deviation(scores.get(part, {}))
        if found is not None:
            return found, part
    return USUAL_DEVIATION, "usual on imbalanced CIFAR-10"


def pooled_deviation(scores: Scores) -> float | None:
    """Root of the mean variance of paired differences to cross-entropy; ``None`` without two common seeds."""
    baseline = scores.get((BASELINE,), {})
    variances = []
    for arm, values in scores.items():
        shared = [value - baseline[seed] for seed, value in values.items() if seed in baseline]
        if arm != (BASELINE,) and len(shared) > 1:
            variances.append(statistics.variance(shared))
    found = math.sqrt(statistics.fmean(variances)) if variances else 0.0
    return found or None
