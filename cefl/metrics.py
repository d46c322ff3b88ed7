"""Metrics of a classification; all lie in [0, 1].

All follow from the confusion matrix. Averages over classes are over the classes that occur among the targets.
They agree with scikit-learn's, which takes milliseconds a call and a second to import.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

MANY, FEW = 100, 20
"""Training images: above 100 a class is many-shot, below 20 few-shot (Liu et al. 2019)."""

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


def confusion(targets: ArrayLike, predictions: ArrayLike, num_classes: int) -> Counts:
    """Confusion matrix, int64 ``(C, C)``: rows are the true classes, columns the predicted ones.

    Args:
        targets: True classes, int ``(N,)`` in ``[0, C)``, at least one.
        predictions: As ``targets``.
        num_classes: Number of classes ``C``.

    Raises:
        ValueError: If the two are not of one length, or a class is out of range.
    """
    truth, guess = np.asarray(targets), np.asarray(predictions)
    if truth.ndim != 1 or truth.shape != guess.shape or not len(truth):
        raise ValueError(
            f"targets and predictions must both be (N,), N >= 1, but got {truth.shape} and {guess.shape}"
        )
    for name, values in (("targets", truth), ("predictions", guess)):
        low, high = values.min(), values.max()
        if low < 0 or high >= num_classes:
            raise ValueError(f"{name} must be classes in [0, {num_classes}), but got {low} to {high}")
    pairs = truth.astype(np.int64) * num_classes + guess
    matrix: Counts = np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)
    return matrix


def per_class(
    targets: ArrayLike, predictions: ArrayLike, num_classes: int
) -> tuple[Floats, Floats, Floats, Counts]:
    """Precision, recall, F1 and support of each class, four arrays ``(C,)``; arguments as in `confusion`.

    A class without targets has NaN in the first three; one that is never predicted has precision 0.
    """
    return _rates(confusion(targets, predictions, num_classes))


def classification_metrics(targets: ArrayLike, predictions: ArrayLike, num_classes: int) -> dict[str, float]:
    """Accuracy, balanced accuracy, and macro precision, recall and F1; arguments as in `confusion`."""
    return metrics_from_confusion(confusion(targets, predictions, num_classes))


def metrics_from_confusion(matrix: ArrayLike) -> dict[str, float]:
    """`classification_metrics` where only a confusion matrix ``(C, C)`` is at hand."""
    counts = np.asarray(matrix, dtype=np.int64)
    precision, recall, f1, _ = _rates(counts)
    return {
        "accuracy": float(counts.trace() / counts.sum()),
        "balanced_accuracy": float(np.nanmean(recall)),
        "macro_precision": float(np.nanmean(precision)),
        "macro_recall": float(np.nanmean(recall)),
        "macro_f1": float(np.nanmean(f1)),
    }


def shot_accuracy(
    targets: ArrayLike, predictions: ArrayLike, train_counts: Sequence[int] | Counts
) -> dict[str, float]:
    """Share of right images among those of classes with many, a medium number and few training images.

    Args:
        targets: As in `confusion`.
        predictions: As in `confusion`.
        train_counts: Training images of each class, ``(C,)``.

    Returns:
        ``many``, ``medium`` and ``few``; a group without images is absent.
    """
    truth = np.asarray(targets)
    right, images = truth == np.asarray(predictions), np.asarray(train_counts)[truth]
    groups = {"many": images > MANY, "medium": (images >= FEW) & (images <= MANY), "few": images < FEW}
    return {name: float(right[chosen].mean()) for name, chosen in groups.items() if chosen.any()}


def _rates(matrix: Counts) -> tuple[Floats, Floats, Floats, Counts]:
    """Precision, recall, F1 and support of each class."""
    hits, predicted, support = matrix.diagonal(), matrix.sum(axis=0), matrix.sum(axis=1)
    shares = hits / np.maximum(predicted, 1), hits / np.maximum(support, 1)
    f1 = 2 * hits / np.maximum(predicted + support, 1)
    precision, recall, f1 = (np.where(support == 0, np.nan, each) for each in (*shares, f1))
    return precision, recall, f1, support
