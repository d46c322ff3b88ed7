"""Precision, recall and F1 of every class, from confusion matrices: the paper's Table 5 for any sweep.

With several seeds each value is the mean over the seeds of the seed's own value (not of a summed matrix), so
that the macro average is the mean of the trials' macro metrics. A class that a seed never predicts has
precision 0 in it; one without images in the split has no value and no part in the macro average.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trackers.compare import ArmSummary, arm_key
from trackers.report_data import CellReport, leading_arms
from trackers.table import TrialResult
from trackers.views import class_order, trials_by_arm, unique_labels

RATES = ("precision", "recall", "f1")


@dataclass(frozen=True)
class ClassRates:
    """One class, or all of them; shares of 1, ``None`` without images.

    ``support`` counts the images of the class in the split, ``train_images`` those that the model trained on
    (``None``: not known).
    """

    label: str
    train_images: int | None
    support: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class ClassTable:
    """The classes of one arm over ``n`` seeds, the largest first, and their unweighted mean."""

    cell: str
    arm: str
    loss: str
    split: str
    n: int
    rows: tuple[ClassRates, ...]
    macro: ClassRates


def rates_of(matrix: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    """Precision, recall and F1 of every class.

    Args:
        matrix: Counts ``(C, C)``, rows are the true classes.

    Returns:
        Shape ``(C, 3)``; NaN for a class without images.
    """
    counts = np.asarray(matrix, dtype=np.int64)
    hits, predicted, support = counts.diagonal(), counts.sum(axis=0), counts.sum(axis=1)
    table = np.stack(
        [
            hits / np.maximum(predicted, 1),
            hits / np.maximum(support, 1),
            2 * hits / np.maximum(predicted + support, 1),
        ],
        axis=1,
    )
    table[support == 0] = np.nan
    return table


def class_table(
    trials: Iterable[TrialResult], arm: ArmSummary, split: str, train_counts: Sequence[int]
) -> ClassTable | None:
    """The classes of one arm on a split (``"val"``, ``"test"``), ``None`` if it has no confusion matrix."""
    members = [trial for trial in trials_by_arm(trials).get(arm_key(arm), []) if trial.confusion.get(split)]
    if not members:
        return None
    size = len(members[0].confusion[split])
    members = [each for each in members if len(each.confusion[split]) == size]
    values = np.stack([rates_of(each.confusion[split]) for each in members])
    seen = ~np.isnan(values).all(axis=(0, 2))
    mean = np.full(values.shape[1:], np.nan)
    mean[seen] = np.nanmean(values[:, seen], axis=0)
    support = [sum(row) for row in members[0].confusion[split]]
    names = members[0].classes if len(members[0].classes) == size else tuple(map(str, range(size)))
    known = train_counts if len(train_counts) == size else ()
    order = class_order(train_counts, size)
    labels = unique_labels([names[index] for index in order])
    rows = tuple(
        _rates(label, known[index] if known else None, support[index], mean[index])
        for label, index in zip(labels, order, strict=True)
    )
    whole = np.nanmean(mean, axis=0) if seen.any() else np.full(3, np.nan)
    total = sum(known) if known else None
    macro = _rates("macro average", total, sum(support), whole)
    return ClassTable(arm.cell, arm.arm, arm.loss, split, len(members), rows, macro)


def class_tables(cell: CellReport, first: str) -> tuple[ClassTable, ...]:
    """`leading_arms` of a cell, all on the first split that the leading arm has.

    Args:
        cell: With its trials.
        first: The split to prefer, ``"val"`` or ``"test"``.
    """
    arms = leading_arms(cell)
    if not arms:
        return ()
    for split in (first, "val", "test"):
        found = [class_table(cell.trials, arm, split, cell.info.train_counts) for arm in arms]
        if found[0] is not None:
            return tuple(table for table in found if table is not None)
    return ()


def _rates(label: str, train: int | None, support: int, values: NDArray[np.float64]) -> ClassRates:
    precision, recall, f1 = (None if np.isnan(value) else float(value) for value in values)
    return ClassRates(label, None if train is None else int(train), int(support), precision, recall, f1)
