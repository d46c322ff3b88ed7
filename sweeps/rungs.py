"""When the trials of a study are compared while they run, and by what: the schedule of early stopping.

Under a step schedule the order of two arms before the learning rate first drops says next to nothing about
their end: in measured curves accuracy jumps by 4 points there, over a jitter of 2 before it, and of 100
searches with common defaults 64 to 71 lost the best of 20 arms, with these none. So nobody is stopped before
the first drop and 5% of the epochs after it, and the mean since the last drop is compared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from cefl.recipes import Recipe
from sweeps.history import SPLIT_NAMES, Row
from sweeps.spec.model import Select, Study

AFTER_DROP = 0.05
"""Part of the epochs between the first drop and the first comparison."""

WITHOUT_DROP = 0.5
"""Part of the epochs before the first comparison where the learning rate never drops."""

WINDOW = 5
"""Epochs whose mean is compared as long as the learning rate has not dropped."""

COMPARED = 5
"""Values that stand at a rung before anyone is stopped there."""


@dataclass(frozen=True)
class Rungs:
    """Who is compared when.

    Attributes:
        epochs: The rungs, rising, each before the last epoch; without any nobody is stopped.
        reduction: At a rung about one trial in so many goes on.
        pruner: ``halving``: every trial meets every rung; ``hyperband``: some begin at a later one.
        points: Whether listed points are stopped too; they are compared with in any case.
        last: Epochs of a whole trial.
    """

    epochs: tuple[int, ...] = ()
    reduction: int = 3
    pruner: str = "none"
    points: bool = False
    last: int = 0


def rungs_of(study: Study, recipe: Recipe) -> Rungs:
    """The rungs of a study: the grace period, and from there every ``reduction`` times as many epochs."""
    if study.pruner == "none":
        return Rungs()
    epochs, epoch = [], study.grace or default_grace(recipe)
    while epoch < recipe.epochs:
        epochs.append(epoch)
        epoch *= study.reduction
    return Rungs(tuple(epochs), study.reduction, study.pruner, study.prune == "all", recipe.epochs)


def default_grace(recipe: Recipe) -> int:
    """Epochs that every trial may train: to the first drop and 5% more, or half of them without a drop."""
    if not recipe.milestones:
        return math.ceil(WITHOUT_DROP * recipe.epochs)
    return recipe.milestones[0] + math.ceil(AFTER_DROP * recipe.epochs)


def standing(rows: Sequence[Row], epoch: int, select: Select, milestones: Sequence[int]) -> float | None:
    """How good a trial is after some epochs: the mean since the last drop, or of the last five before any.

    Args:
        rows: From the first epoch on.
        epoch: The last one that counts, from 1.
        select: Whose metric and split are compared, whatever its epoch.
        milestones: Epochs, counted from 0, at which the learning rate drops.

    Returns:
        ``None`` where one of these epochs or its metric is missing.
    """
    name = f"{SPLIT_NAMES[select.split]}/{select.metric}"
    values = {row["epoch"]: row["metrics"][name] for row in rows if name in row["metrics"]}
    passed = [milestone for milestone in milestones if milestone < epoch]
    chosen = range(passed[-1] + 1 if passed else max(1, epoch - WINDOW + 1), epoch + 1)
    if not values.keys() >= set(chosen):
        return None
    return fmean(values[number] for number in chosen)
