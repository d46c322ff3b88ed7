"""A sweep beside a table of the paper: cells, averages, contrasts, ranks, and what contradicts itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from trackers.paper.contrasts import Contrast, contrasts
from trackers.paper.doubts import Check, checks, doubts
from trackers.paper.measured import Compared, Measured, measure
from trackers.paper.printed import DOI, PaperTable, Printed, paper_table, printed_averages
from trackers.paper.ranking import Ranking, rankings
from trackers.statistics import Interval
from trackers.table import TrialResult


@dataclass(frozen=True)
class Average:
    """The column "average" of Tables 2 and 3: the mean over the imbalances above 1, by seed, percent."""

    arm: str
    printed: float
    compared: Compared


@dataclass(frozen=True)
class PaperComparison:
    """All that is said of a sweep beside a table; `doubt` gives what arithmetic says of a printed number."""

    sweep: str
    measured: Measured
    averages: tuple[Average, ...]
    contrasts: tuple[Contrast, ...]
    rankings: tuple[Ranking, ...]
    checks: tuple[Check, ...]

    @property
    def table(self) -> PaperTable:
        return self.measured.table

    def doubt(self, cell: Printed) -> str | None:
        """What is wrong with a printed number, ``None`` where nothing is known."""
        return doubts(self.table).get(cell.key)

    @property
    def run(self) -> int:
        """Number of cells that have a complete trial."""
        return sum(1 for cell in self.measured.cells if cell.n)

    def as_json(self) -> dict[str, Any]:
        """Stable keys in a stable order; numbers in percent and percentage points."""
        known = doubts(self.table)
        return {
            "table": self.table.name,
            "doi": DOI,
            "unit": "percent",
            "sweep": self.sweep,
            "dataset": self.measured.dataset,
            "conditions": list(self.measured.conditions),
            "notes": list(self.measured.notes),
            "run": self.run,
            "cells": [_cell_json(cell, known.get(cell.printed.key)) for cell in self.measured.cells],
            "averages": [
                {
                    "arm": each.arm, "printed": each.printed, "mean": each.compared.mean,
                    "std": each.compared.std, "n": each.compared.n, "difference": each.compared.difference,
                }
                for each in self.averages
            ],
            "contrasts": [_contrast_json(each) for each in self.contrasts],
            "ranks": [
                {
                    "metric": each.metric, "arms": list(each.arms), "over": list(each.places), "n": each.n,
                    "spearman": each.correlation, "ceiling": each.ceiling,
                    "ceiling_low": each.ceiling_low, "ceiling_high": each.ceiling_high,
                    "alike": each.alike, "alike_low": each.alike_low, "alike_high": each.alike_high,
                }
                for each in self.rankings
            ],
            "inconsistencies": [
                {"rule": check.rule, "how": check.how, "findings": [each.text for each in check.findings]}
                for check in self.checks
            ],
        }  # fmt: skip


def compare_with_paper(
    sweep: str,
    name: str,
    trials: Iterable[TrialResult],
    model: str | None = None,
    conditions: Callable[[str], Sequence[str]] | None = None,
) -> PaperComparison:
    """A sweep beside a table of the paper.

    Args:
        sweep: Its name.
        name: Of the table, one of `trackers.paper.printed.NAMES`.
        trials: Of the sweep, in any state.
        model: As in `trackers.paper.measured.measure`.
        conditions: Told the data set that is compared, what more differs from the paper, a sentence each.

    Raises:
        ComparisonError: If there is no such table, or the sweep does not fit it.
    """
    table = paper_table(name)
    found = measure(table, trials, model)
    if conditions is not None:
        found = replace(found, conditions=(*found.conditions, *conditions(found.dataset)))
    return PaperComparison(
        sweep, found, tuple(_averages(found)), contrasts(found), rankings(found), checks(table)
    )


def _averages(measured: Measured) -> Iterable[Average]:
    """Seeds that have every imbalance above 1 give an average; the printed one stands in any case."""
    if measured.table.along != "imbalance":
        return
    for arm, printed in printed_averages(measured.table.name).items():
        row = [cell for cell in measured.cells if cell.printed.arm == arm and cell.printed.imbalance != 1]
        seeds = sorted(set.intersection(*(set(cell.by_seed) for cell in row)))
        by_seed = {seed: sum(cell.by_seed[seed] for cell in row) / len(row) for seed in seeds}
        yield Average(arm, printed, Compared(replace(row[0].printed, imbalance=None, value=printed), by_seed))


def _cell_json(cell: Compared, doubt: str | None) -> dict[str, Any]:
    printed = cell.printed
    return {
        "arm": printed.arm, "loss": printed.loss, "params": dict(printed.params),
        "imbalance": printed.imbalance, "depth": printed.depth, "class": printed.class_name,
        "metric": printed.metric, "printed": printed.value, "mean": cell.mean, "std": cell.std, "n": cell.n,
        "seeds": list(cell.by_seed), "difference": cell.difference, "doubt": doubt,
    }  # fmt: skip


def _contrast_json(each: Contrast) -> dict[str, Any]:
    interval = each.interval or Interval(None, None)  # type: ignore[arg-type]
    return {
        "name": each.claim.name, "metric": each.claim.metric, "printed": each.printed,
        "printed_here": each.printed_here, "printed_se": each.printed_se, "mean": each.mean, "std": each.std,
        "n": len(each.seeds), "seeds": list(each.seeds), "over": list(each.places), "ci_low": interval.low,
        "ci_high": interval.high, "p": each.p, "p_half": each.p_half, "verdict": each.verdict,
        "reason": each.reason,
    }  # fmt: skip
