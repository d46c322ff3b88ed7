"""Which arms deserve a confirmation: the heights of smoothed curves over gamma, not the luckiest trials.

Scores of neighbouring gammas are evidence about each other, so every arm is judged by the curve at its place
instead of by its own score alone. In simulations on curves as they were measured (24 gammas), the best of
three arms nominated so is .02 to .04 points below the best there is, that of the three highest single scores
.05 to .08.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from trackers.compare import BASELINE, ArmSummary, arm_key, baseline_of
from trackers.table import arm_label

WIDTH = 0.25
"""Width of the kernel over ``log(1 + gamma)``: 1 and 1.57, or 4 and 5.4, are one width apart."""

ALPHA_WIDTH = 0.5
"""Width over ``log(alpha)``, which scales the step of the training: factors of 1.65 are one width apart."""

SPACING = 1.0
"""Nominated arms of one curve lie at least so many widths apart."""

ALONG: Mapping[str, tuple[str, ...]] = {
    "focal": ("gamma", "alpha"),
    "cefl": ("gamma",),
    "cefl2": ("gamma",),
}
"""Losses that begin at cross-entropy (gamma 0, alpha 1), and along what; others go along gamma alone."""

Array = NDArray[np.float64]
Curve = tuple[str, tuple[tuple[str, float], ...]]
"""A loss, and those of its parameters that do not vary along the curve, such as the ``beta`` of cb_focal."""


@dataclass(frozen=True)
class Nominee:
    """An arm to confirm; ``score`` is the height of the curve there (of cross-entropy its mean, if any)."""

    loss: str
    params: Mapping[str, float]
    score: float | None

    @property
    def arm(self) -> str:
        """Loss with its parameters, such as ``cefl(gamma=2)``."""
        return arm_label(self.loss, self.params)


def nominate(arms: Iterable[ArmSummary], most: int = 3) -> list[Nominee]:
    """The most promising arms of one cell, the highest first, and then cross-entropy, always.

    An arm needs a complete trial. Cross-entropy is the curve of the losses in `ALONG` at gamma 0 (of focal at
    alpha 1), so it supports them there, and their arms of gamma 0 are not nominated beside it. Of any other
    loss with a gamma every choice of its other parameters is a curve by itself. An arm without gamma, or with
    one below 0, which a loss of one's own may have, has no neighbours and is judged by its own mean.

    Args:
        arms: The leaderboard of one cell.
        most: How many to name beside cross-entropy, ``>= 0``; fewer where fewer lie apart.

    Raises:
        ValueError: If the arms are of several cells, or ``most`` is negative.
    """
    arms = [arm for arm in arms if arm.n]
    cells = sorted({arm.cell for arm in arms})
    if most < 0 or len(cells) > 1:
        raise ValueError(
            f"`most >= 0` and arms of one cell must be given, but got most={most}, cells={cells}."
        )
    means = dict(zip(map(arm_key, arms), seedless_means(arms), strict=True))
    baseline = baseline_of(arms)
    found: list[_Candidate] = []
    curves: dict[Curve, list[ArmSummary]] = {}
    for arm in arms:
        if (on := curve_of(arm.loss, arm.params)) is not None:
            curves.setdefault(on, []).append(arm)
        elif arm.loss != BASELINE:
            found.append(_Candidate(arm, means[arm_key(arm)]))
    for on, curve in curves.items():
        loss = on[0]
        support = curve if baseline is None or loss not in ALONG else [*curve, baseline]
        places = np.array([place(loss, arm.params) for arm in support])
        heights = smoothed(
            places, [means[arm_key(arm)] for arm in support], [arm.n for arm in support], places
        )
        found += [
            _Candidate(arm, float(height), on, at)
            for arm, height, at in zip(curve, heights[: len(curve)], places[: len(curve)], strict=True)
            if not is_baseline(loss, arm.params)
        ]
    found.sort(key=lambda each: (-round(each.height, 12), arm_key(each.arm)))
    chosen: list[_Candidate] = []
    for each in found:
        if len(chosen) < most and all(each.is_apart_from(other) for other in chosen):
            chosen.append(each)
    reference = None if baseline is None else means[arm_key(baseline)]
    return [
        *(Nominee(each.arm.loss, each.arm.params, each.height) for each in chosen),
        Nominee(BASELINE, {}, reference),
    ]


@dataclass(frozen=True)
class _Candidate:
    arm: ArmSummary
    height: float
    curve: Curve | None = None
    place: Array | None = None

    def is_apart_from(self, other: _Candidate) -> bool:
        if self.curve != other.curve or self.place is None or other.place is None:
            return True
        return float(np.linalg.norm(self.place - other.place)) >= SPACING


def smoothed(places: Array, scores: Sequence[float], weights: Sequence[float], at: Array) -> Array:
    """Kernel regression (Nadaraya and Watson) with a Gaussian of width 1.

    Args:
        places: Where the scores were measured, ``(N, D)``.
        scores: Shape ``(N,)``.
        weights: Trials behind each score, ``(N,)``, above 0.
        at: Where the curve is asked for, ``(M, D)``; places themselves, or close to one.

    Returns:
        Heights of the curve, ``(M,)``, each between the least and the greatest score.

    References:
        Nadaraya, "On estimating regression", Theory of Probability and its Applications 1964.
    """
    squares = ((at[:, None, :] - places[None, :, :]) ** 2).sum(axis=2)
    kernel = np.exp(-squares / 2) * np.asarray(weights, dtype=np.float64)
    heights: Array = kernel @ np.asarray(scores, dtype=np.float64) / kernel.sum(axis=1)
    return heights


def curve_of(loss: str, params: Mapping[str, float]) -> Curve | None:
    """The curve that an arm lies on, ``None`` where it has no neighbours."""
    if params.get("gamma", -1.0) < 0:
        return None
    return loss, tuple(sorted((name, value) for name, value in params.items() if name not in along(loss)))


def along(loss: str) -> tuple[str, ...]:
    """The parameters that vary along a curve of a loss."""
    return ALONG.get(loss, ("gamma",))


def place(loss: str, params: Mapping[str, float]) -> Array:
    """Where an arm lies on its curve, ``(2,)``: ``log(1 + gamma)``, ``log(alpha)``, in widths."""
    alpha = params.get("alpha", 1.0) if "alpha" in along(loss) else 1.0
    return np.array([np.log1p(params.get("gamma", 0.0)) / WIDTH, np.log(alpha) / ALPHA_WIDTH])


def is_baseline(loss: str, params: Mapping[str, float]) -> bool:
    """Whether a loss with these parameters is cross-entropy itself."""
    return loss in ALONG and params.get("gamma", 0.0) == 0 and params.get("alpha", 1.0) == 1


def seedless_means(arms: Sequence[ArmSummary]) -> list[float]:
    """The mean of every arm as if all had been trained with the same seeds.

    A seed draws its own images, and some are easier: an arm that was tried with that seed alone would look
    better than it is. What a seed adds is estimated on the arms that were tried with every seed.
    """
    every = {seed for arm in arms for seed in arm.seeds}
    whole = [dict(zip(arm.seeds, arm.scores, strict=True)) for arm in arms if set(arm.seeds) == every]
    effects = {
        seed: fmean(scores[seed] - fmean(scores.values()) for scores in whole) if whole else 0.0
        for seed in every
    }
    return [
        fmean(score - effects[seed] for seed, score in zip(arm.seeds, arm.scores, strict=True))
        for arm in arms
    ]
