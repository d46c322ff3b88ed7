"""Do the losses rank as in the paper? A rank correlation beside the highest that can be expected of it.

Even an exact repetition does not correlate to 1: the printed averages hold chance, and so do the measured
ones. The ceiling is simulated: the true average of a loss lies around what is printed, drawn towards the mean
of its family (cross-entropy; focal; focal at gamma 5; CEFL and CEFL2) as far as the deviation by chance
explains the differences inside it; to it is added the chance of as many seeds as were run, from the deviation
that their cells show. Inside the CEFL family the tables show hardly more than chance, so that its order
cannot be reproduced.

How much of the order inside a family is true is a matter of the model, so a second ceiling stands beside:
that of families by loss alone (all of focal in one) whose members are all alike. For three seeds of Table 2
the two are about .94 and .81, of Table 3 .91 and .81.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trackers.compare import BASELINE
from trackers.paper.additive import residual_deviation
from trackers.paper.measured import Measured
from trackers.paper.printed import Printed

FEWEST_ARMS = 3
DRAWS = 4000
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ranking:
    """Spearman's correlation of measured and printed averages.

    Args:
        metric: That is averaged.
        arms: In the comparison, those run in all of ``places``.
        places: The imbalances above 1, or the depths, that the averages are over.
        n: Seeds of the arm that has fewest.
        correlation: ``None`` with fewer than three arms, or where the measured averages are all equal.
        ceiling: Median of the simulation.
        ceiling_low: Its 2.5% quantile.
        ceiling_high: Its 97.5% quantile.
        alike: Median, if losses of one name were truly alike; see `alike_ceiling`.
        alike_low: Its 2.5% quantile.
        alike_high: Its 97.5% quantile.
    """

    metric: str
    arms: tuple[str, ...]
    places: tuple[float | str, ...]
    n: int
    correlation: float | None
    ceiling: float | None
    ceiling_low: float | None
    ceiling_high: float | None
    alike: float | None
    alike_low: float | None
    alike_high: float | None


def rankings(measured: Measured) -> tuple[Ranking, ...]:
    """One for each metric of the table; none for Table 5, whose rows are classes."""
    if measured.table.along == "class":
        return ()
    return tuple(_ranking(measured, metric) for metric in measured.table.metrics)


def simulated_ceiling(
    averages: Floats,
    families: list[str],
    deviation: float,
    places: int,
    seeds: int,
    seed_deviation: float | None = None,
) -> tuple[float, float, float]:
    """Median, 2.5% and 97.5% quantile of the correlation that a repetition of the paper would show.

    Args:
        averages: Printed, ``(arms,)``, percent.
        families: Of every arm.
        deviation: Of a cell by chance, in percentage points.
        places: Cells in an average.
        seeds: Of the repetition.
        seed_deviation: Of its cells, by default that of the printed ones.
    """
    from scipy import stats  # slow to import

    random = np.random.default_rng(0)
    chance = deviation**2 / places
    truth = np.empty((DRAWS, len(averages)))
    for family in dict.fromkeys(families):
        members = np.array([each == family for each in families])
        inside = averages[members]
        spread = max(0.0, float(inside.var(ddof=1)) - chance) if len(inside) > 1 else math.inf
        kept = 1.0 if math.isinf(spread) else spread / (spread + chance) if spread + chance else 1.0
        centre = inside.mean() + kept * (inside - inside.mean())
        truth[:, members] = centre + random.normal(0, math.sqrt(kept * chance), (DRAWS, len(inside)))
    own = deviation if seed_deviation is None else seed_deviation
    again = truth + random.normal(0, own / math.sqrt(places * seeds), truth.shape)
    ranks = again.argsort(axis=1).argsort(axis=1).astype(np.float64)
    one, others = _standardised(stats.rankdata(averages)), _standardised(ranks)
    low, median, high = np.quantile(others @ one / len(averages), (0.025, 0.5, 0.975))
    return float(median), float(low), float(high)


def alike_ceiling(
    averages: Floats,
    losses: list[str],
    deviation: float,
    places: int,
    seeds: int,
    seed_deviation: float | None = None,
) -> tuple[float, float, float]:
    """As `simulated_ceiling`, if the true average of a loss did not depend on its parameters at all.

    The truth is the mean of each loss; the printed averages are drawn around it, too.

    Args:
        losses: Names, of every arm.
    """
    from scipy import stats  # slow to import

    random = np.random.default_rng(0)
    names = np.array(losses)
    truth = np.array([averages[names == each].mean() for each in losses])
    own = deviation if seed_deviation is None else seed_deviation
    drawn = [
        _standardised(stats.rankdata(truth + random.normal(0, error, (DRAWS, len(truth))), axis=1))
        for error in (deviation / math.sqrt(places), own / math.sqrt(places * seeds))
    ]
    low, median, high = np.quantile(np.mean(drawn[0] * drawn[1], axis=1), (0.025, 0.5, 0.975))
    return float(median), float(low), float(high)


def family_of(cell: Printed) -> str:
    """Losses between which the tables show hardly more than chance."""
    if cell.loss == BASELINE:
        return "cross-entropy"
    if cell.loss == "focal":
        return "focal at gamma 5" if cell.params["gamma"] == 5 else "focal"
    return "CEFL"


def _ranking(measured: Measured, metric: str) -> Ranking:
    cells = [
        cell
        for cell in measured.cells
        if cell.printed.metric == metric and cell.printed.imbalance != 1 and cell.printed.value is not None
    ]
    run = {(cell.printed.arm, cell.printed.along): cell for cell in cells if cell.n}
    started = [arm for arm in measured.table.arms if any(key[0] == arm for key in run)]
    places = tuple(
        place for place in measured.table.places if started and all((arm, place) in run for arm in started)
    )
    if not places:  # Some losses were not run everywhere: those that were.
        places = tuple(dict.fromkeys(cell.printed.along for cell in cells))
        started = [arm for arm in started if all((arm, place) in run for place in places)]
    if len(started) < FEWEST_ARMS:
        return Ranking(metric, tuple(started), places, 0, None, None, None, None, None, None, None)
    chosen = [[run[arm, place] for place in places] for arm in started]
    printed = np.array([np.mean([cell.printed.value for cell in row]) for row in chosen])
    means = np.array([np.mean([cell.mean for cell in row]) for row in chosen])
    n = min(cell.n for row in chosen for cell in row)
    deviation = residual_deviation(measured.table, metric)
    families = [family_of(row[0].printed) for row in chosen]
    own = _pooled_deviation([cell.std for row in chosen for cell in row if cell.n > 1])
    losses = [row[0].printed.loss for row in chosen]
    return Ranking(
        metric, tuple(started), places, n, _spearman(printed, means),
        *simulated_ceiling(printed, families, deviation, len(places), n, own),
        *alike_ceiling(printed, losses, deviation, len(places), n, own),
    )  # fmt: skip


def _pooled_deviation(deviations: list[float | None]) -> float | None:
    """Of one cell over its seeds, ``None`` where no cell has two."""
    squares = [value**2 for value in deviations if value is not None]
    return math.sqrt(math.fsum(squares) / len(squares)) if squares else None


def _standardised(ranks: Floats) -> Floats:
    centred: Floats = ranks - ranks.mean(axis=-1, keepdims=True)
    shown: Floats = centred / centred.std(axis=-1, keepdims=True)
    return shown


def _spearman(one: Floats, other: Floats) -> float | None:
    from scipy import stats

    first, second = stats.rankdata(one), stats.rankdata(other)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(np.corrcoef(first, second)[0, 1])
