"""What the figures show, computed before anything is drawn: small frozen values that a test can read.

A page must stay usable with 10,000 trials, so every view has a limit, keeps the best arm and cross-entropy in
any case, and counts what it left out; the captions repeat that count.
"""

from __future__ import annotations

import math
import statistics as stdlib_statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from trackers.compare import ArmKey, ArmSummary, arm_key, baseline_of, counts_as_result, searched
from trackers.table import TrialResult, arm_label

MOST_CURVES = 20
MOST_DOTS = 30
MOST_POINTS = 200
MOST_EPOCHS = 400
ALL_TICKS = 25
MOST_TICKS = 15
"""Up to `ALL_TICKS` classes are all named on an axis, of more an even selection of `MOST_TICKS`."""


@dataclass(frozen=True)
class Reference:
    """Cross-entropy in the same cell: mean, least and greatest score over ``n`` seeds, shares of 1."""

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class GammaSeries:
    """The arms of one loss that differ in gamma alone, ascending by gamma, at most `MOST_POINTS`."""

    loss: str
    others: Mapping[str, float]
    gammas: tuple[float, ...]
    arms: tuple[ArmSummary, ...]


@dataclass(frozen=True)
class GammaView:
    """Score against gamma: a series for each loss and each setting of its other parameters."""

    series: tuple[GammaSeries, ...]
    baseline: Reference | None
    best: ArmSummary | None
    left_out: int


@dataclass(frozen=True)
class Line:
    """A value by epoch: mean, least and greatest over the seeds; ``None`` where it was not finite."""

    mean: tuple[float | None, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]


@dataclass(frozen=True)
class Curve:
    """The training of one arm; ``role`` is ``"best"``, ``"baseline"`` or ``"other"``."""

    arm: str
    loss: str
    role: str
    n: int
    epochs: tuple[int, ...]
    train_loss: Line
    metric: Line


@dataclass(frozen=True)
class CurvesView:
    """Training curves of the leading arms; ``metric`` names the lower panel, such as ``val/accuracy``."""

    curves: tuple[Curve, ...]
    metric: str
    left_out: int


@dataclass(frozen=True)
class ConfusionView:
    """Counts and row shares, both ``(C, C)``, rows true, summed over ``n`` seeds; the largest class first."""

    arm: str
    split: str
    n: int
    labels: tuple[str, ...]
    ticks: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    shares: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True)
class ClassesView:
    """Images of every class in each split, the largest class first; ``train_only`` marks the unvalidated."""

    labels: tuple[str, ...]
    ticks: tuple[str, ...]
    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]
    train_only: tuple[bool, ...]


@dataclass(frozen=True)
class DotsView:
    """The head of a leaderboard, best first, always with cross-entropy."""

    arms: tuple[ArmSummary, ...]
    baseline: Reference | None
    left_out: int


def reference(arms: Iterable[ArmSummary]) -> Reference | None:
    """Cross-entropy among the arms of one cell."""
    arm = baseline_of(arms)
    if arm is None or arm.mean is None or arm.minimum is None or arm.maximum is None:
        return None
    return Reference(arm.mean, arm.minimum, arm.maximum, arm.n)


def gamma_view(arms: Sequence[ArmSummary]) -> GammaView:
    """Ranked arms of one cell by gamma; arms without a gamma or without a complete trial are not drawn."""
    groups: dict[ArmKey, list[ArmSummary]] = {}
    for arm in arms:
        if arm.n and "gamma" in arm.params:
            others = tuple((name, value) for name, value in sorted(arm.params.items()) if name != "gamma")
            groups.setdefault((arm.loss, others), []).append(arm)
    series, left_out = [], 0
    for (loss, others), members in sorted(groups.items()):
        kept = _thinned(sorted(members, key=lambda arm: arm.params["gamma"]), MOST_POINTS)
        left_out += len(members) - len(kept)
        gammas = tuple(arm.params["gamma"] for arm in kept)
        series.append(GammaSeries(loss, dict(others), gammas, tuple(kept)))
    drawn = [arm for group in groups.values() for arm in group]
    best = next((arm for arm in drawn if arm.rank == 1), None)
    return GammaView(tuple(series), reference(arms), best, left_out)


def dots_view(arms: Sequence[ArmSummary]) -> DotsView:
    """The best `MOST_DOTS` arms of one cell and cross-entropy."""
    shown = _head(arms, MOST_DOTS)
    return DotsView(tuple(shown), reference(arms), sum(1 for arm in arms if arm.n) - len(shown))


def curves_view(trials: Iterable[TrialResult], arms: Sequence[ArmSummary], metric: str) -> CurvesView:
    """Training curves of the best `MOST_CURVES` arms of one cell and of cross-entropy.

    Args:
        trials: The trials of the cell.
        arms: Its leaderboard.
        metric: Name without split; drawn for validation, or for the test set where validation has none.
    """
    by_arm = trials_by_arm(trials)
    shown = _head(arms, MOST_CURVES)
    names = (f"val/{metric}", f"test/{metric}")
    everything = [trial for arm in shown for trial in by_arm[arm_key(arm)]]
    name = next((name for name in names if any(_has(trial, name) for trial in everything)), names[0])
    baseline = baseline_of(arms)
    curves = []
    for arm in shown:
        role = "best" if arm.rank == 1 else "baseline" if arm is baseline else "other"
        curve = _curve(arm, role, by_arm[arm_key(arm)], name)
        if curve.epochs:
            curves.append(curve)
    return CurvesView(tuple(curves), name, sum(1 for arm in arms if arm.n) - len(shown))


