"""What a sweep shows across its cells: scores along imbalance or depth, and their average by arm.

Cells are set beside each other only if they differ in that one thing. As in `views`, all is computed here and
nothing is drawn, and what a view leaves out is counted.
"""

from __future__ import annotations

import statistics as stdlib_statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from trackers.compare import BASELINE, ArmKey
from trackers.report_data import CellReport
from trackers.table import TrialResult
from trackers.views import trials_by_arm

MOST_LINES = 20
MOST_BARS = 30

SPLITS = {"validation": "val", "test": "test"}


@dataclass(frozen=True)
class Point:
    """An arm in one cell: mean, least and greatest value over ``n`` seeds, shares of 1."""

    x: float
    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class ArmLine:
    """An arm along imbalance or depth; ``leads`` says that it has the highest mean of its loss."""

    arm: str
    loss: str
    leads: bool
    points: tuple[Point, ...]


@dataclass(frozen=True)
class LinesView:
    """Arms along one thing, best first.

    Args:
        where: What the cells have in common.
        along: ``"imbalance"`` or ``"depth"``.
        metric: Such as ``"test/accuracy"``.
        ticks: The values of ``along``, ascending.
        lines: At most `MOST_LINES` and the leading one of every loss, of arms with at least two points.
        left_out: Number of arms that are not drawn.
    """

    where: str
    along: str
    metric: str
    ticks: tuple[float, ...]
    lines: tuple[ArmLine, ...]
    left_out: int


@dataclass(frozen=True)
class Bar:
    """An arm's average over imbalances: mean, least and greatest over the seeds that have all of them."""

    arm: str
    loss: str
    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class BarsView:
    """Average score by arm over the imbalances above 1, best first.

    ``partial`` counts arms without a seed that has every imbalance, ``left_out`` those beyond `MOST_BARS`.
    """

    where: str
    imbalances: tuple[float, ...]
    bars: tuple[Bar, ...]
    partial: int
    left_out: int


def along_imbalance(cells: Iterable[CellReport], metric: str) -> list[LinesView]:
    """A view for every data set and model at several imbalances.

    Args:
        cells: Of a sweep.
        metric: Such as ``"val/balanced_accuracy"``, of the last epoch.
    """
    groups = _grouped(cells, lambda trial: trial.imbalance, _without_imbalance)
    return [
        _lines(group, "imbalance", metric, lambda trial: trial.imbalance)
        for group in _several(_with_balanced(groups), lambda trial: trial.imbalance)
    ]


def along_depth(cells: Iterable[CellReport], metric: str) -> list[LinesView]:
    """A view for every data set and imbalance at several depths."""
    return [
        _lines(group, "depth", metric, lambda trial: trial.depth)
        for group in _several(
            _grouped(cells, lambda trial: trial.depth, _without_depth), lambda trial: trial.depth
        )
    ]


def average_bars(cells: Iterable[CellReport]) -> list[BarsView]:
    """Average score over the imbalances above 1, for every data set and model that has several of them."""
    views = []
    for group in _several(_grouped(cells, _above_1, _without_imbalance), _above_1):
        scores: dict[ArmKey, dict[float, dict[int, float]]] = {}
        names: dict[ArmKey, TrialResult] = {}
        for cell in group:
            for key, trials in trials_by_arm(cell.trials).items():
                ratio = _above_1(trials[0])
                if ratio is not None:
                    names[key] = trials[0]
                    scores.setdefault(key, {})[ratio] = {
                        trial.seed: trial.score for trial in trials if trial.score is not None
                    }
        ratios = sorted({ratio for found in scores.values() for ratio in found})
        bars = [bar for key, found in scores.items() if (bar := _bar(names[key], found, ratios)) is not None]
        bars.sort(key=lambda bar: (-bar.mean, bar.arm))
        shown = [bar for place, bar in enumerate(bars) if place < MOST_BARS or bar.arm == BASELINE]
        if len(bars) > 1:
            where, partial = _in_common(group, _without_imbalance), len(scores) - len(bars)
            views.append(BarsView(where, tuple(ratios), tuple(shown), partial, len(bars) - len(shown)))
    return views


def _bar(trial: TrialResult, found: dict[float, dict[int, float]], ratios: Sequence[float]) -> Bar | None:
    if len(found) < len(ratios):
        return None
    seeds = set.intersection(*(set(values) for values in found.values()))
    means = [stdlib_statistics.fmean(values[seed] for values in found.values()) for seed in sorted(seeds)]
    if not means:
        return None
    return Bar(trial.arm, trial.loss, stdlib_statistics.fmean(means), min(means), max(means), len(means))


