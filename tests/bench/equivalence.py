"""Are two means the same within a margin? Two one-sided paired t-tests, and the seeds that they need.

Paired, since runs of one seed share their images and initial weights; it holds whatever they have in common.

References:
    Schuirmann, "A comparison of the two one-sided tests procedure and the power approach", 1987.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

ALPHA, POWER, MOST = 0.05, 0.8, 1000


@dataclass(frozen=True)
class Equivalence:
    """What the differences of paired runs say.

    Attributes:
        difference: Mean of the differences.
        deviation: Their standard deviation.
        low: Of the 90% interval; the means are equivalent when it lies inside of the margin.
        high: As ``low``.
        p: Of the test; equivalent below 0.05.
        power: Probability of that result for equal means with this deviation and number of seeds.
        seeds: Number of seeds that would have a power of 80%.
    """

    difference: float
    deviation: float
    low: float
    high: float
    p: float
    power: float
    seeds: int


def equivalence(differences: Sequence[float], margin: float) -> Equivalence:
    """Test whether the true mean of paired differences lies within ``-margin`` and ``margin``.

    Raises:
        ValueError: If there are fewer than two differences, or they do not differ at all.
    """
    if len(differences) < 2 or len(set(differences)) == 1:
        raise ValueError(f"two seeds or more with different results are needed, but got {list(differences)}")
    above = stats.ttest_1samp(differences, -margin, alternative="greater")
    below = stats.ttest_1samp(differences, margin, alternative="less")
    interval = stats.ttest_1samp(differences, 0).confidence_interval(1 - 2 * ALPHA)
    deviation, n = float(np.std(differences, ddof=1)), len(differences)
    return Equivalence(
        difference=float(np.mean(differences)), deviation=deviation, low=float(interval.low),
        high=float(interval.high), p=float(max(above.pvalue, below.pvalue)),
        power=power(deviation, n, margin), seeds=seeds_needed(deviation, margin),
    )  # fmt: skip


def power(deviation: float, n: int, margin: float) -> float:
    """Probability that ``n`` paired runs with equal means show it, over the deviations that they may have."""
    places = (np.arange(4000) + 0.5) / 4000
    seen = deviation * np.sqrt(stats.chi2.ppf(places, n - 1) / (n - 1))
    error = deviation / math.sqrt(n)
    free = margin - stats.t.ppf(1 - ALPHA, n - 1) * seen / math.sqrt(n)
    return float(np.mean(np.where(free > 0, 2 * stats.norm.cdf(free / error) - 1, 0.0)))


def seeds_needed(deviation: float, margin: float, wanted: float = POWER) -> int:
    """The least number of seeds with that power; `MOST` where even they lack it."""
    return 2 + bisect_left(range(2, MOST), wanted, key=lambda n: power(deviation, n, margin))