def confusion_view(
    trials: Iterable[TrialResult], arm: ArmSummary, split: str, train_counts: Sequence[int]
) -> ConfusionView | None:
    """The summed confusion matrix of one arm on a split (``"val"``, ``"test"``), ``None`` if it has none."""
    members = [trial for trial in trials_by_arm(trials).get(arm_key(arm), []) if trial.confusion.get(split)]
    if not members:
        return None
    size = len(members[0].confusion[split])
    matrices = [each.confusion[split] for each in members if len(each.confusion[split]) == size]
    classes = members[0].classes if len(members[0].classes) == size else tuple(map(str, range(size)))
    order = class_order(train_counts, size)
    counts = tuple(tuple(sum(int(m[row][column]) for m in matrices) for column in order) for row in order)
    labels = unique_labels([classes[index] for index in order])
    return ConfusionView(arm.arm, split, len(matrices), labels, ticks_of(labels), counts, row_shares(counts))


def classes_view(
    classes: Sequence[str],
    train: Sequence[int],
    validation: Sequence[int],
    test: Sequence[int],
    train_only: Iterable[str],
) -> ClassesView:
    """Images by class; a split that is unknown is an empty sequence."""
    order = class_order(train, len(classes))
    alone = set(train_only)
    labels = unique_labels([classes[index] for index in order])
    train, validation, test = (
        tuple(int(counts[index]) for index in order) if counts else () for counts in (train, validation, test)
    )
    return ClassesView(
        labels, ticks_of(labels), train, validation, test, tuple(classes[index] in alone for index in order)
    )


def class_order(train_counts: Sequence[int], classes: int) -> list[int]:
    """Indices of the classes, most training images first; as they come where the counts are not known."""
    if len(train_counts) != classes:
        return list(range(classes))
    return sorted(range(classes), key=lambda index: (-train_counts[index], index))


def row_shares(counts: Sequence[Sequence[int]]) -> tuple[tuple[float | None, ...], ...]:
    """Each row over its sum, so that the diagonal is the recall; ``None`` in a row without images."""
    totals = [sum(row) for row in counts]
    return tuple(
        tuple(value / total if total else None for value in row)
        for row, total in zip(counts, totals, strict=True)
    )


def unique_labels(names: Sequence[str]) -> tuple[str, ...]:
    """The names in one line each, repeated ones numbered, since an axis merges equal categories."""
    seen: dict[str, int] = {}
    labels = []
    for name in (" ".join(str(name).split()) or "(unnamed)" for name in names):
        seen[name] = seen.get(name, 0) + 1
        labels.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return tuple(labels)


def trials_by_arm(trials: Iterable[TrialResult]) -> dict[ArmKey, list[TrialResult]]:
    """The ranked trials of one cell by arm, ascending by seed."""
    groups: dict[ArmKey, list[TrialResult]] = {}
    for trial in sorted(searched(trials), key=lambda trial: trial.seed):
        if counts_as_result(trial):
            groups.setdefault(arm_key(trial), []).append(trial)
    return groups


def others_label(loss: str, others: Mapping[str, float]) -> str:
    """Name of a series in gamma, such as ``focal(alpha=0.75)``."""
    return arm_label(loss, others)


def _head(arms: Sequence[ArmSummary], most: int) -> list[ArmSummary]:
    ranked = [arm for arm in arms if arm.n]
    baseline = baseline_of(arms)
    return [arm for position, arm in enumerate(ranked) if position < most or arm is baseline]


def _thinned(arms: list[ArmSummary], most: int) -> list[ArmSummary]:
    """At most about ``most`` arms, evenly over the list, always with its ends and its best."""
    if len(arms) <= most:
        return arms
    step = (len(arms) - 1) / (most - 1)
    kept = {round(position * step) for position in range(most)}
    kept.add(min(range(len(arms)), key=lambda index: arms[index].rank or len(arms)))
    return [arm for index, arm in enumerate(arms) if index in kept]


def ticks_of(labels: Sequence[str]) -> tuple[str, ...]:
    stride = 1 if len(labels) <= ALL_TICKS else math.ceil(len(labels) / MOST_TICKS)
    return tuple(labels[::stride])


def _has(trial: TrialResult, name: str) -> bool:
    return any(name in row["metrics"] for row in trial.history)


def _curve(arm: ArmSummary, role: str, trials: Sequence[TrialResult], metric: str) -> Curve:
    rows, epochs = epochs_of(trials)
    loss, line = (mean_line(rows, epochs, name) for name in ("train/loss", metric))
    return Curve(arm.arm, arm.loss, role, len(rows), epochs, loss, line)


EpochRows = list[dict[int, Mapping[str, float]]]


def epochs_of(trials: Iterable[TrialResult]) -> tuple[EpochRows, tuple[int, ...]]:
    """Metrics by epoch of every trial that has a history, and at most `MOST_EPOCHS` epochs that all have."""
    rows = [{int(row["epoch"]): row["metrics"] for row in trial.history} for trial in trials if trial.history]
    epochs = sorted(set.intersection(*(set(each) for each in rows))) if rows else []
    stride = math.ceil(len(epochs) / MOST_EPOCHS) or 1
    last = [epochs[-1]] if epochs and (len(epochs) - 1) % stride else []
    return rows, (*epochs[::stride], *last)


def mean_line(rows: EpochRows, epochs: Iterable[int], name: str) -> Line:
    """A metric over trials, by epoch."""
    values = [_finite([each[epoch].get(name) for each in rows]) for epoch in epochs]
    return Line(
        tuple(stdlib_statistics.fmean(each) if each else None for each in values),
        tuple(min(each, default=None) for each in values),
        tuple(max(each, default=None) for each in values),
    )


def _finite(values: Sequence[float | None]) -> list[float]:
    """The values if all of them are finite, else none: a mean over fewer seeds would be another one."""
    numbers = [float(value) for value in values if value is not None and math.isfinite(value)]
    return numbers if len(numbers) == len(values) else []
