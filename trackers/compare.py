"""Who leads: one score for every arm of a cell, an order, and the arm to recommend.

What a search finds is a *candidate*: its score was picked as the highest of many on the same images and is
therefore optimistic, so nothing here claims that it beats anything. `beats_baseline`, `unique_best`, `ties`
and the interval stay ``None`` until the winner was trained again with seeds that the search did not use.
"""

from __future__ import annotations

import math
import statistics as stdlib_statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from trackers.table import TrialResult

BASELINE = "cross_entropy"
"""The loss that every other one is compared with."""

SPLITS = ("validation", "test")
_TIE_DIGITS = 12


@dataclass(frozen=True)
class Objective:
    """What the arms were ranked by; every metric lies in ``[0, 1]`` and more is better.

    Args:
        metric: Such as ``"balanced_accuracy"``.
        split: ``"validation"``, or ``"test"`` where the specification chose on the test set.
        epoch: Which epoch of a trial counts, such as ``"last"``.
    """

    metric: str = "balanced_accuracy"
    split: str = "validation"
    epoch: str = "last"

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ValueError(f"`split` must be one of {', '.join(SPLITS)}, but got split={self.split!r}.")


@dataclass(frozen=True)
class ArmSummary:
    """One arm in one cell over its seeds.

    ``n`` counts complete trials; ``mean``, ``minimum``, ``maximum`` and ``std`` (with n - 1) are over them,
    as a share of 1, and ``None`` where there are too few. ``states`` counts all trials of the arm, whatever
    became of them. ``rank`` counts from 1 within the cell, ``None`` without a complete trial. ``asked``
    says that only the sampler proposed this arm, not the specification.
    """

    cell: str
    dataset: str
    imbalance: float | None
    order: str | None
    model: str
    depth: int | None
    pretrained: bool
    arm: str
    loss: str
    params: Mapping[str, float]
    asked: bool
    seeds: tuple[int, ...]
    scores: tuple[float, ...]
    mean: float | None
    std: float | None
    minimum: float | None
    maximum: float | None
    states: Mapping[str, int]
    rank: int | None = None

    @property
    def n(self) -> int:
        """Number of complete trials, one a seed."""
        return len(self.scores)


@dataclass(frozen=True)
class BestArm:
    """The leading arm of a cell and the baseline beside it; ``difference`` is ``mean - baseline``.

    ``candidates`` counts the arms it was picked from, ``most_seeds`` the seeds of the arm that has most.
    """

    summary: ArmSummary
    objective: Objective
    mean: float
    baseline: float | None
    baseline_n: int
    difference: float | None
    candidates: int
    most_seeds: int
    ci_low: float | None = None
    ci_high: float | None = None
    beats_baseline: bool | None = None
    unique_best: bool | None = None
    ties: tuple[str, ...] | None = None

    def as_json(self) -> dict[str, Any]:
        """What ``sweeps best --json`` prints for a cell: stable keys in a stable order."""
        arm = self.summary
        return {
            "dataset": arm.dataset,
            "imbalance": arm.imbalance,
            "order": arm.order,
            "model": arm.model,
            "depth": arm.depth,
            "pretrained": arm.pretrained,
            "loss": arm.loss,
            "params": dict(arm.params),
            "metric": self.objective.metric,
            "split": self.objective.split,
            "mean": self.mean,
            "std": arm.std,
            "n": arm.n,
            "ci_low": self.ci_low,
            "ci_high": self.ci_high,
            "baseline": self.baseline,
            "difference": self.difference,
            "beats_baseline": self.beats_baseline,
            "unique_best": self.unique_best,
            "ties": None if self.ties is None else list(self.ties),
        }


ArmKey = tuple[str, tuple[tuple[str, float], ...]]
"""Loss and its exact parameters: two asks that print alike are two arms."""


def arm_key(trial: TrialResult | ArmSummary) -> ArmKey:
    """What makes two trials of a cell the same arm."""
    return trial.loss, tuple(sorted(trial.params.items()))


def searched(trials: Iterable[TrialResult]) -> list[TrialResult]:
    """The trials of the search, each key once.

    Confirmation trials are left out: they answer another question, with other seeds. Where a key stands
    twice (it was retried, or two parts of a plan ask for it) the complete trial counts, and among those the
    latest.
    """
    kept: dict[tuple[str, str], TrialResult] = {}
    for trial in trials:
        if trial.kind == "confirm":
            continue
        place = (trial.cell, trial.key)
        other = kept.get(place)
        if other is None or _standing(trial) >= _standing(other):
            kept[place] = trial
    return list(kept.values())


