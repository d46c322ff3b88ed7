"""Confirmation trials with given scores, and images that fit them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from synthetic_trials import CLASSES, confusion, train_counts, trial

from trackers.compare import ArmKey, Objective
from trackers.confirmation import Confirmation, Protocol
from trackers.deciding import confirmations
from trackers.image_doubt import Predictions
from trackers.table import TrialResult

BASE: ArmKey = ("cross_entropy", ())
FIRST_SEED = 1000
CELL = "cifar10-rho100-resnet20"


def arm(loss: str, gamma: float) -> ArmKey:
    return loss, (("gamma", gamma),)


def confirmed(
    scores: Mapping[ArmKey, Sequence[float | None]],
    validation: Mapping[ArmKey, Sequence[float]] | None = None,
    **changes: object,
) -> list[TrialResult]:
    """One trial an arm and seed, with its test score; ``None`` is a failure. Validation equals test."""
    return [
        trial(
            loss=loss, params=dict(params), seed=FIRST_SEED + number, kind="confirm",
            study="demo/cell/confirm", number=number, state="complete" if score is not None else "failed",
            score=None if score is None else (validation or {}).get((loss, params), values)[number],
            metrics={} if score is None else {"test/balanced_accuracy": score}, **changes,
        )
        for (loss, params), values in scores.items()
        for number, score in enumerate(values)
    ]  # fmt: skip


def protocol(scores: Mapping[ArmKey, Sequence[object]], *looks: int, pooled: bool = False) -> Protocol:
    """The protocol of these arms, looked at when all seeds were there unless told otherwise."""
    n = max(len(values) for values in scores.values())
    return Protocol(tuple(scores), tuple(range(FIRST_SEED, FIRST_SEED + n)), looks or (n,), pooled)


def predicted(
    trials: Sequence[TrialResult], classes: int = 3, images: int = 40, seed: int = 0
) -> dict[str, Predictions]:
    """Test predictions with recalls near the score of each trial; hard images are hard for all."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(classes), images)
    hardness = rng.random(len(truth))
    return {
        each.key: Predictions(
            truth,
            np.where(
                hardness + rng.normal(0, 0.05, len(truth)) < each.metrics["test/balanced_accuracy"],
                truth,
                (truth + 1) % classes,
            ),
        )
        for each in trials
        if each.state == "complete"
    }


def confirmed_sweep(
    classes: tuple[str, ...] = CLASSES, cell: str = CELL, seeds: int = 5
) -> list[TrialResult]:
    """Three confirmed arms of the first cell of `synthetic_trials.sweep`, with confusion matrices."""
    rng = np.random.default_rng(11)
    means = {BASE: 0.62, arm("cefl", 2.0): 0.65, arm("cefl2", 1.0): 0.648}
    shared = rng.normal(0, 0.006, seeds)
    trials = []
    for (loss, params), mean in means.items():
        for number in range(seeds):
            test = float(mean + shared[number] + rng.normal(0, 0.003))
            trials.append(
                trial(
                    cell=CELL, study=f"demo/{CELL}/confirm", number=len(trials), kind="confirm", loss=loss,
                    params=dict(params), seed=FIRST_SEED + number, score=test + 0.002,
                    metrics={"test/balanced_accuracy": test, "val/balanced_accuracy": test + 0.002},
                    confusion={split: confusion(rng, test, len(classes)) for split in ("val", "test")},
                    classes=classes, train_counts=train_counts(len(classes)), epochs=40,
                )
            )  # fmt: skip
    return trials


def said_of(trials: Sequence[TrialResult], *looks: int) -> dict[str, Confirmation]:
    """What the confirmation trials among these say, by cell."""
    mine = [each for each in trials if each.kind == "confirm"]
    arms = {(each.loss, tuple(sorted(each.params.items()))): None for each in mine}
    seeds = tuple(sorted({each.seed for each in mine}))
    protocols = {each.cell: Protocol(tuple(arms), seeds, looks or (len(seeds),)) for each in mine}
    return confirmations(mine, protocols, Objective(), predicted(mine, classes=10, images=100))