def _lines(
    group: Sequence[CellReport], along: str, metric: str, at: Callable[[TrialResult], float | None]
) -> LinesView:
    points: dict[ArmKey, list[Point]] = {}
    names: dict[ArmKey, TrialResult] = {}
    for cell in group:
        for key, trials in trials_by_arm(cell.trials).items():
            values = [trial.metrics[metric] for trial in trials if metric in trial.metrics]
            x = at(trials[0])
            if values and x is not None:
                names[key] = trials[0]
                points.setdefault(key, []).append(
                    Point(x, stdlib_statistics.fmean(values), min(values), max(values), len(values))
                )
    several = {key: found for key, found in points.items() if len(found) > 1}
    left_out, points = len(points) - len(several), several
    most = max(map(len, points.values()), default=0)
    order = sorted(points, key=lambda key: (len(points[key]) < most, -_mean(points[key]), names[key].arm))
    best: dict[str, ArmKey] = {}
    for key in order:
        best.setdefault(names[key].loss, key)
    shown = [key for place, key in enumerate(order) if place < MOST_LINES or key in best.values()]
    lines = tuple(
        ArmLine(
            names[key].arm, names[key].loss, best[names[key].loss] == key,
            tuple(sorted(points[key], key=lambda point: point.x)),
        )
        for key in shown
    )  # fmt: skip
    ticks = sorted({point.x for found in points.values() for point in found})
    fixed = _without_imbalance if along == "imbalance" else _without_depth
    return LinesView(
        _in_common(group, fixed), along, metric, tuple(ticks), lines, left_out + len(order) - len(shown)
    )


def _mean(points: Sequence[Point]) -> float:
    return stdlib_statistics.fmean(point.mean for point in points)


_Fixed = Callable[[TrialResult], tuple[tuple[str, object], ...]]


def _without_imbalance(trial: TrialResult) -> tuple[tuple[str, object], ...]:
    order = "last class the rarest" if trial.order == "descending" else ""
    return ("data", trial.dataset), ("model", trial.model), ("pretrained", trial.pretrained), ("order", order)


def _without_depth(trial: TrialResult) -> tuple[tuple[str, object], ...]:
    ratio = "natural imbalance" if trial.imbalance is None else f"imbalance {trial.imbalance:g}"
    order = "last class the rarest" if trial.order == "descending" else ""
    return ("data", trial.dataset), ("imbalance", ratio), ("pretrained", trial.pretrained), ("order", order)


_Groups = dict[tuple[tuple[str, object], ...], list[CellReport]]


def _grouped(
    cells: Iterable[CellReport], value: Callable[[TrialResult], float | None], fixed: _Fixed
) -> _Groups:
    """Cells with a ranked arm that differ in ``value`` alone, by what they have in common."""
    groups: _Groups = {}
    for cell in cells:
        if cell.winner is not None and value(cell.trials[0]) is not None:
            groups.setdefault(fixed(cell.trials[0]), []).append(cell)
    return groups


def _several(groups: _Groups, value: Callable[[TrialResult], float | None]) -> list[list[CellReport]]:
    """The groups with at least two values."""
    return [group for group in groups.values() if len({value(cell.trials[0]) for cell in group}) > 1]


def _with_balanced(groups: _Groups) -> _Groups:
    """With imbalance 1 no class is the rarest: its cell joins the groups of both orders, last in each."""
    balanced = {
        fixed[:-1]: cell for fixed, group in groups.items() for cell in group if cell.trials[0].imbalance == 1
    }
    return {
        fixed: group
        if fixed[:-1] not in balanced or any(cell.trials[0].imbalance == 1 for cell in group)
        else [*group, balanced[fixed[:-1]]]
        for fixed, group in groups.items()
    }


def _above_1(trial: TrialResult) -> float | None:
    return trial.imbalance if trial.imbalance is not None and trial.imbalance > 1 else None


def _in_common(group: Sequence[CellReport], fixed: _Fixed) -> str:
    """Such as ``cifar10, resnet18``."""
    shared = dict(fixed(group[0].trials[0]))
    pretrained = "pretrained" if shared.pop("pretrained") else ""
    return ", ".join(str(part) for part in (*shared.values(), pretrained) if part)
