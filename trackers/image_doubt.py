"""The doubt that the test images bring: another draw of images would have given another mean.

Every metric here is, to first order, a sum of one contribution an image; the standard error of the metric
follows from how much the contributions, averaged over the seeds, differ inside each class (the number of
images of a class is fixed, so classes are strata). For accuracy and balanced accuracy this is exact, for
precision and F1 it is the delta method.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Z = 1.959964
"""97.5% point of the normal distribution: there are many images."""

Floats = NDArray[np.float64]


class Predictions(NamedTuple):
    """What one trial said of a set of images: true and predicted classes, int ``(N,)``."""

    targets: NDArray[np.int64]
    predictions: NDArray[np.int64]


def metric_of(confusion: ArrayLike, metric: str) -> float:
    """A metric from a confusion matrix ``(C, C)``, rows true; averages are over the classes that occur.

    Raises:
        ValueError: If there is no such metric, or no image.
    """
    counts = np.asarray(confusion, dtype=np.float64)
    hits, predicted, support = counts.diagonal(), counts.sum(axis=0), counts.sum(axis=1)
    there = support > 0
    if not there.any():
        raise ValueError("a confusion matrix without images has no metrics")
    recall = hits / np.maximum(support, 1)
    by_class = {
        "balanced_accuracy": recall,
        "macro_recall": recall,
        "macro_precision": hits / np.maximum(predicted, 1),
        "macro_f1": 2 * hits / np.maximum(predicted + support, 1),
    }
    if metric == "accuracy":
        return float(hits.sum() / support.sum())
    if metric not in by_class:
        raise ValueError(f"`metric` must be accuracy or one of {', '.join(by_class)}, but got {metric!r}")
    return float(by_class[metric][there].mean())


def contributions(seeds: Sequence[Predictions], metric: str) -> Floats | None:
    """Contribution of every image to the mean of a metric over seeds, ``(N,)``; sums change as it changes.

    Args:
        seeds: One `Predictions` a seed, of the same images in the same order.
        metric: As in `metric_of`.

    Returns:
        ``None`` if there is none, or the seeds were not tested on the same images.
    """
    if not seeds or any(not np.array_equal(seeds[0].targets, each.targets) for each in seeds[1:]):
        return None
    mean: Floats = np.mean([_contributions(each, metric) for each in seeds], axis=0)
    return mean


def standard_error(values: Floats, targets: NDArray[np.int64]) -> float:
    """Standard error of a sum of contributions under another draw of as many images of each class.

    Args:
        values: Contribution of every image, ``(N,)``; for a difference, the difference of two.
        targets: True class of every image, ``(N,)``.
    """
    variance = 0.0
    for members in strata(targets):
        if len(members) > 1:
            variance += len(members) * float(values[members].var(ddof=1))
    return math.sqrt(variance)


def strata(targets: NDArray[np.int64]) -> list[NDArray[np.intp]]:
    """Images by class; classes with one image, which show no deviation, form a stratum together."""
    groups = [np.flatnonzero(targets == each) for each in np.unique(targets)]
    large = sorted((group for group in groups if len(group) > 1), key=len)
    single = [group for group in groups if len(group) == 1]
    if len(single) == 1 and large:
        single.append(large.pop(0))
    return [*large, np.concatenate(single)] if single else large


def _contributions(seed: Predictions, metric: str) -> Floats:
    truth, guess = seed
    classes = int(max(truth.max(), guess.max())) + 1
    support = np.bincount(truth, minlength=classes).astype(np.float64)
    predicted = np.bincount(guess, minlength=classes).astype(np.float64)
    right = (truth == guess).astype(np.float64)
    there = support > 0
    if metric == "accuracy":
        return np.asarray(right / len(truth), dtype=np.float64)
    if metric in ("balanced_accuracy", "macro_recall"):
        return np.asarray(right / support[truth] / there.sum(), dtype=np.float64)
    hits = np.bincount(truth, weights=right, minlength=classes)
    if metric == "macro_precision":
        bottom = np.maximum(predicted, 1)
        change = (right - (hits / bottom)[guess]) / bottom[guess]
    else:
        bottom = np.maximum(predicted + support, 1)
        change = (2 * right - (2 * hits / bottom)[guess]) / bottom[guess]
    return np.asarray(change * there[guess] / there.sum(), dtype=np.float64)
