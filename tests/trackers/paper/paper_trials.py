"""Trials with known results in the cells of a table of the paper."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from synthetic_trials import trial

from trackers.paper.additive import residual_deviation
from trackers.paper.measured import TRAINING_IMAGES
from trackers.paper.printed import PaperTable, Printed
from trackers.table import TrialResult


def as_printed(cell: Printed) -> float:
    """What the paper prints, or half of the truth where it is lost."""
    return 50.0 if cell.value is None else cell.value


def trials_of(
    table: PaperTable,
    seeds: int = 5,
    truth: Callable[[Printed], float] = as_printed,
    deviation: float | None = None,
    places: Sequence[float | str] | None = None,
    depth: int | None = None,
) -> list[TrialResult]:
    """A trial in every cell of Table 2, 3 or 4 and every seed: the truth and normal noise.

    Args:
        truth: Percent.
        deviation: Over seeds, by default that of the paper's cells.
        places: Imbalances or depths to run, by default all.
        depth: In place of the table's.
    """
    random = np.random.default_rng(0)
    spread = residual_deviation(table, table.metrics[0]) if deviation is None else deviation
    classes = tuple(f"class {index}" for index in range(table.classes))
    cells: dict[tuple[float | str, str], dict[str, float]] = {}
    by_key = {}
    for cell in table.cells:
        if places is None or cell.along in places:
            cells.setdefault((cell.along, cell.arm), {})[cell.metric] = truth(cell)
            by_key[cell.along, cell.arm] = cell
    found = []
    for key, metrics in cells.items():
        cell = by_key[key]
        images = TRAINING_IMAGES[table.name][cell.imbalance]
        for seed in range(seeds):
            values = {
                f"test/{name}": (value + random.normal(0, spread)) / 100 for name, value in metrics.items()
            }
            found.append(
                trial(
                    cell=f"{table.dataset}-{key[0]}", dataset=table.dataset, imbalance=cell.imbalance,
                    order=None if cell.imbalance is None else "ascending",
                    model=f"resnet{depth or cell.depth}", depth=depth or cell.depth,
                    pretrained=table.pretrained, loss=cell.loss, params=cell.params, seed=seed,
                    epochs=table.epochs, metrics=values, classes=classes,
                    train_counts=(images - table.classes + 1, *(1,) * (table.classes - 1)),
                )
            )  # fmt: skip
    return found
