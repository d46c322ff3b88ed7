"""Sweeps or arms of a home, side by side."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cefl.catalog import METRICS
from sweeps.cells import Cell
from sweeps.display_words import pair_name
from sweeps.errors import InputError
from sweeps.home import Home
from sweeps.plan import Plan
from sweeps.results import read_results
from sweeps.state import conditions, stored_plan
from trackers.report import write_files
from trackers.side_by_side import PREFIXES, SideBySide, files, side, side_by_side

FOLDER = "compare"


def compare(home: Home, first: str, second: str, metric: str | None, split: str | None) -> SideBySide:
    """Two sweeps by their names, or two arms as ``NAME:ARM``.

    Args:
        metric: By default the one that the first sweep chooses by.
        split: Likewise; but the test set where all that is compared was confirmed, as in the report.

    Raises:
        InputError: If there is no such sweep, metric or split; `ComparisonError` if they do not meet.
    """
    if metric is not None and metric not in METRICS:
        raise InputError(f"--metric: '{metric}' is not one of {', '.join(METRICS)}")
    if split is not None and split not in PREFIXES:
        raise InputError(f"--split: '{split}' is not one of {', '.join(PREFIXES)}")
    sides, plans = [], []
    for reference in (first, second):
        name, colon, arm = reference.partition(":")
        plan = stored_plan(home, name)
        plans.append(plan)
        sides.append(side(name, read_results(home, plan, histories=False), arm if colon else None))
    select = plans[0].spec.select
    apart = [*differences(plans[0], plans[1])]
    found = side_by_side(sides[0], sides[1], metric or select.metric, split or select.split, apart)
    if split is None and all(row.source == "confirmation" for row in found.rows):
        return side_by_side(sides[0], sides[1], found.metric, "test", apart)
    return found


def differences(first: Plan, second: Plan) -> Iterator[str]:
    """What the cells that both have do otherwise: recipe, data, validation, precision, parts of one's own."""
    others = {identity(cell): cell for cell in second.cells}
    values = [conditions(plan) for plan in (first, second)]
    for cell in first.cells:
        other = others.get(identity(cell))
        if other is None:
            continue
        mine, yours = values[0][cell.name], values[1][other.name]
        for name in dict.fromkeys([*mine, *yours]):
            one, two = mine.get(name), yours.get(name)
            if one != two:
                yield f"{cell.name}: {name} is {one} in {first.name}, {two} in {second.name}"


def identity(cell: Cell) -> tuple[Any, ...]:
    """What makes two cells of two sweeps the same, whatever they are called."""
    order = None if cell.imbalance is None else cell.order
    return cell.dataset, cell.imbalance, order, cell.base.model, cell.base.pretrained


def write_compared(home: Home, found: SideBySide, folder: Path | None) -> list[Path]:
    """Write the page and the tables; by default into ``compare/`` of the home, a folder for each pair."""
    created = time.strftime("%Y-%m-%d %H:%M:%S %z")
    return write_files(folder or home.root / FOLDER / pair_name(*found.sides), files(found, created))
