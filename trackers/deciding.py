"""From the table of results to what a confirmation says: measured, paired, decided."""

from __future__ import annotations

import math
import statistics as stdlib_statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from trackers.compare import BASELINE, ArmKey, Objective, arm_key, counts_as_result
from trackers.confirmation import ALPHA, LEAST_SEEDS, Confirmation, ConfirmedArm, Protocol
from trackers.estimates import Contrast, contrast, estimate, recalls, recalls_by_size
from trackers.image_doubt import Predictions, metric_of
from trackers.statistics import holm
from trackers.table import TrialResult

Pairs = Mapping[tuple[int, int], Contrast | None]
"""By the positions of two arms, the first one smaller: first minus second."""

_FACTS = ("dataset", "imbalance", "order", "model", "depth", "pretrained")


def confirmations(
    trials: Iterable[TrialResult],
    protocols: Mapping[str, Protocol],
    objective: Objective,
    images: Mapping[str, Predictions],
) -> dict[str, Confirmation]:
    """Every cell that was looked at, by its name.

    Args:
        trials: Of any kind and cell.
        protocols: By the name of the cell.
        objective: As in `confirm`.
        images: As in `confirm`.
    """
    members: dict[str, list[TrialResult]] = {cell: [] for cell in protocols}
    for trial in trials:
        if trial.kind == "confirm" and trial.cell in members:
            members[trial.cell].append(trial)
    found = {cell: confirm(members[cell], each, objective, images) for cell, each in protocols.items()}
    return {cell: value for cell, value in found.items() if value is not None}


def progress(trials: Iterable[TrialResult], protocol: Protocol) -> tuple[int, int]:
    """Confirmation trials of a cell that have ended, and how many there will be."""
    wanted = {(arm, seed) for arm in protocol.arms for seed in protocol.seeds}
    ended = {
        (arm_key(trial), trial.seed)
        for trial in trials
        if trial.kind == "confirm" and trial.state != "running"
    }
    return len(wanted & ended), len(wanted)


def confirm(
    trials: Sequence[TrialResult],
    protocol: Protocol,
    objective: Objective,
    images: Mapping[str, Predictions],
) -> Confirmation | None:
    """The statement about one cell at its last look.

    Args:
        trials: Confirmation trials of the cell, in any state.
        protocol: What was to be trained.
        objective: The metric, and the split whose mean chooses.
        images: Test predictions of trials by their key, as far as they are at hand: without them intervals
            hold the doubt of the seeds alone.

    Returns:
        ``None`` before the first look, and where no arm has a result.
    """
    if not protocol.looks:
        return None
    seeds = protocol.seeds[: protocol.looks[-1]]
    name = f"test/{objective.metric}"
    done: dict[ArmKey, dict[int, TrialResult]] = {arm: {} for arm in protocol.arms}
    for trial in trials:
        if trial.seed in seeds and arm_key(trial) in done and counts_as_result(trial):
            if math.isfinite(trial.metrics.get(name, math.nan)):
                done[arm_key(trial)][trial.seed] = trial
    measured = [
        _measured(
            arm, [members[seed] for seed in seeds if seed in members], seeds, protocol, objective, images
        )
        for arm, members in done.items()
        if members
    ]
    if not measured:
        return None
    arms = sorted(measured, key=_place)
    pairs = {
        (one, other): _paired(done[arms[one].key], done[arms[other].key], name, images)
        for one in range(len(arms))
        for other in range(one + 1, len(arms))
    }
    tests = sum(1 for arm in protocol.arms if arm != (BASELINE, ()))
    decided = _against_baseline(arms, pairs, tests, protocol.paid)
    first = next(iter(done[arms[0].key].values()))
    return Confirmation(
        cell=first.cell,
        facts={fact: getattr(first, fact) for fact in _FACTS},
        objective=objective,
        arms=decided,
        seeds=seeds,
        looks=protocol.paid,
        tests=tests,
        about=_about(first.imbalance, protocol.fixed),
        pooled=protocol.pooled,
        unique_best=_unique_best(decided, pairs, protocol.paid),
        ties=_ties(decided, pairs, protocol.paid),
        undecided=_why(decided),
    )


def _measured(
    arm: ArmKey, trials: Sequence[TrialResult], seeds: Sequence[int], protocol: Protocol,
    objective: Objective, images: Mapping[str, Predictions],
) -> ConfirmedArm:  # fmt: skip
    scores = tuple(trial.metrics[f"test/{objective.metric}"] for trial in trials)
    return ConfirmedArm(
        loss=arm[0],
        params=dict(arm[1]),
        validation=_validation(trials, protocol, objective),
        test=estimate(scores, [images.get(trial.key) for trial in trials], objective.metric),
        scores=scores,
        seeds=tuple(trial.seed for trial in trials),
        missing=len(seeds) - len(trials),
        recalls=recalls(trials),
        by_size=recalls_by_size(trials),
    )


