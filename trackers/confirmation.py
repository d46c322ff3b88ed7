"""The confirmation: the nominated arms of a cell and cross-entropy, trained again with seeds of their own.

The same seeds for every arm, so that differences are paired: same subset, same initial weights, same order.
The arm is chosen by its mean on validation images; what is printed of it are test means. Decisions rest on
the seeds (paired t, Holm, every p times the number of looks); intervals also hold the doubt of the images.
Below five seeds nothing is decided, and differences without any deviation are not decided either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trackers.compare import BASELINE, ArmKey, Objective
from trackers.estimates import Contrast, Estimate, Recall
from trackers.table import arm_label

LEAST_SEEDS = 5
ALPHA = 0.05


@dataclass(frozen=True)
class Protocol:
    """What a confirmation trains in one cell, fixed before it began.

    Args:
        arms: The nominated arms and cross-entropy.
        seeds: In the order in which they were added.
        looks: Number of seeds at every look so far, ascending: a look is when all trials of that many seeds
            have ended and the results are shown. Only the last one is shown, and all are paid for.
        pooled: Whether the validation images are folds that are pooled over the seeds.
        fixed: ``data`` or ``training``, where a seed of its own decides it for all trials.
    """

    arms: tuple[ArmKey, ...]
    seeds: tuple[int, ...]
    looks: tuple[int, ...] = ()
    pooled: bool = False
    fixed: str | None = None

    @property
    def paid(self) -> int:
        """What p values are multiplied by: looks at which something could have been decided, at least 1."""
        return max(1, sum(1 for look in self.looks if look >= LEAST_SEEDS))


@dataclass(frozen=True)
class ConfirmedArm:
    """One arm of a confirmation; shares of 1.

    Attributes:
        validation: What it is chosen by: mean over its seeds, or the metric of its pooled folds.
        test: Its mean on the test set at the last epoch.
        scores: The test score of each of ``seeds``.
        missing: Seeds that gave no result.
        recalls: By class, the largest class first; ``by_size`` of many-, medium- and few-shot classes.
        difference: To cross-entropy over the same seeds, ``None`` for cross-entropy itself.
        p: Of the difference, Holm over all nominated arms, times the looks; ``None``: undecided.
        beats_baseline: Whether it is better than cross-entropy at ``p < .05``; ``None``: undecided.
    """

    loss: str
    params: Mapping[str, float]
    validation: float | None
    test: Estimate
    scores: tuple[float, ...]
    seeds: tuple[int, ...]
    missing: int
    recalls: tuple[Recall, ...] = ()
    by_size: tuple[Recall, ...] = ()
    difference: Contrast | None = None
    p: float | None = None
    beats_baseline: bool | None = None

    @property
    def key(self) -> ArmKey:
        """Loss and exact parameters."""
        return self.loss, tuple(sorted(self.params.items()))

    @property
    def arm(self) -> str:
        """Loss with its parameters."""
        return arm_label(self.loss, self.params)

    @property
    def is_baseline(self) -> bool:
        return self.loss == BASELINE and not self.params

    @property
    def is_worse(self) -> bool:
        """Whether it is shown to be worse than cross-entropy at ``p < .05``."""
        below = self.difference is not None and self.difference.estimate.mean < 0
        return below and self.p is not None and self.p < ALPHA


@dataclass(frozen=True)
class Confirmation:
    """What a confirmation says of one cell; ``arms`` are ordered by what they are chosen by, the best first.

    Attributes:
        facts: ``dataset, imbalance, order, model, depth, pretrained``.
        seeds: Those of the last look.
        looks: What p values were multiplied by.
        tests: Number of arms that were compared with cross-entropy.
        about: What the statement is about: ``recipe`` (subset, split and training varied), ``data set`` (of
            natural data the images did not), ``one draw`` (nor the split), ``one training`` (weights and
            order did not vary).
        pooled: Whether arms were chosen by pooled folds.
        unique_best: The first arm beats every other one at ``p < .05`` each; ``None``: undecided.
        ties: Arms that are not shown to be worse than the first one (Holm over all pairs); ``None`` below
            five seeds.
        undecided: Why it is not decided whether the first arm beats cross-entropy, in words; empty if it is.
    """

    cell: str
    facts: Mapping[str, Any]
    objective: Objective
    arms: tuple[ConfirmedArm, ...]
    seeds: tuple[int, ...]
    looks: int
    tests: int
    about: str
    pooled: bool
    unique_best: bool | None
    ties: tuple[str, ...] | None
    undecided: str

    @property
    def winner(self) -> ConfirmedArm:
        """The arm that was chosen on validation images."""
        return self.arms[0]

    @property
    def baseline(self) -> ConfirmedArm | None:
        return next((arm for arm in self.arms if arm.is_baseline), None)

    @property
    def beats_baseline(self) -> bool | None:
        """Whether the chosen arm beats cross-entropy, which does not beat itself; ``None``: undecided."""
        if self.winner.is_baseline:
            return None if self.winner.test.n < LEAST_SEEDS else False
        return self.winner.beats_baseline

    def as_json(self) -> dict[str, Any]:
        """What ``sweeps best --json`` prints for a confirmed cell: the keys of `BestArm.as_json`."""
        winner, baseline = self.winner, self.baseline
        difference = None if winner.difference is None else winner.difference.estimate.mean
        return {
            **self.facts,
            "loss": winner.loss,
            "params": dict(winner.params),
            "metric": self.objective.metric,
            "split": "test",
            "mean": winner.test.mean,
            "std": winner.test.std,
            "n": winner.test.n,
            "ci_low": winner.test.low,
            "ci_high": winner.test.high,
            "baseline": None if baseline is None else baseline.test.mean,
            "difference": 0.0 if winner.is_baseline else difference,
            "beats_baseline": self.beats_baseline,
            "unique_best": self.unique_best,
            "ties": None if self.ties is None else list(self.ties),
        }
