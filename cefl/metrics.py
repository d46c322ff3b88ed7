"""Metrics of a classification, by scikit-learn; all lie in [0, 1].

Averages over classes are over the classes that occur among the targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

MANY, FEW = 100, 20
"""Training images of a class: above 100 it is a many-shot class, below 20 a few-shot one (Liu et al. 2019)."""

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


def confusion(targets: ArrayLike, predictions: ArrayLike, num_classes: int) -> Counts:
    """Confusion matrix, int64 ``(C, C)``: rows are the true classes, columns the predicted ones."""
    from sklearn.metrics import confusion_matrix

    matrix: Counts = confusion_matrix(targets, predictions, labels=np.arange(num_classes)).astype(np.int64)
    return matrix


def per_class(
    targets: ArrayLike, predictions: ArrayLike, num_classes: int
) -> tuple[Floats, Floats, Floats, Counts]:
    """Precision, recall, F1 and support of each class, four arrays ``(C,)``.

    A class without targets has NaN in the first three; one that is never predicted has precision 0.
    """
    from sklearn.metrics import precision_recall_fscore_support

    result: Any = precision_recall_fscore_support(
        targets, predictions, labels=np.arange(num_classes), average=None, zero_division=0.0
    )
    precision, recall, f1, support = (np.asarray(each) for each in result)
    absent = support == 0
    return (*(np.where(absent, np.nan, each) for each in (precision, recall, f1)), support.astype(np.int64))  # type: ignore[return-value]


def classification_metrics(targets: ArrayLike, predictions: ArrayLike, num_classes: int) -> dict[str, float]:
    """Accuracy, balanced accuracy, and macro precision, recall and F1.

    Args:
        targets: True classes, int ``(N,)`` in ``[0, C)``.
        predictions: As ``targets``.
        num_classes: Number of classes ``C``.
    """
    from sklearn.metrics import accuracy_score

    precision, recall, f1, _ = per_class(targets, predictions, num_classes)
    return {
        "accuracy": float(accuracy_score(targets, predictions)),
        "balanced_accuracy": float(np.nanmean(recall)),
        "macro_precision": float(np.nanmean(precision)),
        "macro_recall": float(np.nanmean(recall)),
        "macro_f1": float(np.nanmean(f1)),
    }


def metrics_from_confusion(matrix: ArrayLike) -> dict[str, float]:
    """`classification_metrics` where only a confusion matrix ``(C, C)`` is at hand."""
    counts = np.asarray(matrix, dtype=np.int64)
    rows, columns = np.indices(counts.shape)
    return classification_metrics(
        np.repeat(rows.ravel(), counts.ravel()), np.repeat(columns.ravel(), counts.ravel()), len(counts)
    )


def shot_accuracy(
    targets: ArrayLike, predictions: ArrayLike, train_counts: Sequence[int] | Counts
) -> dict[str, float]:
    """Accuracy over the classes with many, a medium number and few training images; a group without images is absent."""
    from sklearn.metrics import accuracy_score

    truth, predicted = np.asarray(targets), np.asarray(predictions)
    images = np.asarray(train_counts)[truth]
    groups = {"many": images > MANY, "medium": (images >= FEW) & (images <= MANY), "few": images < FEW}
    return {
        name: float(accuracy_score(truth[chosen], predicted[chosen]))
        for name, chosen in groups.items()
        if chosen.any()
    }
