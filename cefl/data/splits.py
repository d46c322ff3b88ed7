"""Which images of a data set one trial trains and validates on.

For each class a permutation of its images is drawn from the seed. A long tail takes its first entries, so
that the tails of all ratios are nested; validation images come from its end, or are every n-th in folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cefl.data.dataset import Dataset, class_totals
from cefl.data.rules import (
    Folds,
    Given,
    Holdout,
    NoValidation,
    Unused,
    ValidationRule,
    resolve_validation,
)
from cefl.errors import SplitError
from cefl.longtail import class_counts, class_permutations


@dataclass(frozen=True, eq=False)
class TrialSplit:
    """Positions in the training images of the source; no position is in both.

    Attributes:
        train: Shape ``(N,)``, int64, ascending.
        validation: Likewise, empty without validation; ``None``: the source's own validation split.
        train_counts: Training images of each class.
        validation_counts: Validation images of each class.
        train_only: Classes that have no validation image though the rule asks for validation; of folds,
            those that have none in any.
    """

    train: NDArray[np.int64]
    validation: NDArray[np.int64] | None
    train_counts: tuple[int, ...]
    validation_counts: tuple[int, ...]
    train_only: tuple[int, ...]


def split(
    dataset: Dataset, imbalance: float | None, order: str, rule: ValidationRule, seed: int
) -> TrialSplit:
    """The images of one trial; the same for the same arguments on every machine.

    Args:
        dataset: Where they come from.
        imbalance: Ratio of the largest to the rarest class, ``>= 1``; ``None`` keeps the data as they are.
        order: ``ascending``: class 0 is the rarest, ``descending``: the last. No matter without imbalance.
        rule: Where the validation images come from. Under ``Unused`` they are the same for every imbalance.
        seed: Of the trial's data, ``>= 0``.

    Raises:
        SplitError: If the rule does not fit the data.
        ImbalanceError: If the imbalance leaves a class without images, or there is no such order.
    """
    labels = dataset.train.labels
    available = class_totals(labels, dataset.num_classes)
    wanted: Sequence[int] = available
    if imbalance is not None:
        wanted = class_counts(dataset.num_classes, min(available), imbalance, order).tolist()
    resolve_validation(rule, available, imbalance, dataset.validation is not None)
    if isinstance(rule, Unused):
        _check_unused(rule, available, dataset)
    drawn = rule.partition(seed) if isinstance(rule, Folds) else seed
    permutations = class_permutations(labels, dataset.num_classes, drawn)
    train, validation = [], []
    for label, (permutation, kept) in enumerate(zip(permutations, wanted, strict=True)):
        if isinstance(rule, Folds):
            validating = permutation[rule.chosen(seed, label, len(permutation))]
            training = np.setdiff1d(permutation, validating, assume_unique=True)
        else:
            training, validating = _class_split(permutation, int(kept), rule)
        train.append(training)
        validation.append(validating)
    validation_counts = tuple(len(part) for part in validation)
    if isinstance(rule, Given) and dataset.validation is not None:
        validation_counts = class_totals(dataset.validation.labels, dataset.num_classes)
    alone = [index for index, count in enumerate(validation_counts) if count == 0]
    if isinstance(rule, Folds):
        alone = [index for index in alone if available[index] == 1]
    return TrialSplit(
        train=_joined(train),
        validation=None if isinstance(rule, Given) else _joined(validation),
        train_counts=tuple(len(part) for part in train),
        validation_counts=validation_counts,
        train_only=() if isinstance(rule, NoValidation) else tuple(alone),
    )


def _class_split(
    permutation: NDArray[np.int64], kept: int, rule: ValidationRule
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Training and validation images of one class, of which the imbalance keeps the first ``kept``."""
    if isinstance(rule, Unused):
        free = len(permutation) - rule.per_class
        return permutation[: min(kept, free)], permutation[free:]
    held_out = rule.images(kept) if isinstance(rule, Holdout) else 0
    return permutation[: kept - held_out], permutation[kept - held_out : kept]


def _check_unused(rule: Unused, available: Sequence[int], dataset: Dataset) -> None:
    smallest = min(available)
    if 2 * rule.per_class > smallest:
        name = dataset.classes[available.index(smallest)]
        largest = smallest // 2
        advice = f"at most {{unused: {largest}}}, or {{holdout: 0.1}}" if largest else "{holdout: 0.1}"
        raise SplitError(
            f"validation of {dataset.name}: `2 * unused <= images of every class` must hold, but got "
            f"unused={rule.per_class} and {smallest} training images of {name!r}: write {advice}"
        )


def _joined(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    joined = np.sort(np.concatenate(parts)).astype(np.int64, copy=False)
    joined.flags.writeable = False
    return joined
