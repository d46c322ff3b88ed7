"""How much a cell of the paper deviates by chance: what a sum of an arm and a column leaves over."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from trackers.compare import BASELINE
from trackers.paper.printed import PaperTable, Printed

Floats = NDArray[np.float64]


def matrix(table: PaperTable, metric: str) -> tuple[tuple[str, ...], tuple[float | str, ...], Floats]:
    """Arms, columns and the printed values ``(arms, columns)`` in percent; NaN where one is lost.

    Columns are the imbalances above 1 or the depths.
    """
    cells = [cell for cell in table.cells if cell.metric == metric and cell.imbalance != 1]
    arms = tuple(dict.fromkeys(cell.arm for cell in cells))
    columns = tuple(dict.fromkeys(cell.along for cell in cells))
    values = np.full((len(arms), len(columns)), math.nan)
    for cell in cells:
        if cell.value is not None:
            values[arms.index(cell.arm), columns.index(cell.along)] = cell.value
    return arms, columns, values


def residual_deviation(table: PaperTable, metric: str) -> float:
    """Standard deviation of a printed cell around arm + column, in percentage points.

    Without cross-entropy and focal loss at gamma 5, which lose more than others as the imbalance grows, so
    that their residuals are no chance. Columns with a lost cell are left out. It holds chance (seed, images)
    and whatever interaction there is, so it is at most the deviation by chance of the paper's cells.
    """
    arms, _, values = matrix(table, metric)
    cells = {cell.arm: cell for cell in table.cells}
    kept = [index for index, arm in enumerate(arms) if _reacts_alike(cells[arm])]
    block = values[kept][:, ~np.isnan(values).any(axis=0)]
    rows, columns = block.shape
    return float(np.sqrt((residuals(block) ** 2).sum() / ((rows - 1) * (columns - 1))))


def residuals(values: Floats) -> Floats:
    """``values`` ``(rows, columns)`` without the means of their rows and columns."""
    centred: Floats = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
    return centred


def _reacts_alike(cell: Printed) -> bool:
    return cell.loss != BASELINE and not (cell.loss == "focal" and cell.params["gamma"] == 5)