def counts_as_result(trial: TrialResult) -> bool:
    """Whether a trial is ranked: it is complete and its score is a number. Failed or pruned ones are not."""
    return trial.state == "complete" and trial.score is not None and math.isfinite(trial.score)


def leaderboard(trials: Iterable[TrialResult], objective: Objective) -> list[ArmSummary]:
    """Every arm of every cell, the best first, arms without a complete trial last.

    Cells stand in the order in which they first appear. The score of an arm is the mean over its complete
    trials, also when it has fewer seeds than others. Equal scores are ordered by simplicity: fewer
    parameters, then the name.

    Args:
        trials: The table, in any states.
        objective: What ``score`` measures; more is better.
    """
    cells: dict[str, dict[ArmKey, list[TrialResult]]] = {}
    for trial in searched(trials):
        cells.setdefault(trial.cell, {}).setdefault(arm_key(trial), []).append(trial)
    board: list[ArmSummary] = []
    for arms in cells.values():
        board += _ranked([_summary(members) for members in arms.values()])
    return board


def best(trials: Iterable[TrialResult], objective: Objective) -> list[BestArm]:
    """The leading arm of every cell that has a complete trial, before any confirmation."""
    trials = list(trials)
    return [_best(arms, objective) for arms in by_cell(leaderboard(trials, objective)).values() if arms[0].n]


def by_cell(board: Iterable[ArmSummary]) -> dict[str, list[ArmSummary]]:
    """A leaderboard by the name of the cell, orders kept."""
    cells: dict[str, list[ArmSummary]] = {}
    for arm in board:
        cells.setdefault(arm.cell, []).append(arm)
    return cells


def baseline_of(arms: Iterable[ArmSummary]) -> ArmSummary | None:
    """Plain cross-entropy among the arms of one cell, ``None`` if it has no complete trial there."""
    return next((arm for arm in arms if arm.loss == BASELINE and not arm.params and arm.n), None)


def _standing(trial: TrialResult) -> tuple[bool, int]:
    return counts_as_result(trial), trial.number


def _summary(members: Sequence[TrialResult]) -> ArmSummary:
    first = members[0]
    done = sorted((trial for trial in members if counts_as_result(trial)), key=lambda trial: trial.seed)
    scores = tuple(trial.score for trial in done if trial.score is not None)
    return ArmSummary(
        cell=first.cell,
        dataset=first.dataset,
        imbalance=first.imbalance,
        order=first.order,
        model=first.model,
        depth=first.depth,
        pretrained=first.pretrained,
        arm=first.arm,
        loss=first.loss,
        params=dict(sorted(first.params.items())),
        asked=all(trial.kind == "ask" for trial in members),
        seeds=tuple(trial.seed for trial in done),
        scores=scores,
        mean=stdlib_statistics.fmean(scores) if scores else None,
        std=stdlib_statistics.stdev(scores) if len(scores) > 1 else None,
        minimum=min(scores, default=None),
        maximum=max(scores, default=None),
        states=dict(Counter(trial.state for trial in members)),
    )


def _ranked(arms: list[ArmSummary]) -> list[ArmSummary]:
    """Ordered and numbered; scores that differ by floating point alone count as equal."""

    def place(arm: ArmSummary) -> tuple[bool, float, int, str, ArmKey]:
        score = 0.0 if arm.mean is None else -round(arm.mean, _TIE_DIGITS)
        return arm.mean is None, score, len(arm.params), arm.arm, arm_key(arm)

    order = enumerate(sorted(arms, key=place), start=1)
    return [replace(arm, rank=position if arm.n else None) for position, arm in order]


def _best(arms: Sequence[ArmSummary], objective: Objective) -> BestArm:
    leader, baseline = arms[0], baseline_of(arms)
    mean = stdlib_statistics.fmean(leader.scores)
    reference = None if baseline is None else baseline.mean
    return BestArm(
        summary=leader,
        objective=objective,
        mean=mean,
        baseline=reference,
        baseline_n=0 if baseline is None else baseline.n,
        difference=None if reference is None else mean - reference,
        candidates=sum(1 for arm in arms if arm.n),
        most_seeds=max(arm.n for arm in arms),
    )
