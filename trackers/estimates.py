"""A mean over seeds with both its doubts, a paired difference, and recall by class and by class size.

Half-widths of 95% intervals: ``h_seeds`` is Student's over the seeds, ``h_images`` is 1.96 standard errors of
the scores of the images, averaged over the seeds; together they are ``sqrt(h_seeds^2 + h_images^2)``. For one
class ``h_images`` comes from Wilson's interval with the number of its test images, never times the seeds.
"""

from __future__ import annotations

import math
import statistics as stdlib_statistics
from collections.abc import Sequence
from dataclasses import dataclass

from trackers.image_doubt import Predictions, Z, contributions, standard_error
from trackers.statistics import Interval, paired_t, t_interval, wilson
from trackers.table import TrialResult

MANY, FEW = 100, 20
"""Training images: above 100 a class is many-shot, below 20 few-shot (Liu et al. 2019)."""

Tested = Sequence[Predictions | None]
"""What each seed said of the test images; ``None`` where that is not at hand."""


@dataclass(frozen=True)
class Estimate:
    """A mean over ``n`` seeds, shares of 1; half-widths are ``None`` where they are not known."""

    mean: float
    std: float | None
    n: int
    h_seeds: float | None
    h_images: float | None

    @property
    def half(self) -> float | None:
        """Half-width of the 95% interval from both doubts; ``None`` without that of the seeds."""
        return None if self.h_seeds is None else math.hypot(self.h_seeds, self.h_images or 0.0)

    @property
    def low(self) -> float | None:
        return None if self.half is None else self.mean - self.half

    @property
    def high(self) -> float | None:
        return None if self.half is None else self.mean + self.half


@dataclass(frozen=True)
class Contrast:
    """A mean difference over the same seeds, its values, and the p of the paired t-test, not corrected."""

    estimate: Estimate
    values: tuple[float, ...]
    p: float | None

    @property
    def excludes_zero(self) -> bool | None:
        """Whether the interval with the doubt of the images lies on one side of 0."""
        low, high = self.estimate.low, self.estimate.high
        return None if low is None or high is None else low > 0 or high < 0

    def reversed(self) -> Contrast:
        """The other arm minus this one."""
        turned = Estimate(
            -self.estimate.mean, self.estimate.std, self.estimate.n, self.estimate.h_seeds,
            self.estimate.h_images,
        )  # fmt: skip
        return Contrast(turned, tuple(-value for value in self.values), self.p)


@dataclass(frozen=True)
class Recall:
    """Recall of a class, or of all images of some classes, as mean over seeds with its 95% interval.

    ``train`` counts training images of one class, of the largest of several; ``images`` test images.
    """

    label: str
    train: int
    images: int
    mean: float
    interval: Interval | None


def estimate(scores: Sequence[float], tested: Tested, metric: str) -> Estimate:
    """Mean of a metric over seeds.

    Args:
        scores: One a seed, at least one.
        tested: As many, for the doubt of the images.
        metric: As in `trackers.image_doubt.metric_of`.
    """
    known = [each for each in tested if each is not None]
    values = contributions(known, metric) if len(known) == len(scores) else None
    h_images = None if values is None else Z * standard_error(values, known[0].targets)
    return _estimate(scores, h_images)


def contrast(differences: Sequence[float], one: Tested, other: Tested, metric: str) -> Contrast | None:
    """Paired difference of two arms, ``None`` without a common seed; arguments as in `estimate`."""
    if not differences:
        return None
    first = [each for each in one if each is not None]
    second = [each for each in other if each is not None]
    h_images = None
    if len(first) == len(second) == len(differences):
        values = contributions(first, metric), contributions(second, metric)
        same = contributions([first[0], second[0]], metric) is not None
        if same and values[0] is not None and values[1] is not None:
            h_images = Z * standard_error(values[0] - values[1], first[0].targets)
    return Contrast(_estimate(differences, h_images), tuple(differences), paired_t(differences).p)


def recalls(trials: Sequence[TrialResult]) -> tuple[Recall, ...]:
    """Recall of every class with test images, the class with most training images first."""
    found = _hits(trials)
    if found is None:
        return ()
    hits, images, train, classes = found
    order = sorted((index for index in range(len(images)) if images[index]), key=lambda at: (-train[at], at))
    return tuple(
        _recall(classes[at], train[at], images[at], [seed[at] / images[at] for seed in hits]) for at in order
    )


def recalls_by_size(trials: Sequence[TrialResult]) -> tuple[Recall, ...]:
    """Recall of the images of classes with many, a medium number and few training images."""
    found = _hits(trials)
    if found is None:
        return ()
    hits, images, train, _ = found
    groups = {
        "many": [at for at, count in enumerate(train) if count > MANY],
        "medium": [at for at, count in enumerate(train) if FEW <= count <= MANY],
        "few": [at for at, count in enumerate(train) if count < FEW],
    }
    sizes = {name: sum(images[at] for at in members) for name, members in groups.items()}
    return tuple(
        _recall(
            name,
            max(train[at] for at in members),
            sizes[name],
            [sum(seed[at] for at in members) / sizes[name] for seed in hits],
        )
        for name, members in groups.items()
        if sizes[name]
    )


def _estimate(values: Sequence[float], h_images: float | None) -> Estimate:
    interval = t_interval(values)
    return Estimate(
        mean=stdlib_statistics.fmean(values),
        std=stdlib_statistics.stdev(values) if len(values) > 1 else None,
        n=len(values),
        h_seeds=None if interval is None else (interval.high - interval.low) / 2,
        h_images=h_images,
    )


def _recall(label: str, train: int, images: int, shares: Sequence[float]) -> Recall:
    mean = stdlib_statistics.fmean(shares)
    if len(shares) < 2:
        return Recall(label, train, images, mean, None)
    seeds, drawn = t_interval(shares), wilson(mean, images)
    h_seeds = 0.0 if seeds is None else (seeds.high - seeds.low) / 2
    return Recall(
        label, train, images, mean,
        Interval(
            max(0.0, mean - math.hypot(h_seeds, mean - drawn.low)),
            min(1.0, mean + math.hypot(h_seeds, drawn.high - mean)),
        ),
    )  # fmt: skip


def _hits(
    trials: Sequence[TrialResult],
) -> tuple[list[list[int]], list[int], tuple[int, ...], tuple[str, ...]] | None:
    """Recalled images by seed and class, test images, training images and name by class."""
    matrices = [trial.confusion.get("test") for trial in trials]
    whole = [matrix for matrix in matrices if matrix]
    if not trials or len(whole) < len(trials):
        return None
    images = [sum(row) for row in whole[0]]
    first = trials[0]
    if any([sum(row) for row in matrix] != images for matrix in whole):
        return None
    if not len(first.train_counts) == len(first.classes) == len(images):
        return None
    hits = [[matrix[at][at] for at in range(len(images))] for matrix in whole]
    return hits, images, first.train_counts, first.classes