def _validation(trials: Sequence[TrialResult], protocol: Protocol, objective: Objective) -> float | None:
    """What an arm is chosen by: the mean over its seeds, or the metric of its folds, pooled."""
    if not (protocol.pooled and objective.split == "validation"):
        return stdlib_statistics.fmean(trial.score for trial in trials if trial.score is not None)
    matrices = [matrix for trial in trials if (matrix := trial.confusion.get("val"))]
    if len(matrices) < len(trials):
        return None
    size = range(len(matrices[0]))
    pooled = [[sum(matrix[row][column] for matrix in matrices) for column in size] for row in size]
    return metric_of(pooled, objective.metric)


def _about(imbalance: float | None, fixed: str | None) -> str:
    """What differed from seed to seed, and so what the statement is about."""
    if fixed is not None:
        return "one draw" if fixed == "data" else "one training"
    return "data set" if imbalance is None else "recipe"


def _place(arm: ConfirmedArm) -> tuple[int, float, int, str]:
    """An arm that failed with a seed is not chosen before one that did not; equals go to the simpler one."""
    value = math.inf if arm.validation is None else -round(arm.validation, 12)
    return arm.missing, value, len(arm.params), arm.arm


def _paired(
    one: Mapping[int, TrialResult], other: Mapping[int, TrialResult], name: str,
    images: Mapping[str, Predictions],
) -> Contrast | None:  # fmt: skip
    """Difference on the test set over the seeds that both arms have."""
    shared = [seed for seed in one if seed in other]
    return contrast(
        [one[seed].metrics[name] - other[seed].metrics[name] for seed in shared],
        [images.get(one[seed].key) for seed in shared],
        [images.get(other[seed].key) for seed in shared],
        name.removeprefix("test/"),
    )


def _between(pairs: Pairs, one: int, other: int) -> Contrast | None:
    """Arm ``one`` minus arm ``other``, whichever comes first."""
    if one < other:
        return pairs[one, other]
    found = pairs[other, one]
    return None if found is None else found.reversed()


def _p(found: Contrast | None) -> float | None:
    """The p of a difference that may be decided: not of fewer than five seeds."""
    return None if found is None or found.estimate.n < LEAST_SEEDS else found.p


def _against_baseline(
    arms: Sequence[ConfirmedArm], pairs: Pairs, tests: int, looks: int
) -> tuple[ConfirmedArm, ...]:
    """The arms with their differences to cross-entropy; a nominated arm without a result is a test, too."""
    base = next((position for position, arm in enumerate(arms) if arm.is_baseline), None)
    if base is None:
        return tuple(arms)
    found = {at: _between(pairs, at, base) for at in range(len(arms)) if at != base}
    absent = [None] * (tests - len(found))
    corrected = holm([*(_p(each) for each in found.values()), *absent])
    decided = list(arms)
    for (at, each), p in zip(found.items(), corrected, strict=False):
        paid = None if p is None else min(1.0, p * looks)
        better = None if each is None or paid is None else paid < ALPHA and each.estimate.mean > 0
        decided[at] = replace(arms[at], difference=each, p=paid, beats_baseline=better)
    return tuple(decided)


def _unique_best(arms: Sequence[ConfirmedArm], pairs: Pairs, looks: int) -> bool | None:
    """Whether the first arm beats every other one at p < .05 each; no correction: all must hold at once."""
    found = [pairs[0, other] for other in range(1, len(arms))]
    if not found or any(each is None or each.estimate.n < LEAST_SEEDS for each in found):
        return None
    tests = [(each.estimate.mean, each.p) for each in found if each is not None]
    if any(mean <= 0 or (p is not None and p * looks >= ALPHA) for mean, p in tests):
        return False
    return None if any(p is None for _, p in tests) else True


def _ties(arms: Sequence[ConfirmedArm], pairs: Pairs, looks: int) -> tuple[str, ...] | None:
    """Arms that Holm over all pairs does not show to be worse than the first one."""
    if arms[0].test.n < LEAST_SEEDS:
        return None
    corrected = dict(zip(pairs, holm([_p(each) for each in pairs.values()]), strict=True))

    def worse(other: int) -> bool:
        found, p = pairs[0, other], corrected[0, other]
        return found is not None and found.estimate.mean > 0 and p is not None and p * looks < ALPHA

    return tuple(arms[other].arm for other in range(1, len(arms)) if not worse(other))


def _why(arms: Sequence[ConfirmedArm]) -> str:
    """Why it is not decided whether the first arm beats cross-entropy."""
    first = arms[0]
    if first.test.n < LEAST_SEEDS:
        return f"a decision needs {LEAST_SEEDS} seeds, and there are {first.test.n}"
    if first.is_baseline or first.beats_baseline is not None:
        return ""
    if first.difference is None:
        return "cross-entropy has no result with these seeds"
    if first.difference.estimate.n < LEAST_SEEDS:
        return f"a decision needs {LEAST_SEEDS} common seeds, and there are {first.difference.estimate.n}"
    return "the difference to cross-entropy is the same with every seed, which tells nothing of its spread"
