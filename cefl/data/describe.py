"""What a person, or ``init``, wants to know about a data set before writing a sweep for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cefl.data.dataset import Dataset
from cefl.data.rules import ValidationRule, resolve_validation
from cefl.longtail import largest_imbalance

BALANCED_UP_TO = 1.5
"""Ratio of the largest to the smallest class up to which a data set counts as balanced."""


@dataclass(frozen=True)
class Description:
    """A data set in a few values.

    Attributes:
        name: Of the data set.
        classes: Names.
        counts: Images of each class, by split.
        imbalance: Images of the largest class over those of the smallest, in training.
        balanced: Whether that is near 1: such data want synthetic imbalances, others are used as they are.
        largest_imbalance: The largest synthetic ratio that leaves every class an image.
        image_shape: Height, width, channels.
        validation: The rule that would be the default.
        test_rule: Where the test split comes from.
        notes: What was noticed when the source was read.
    """

    name: str
    classes: tuple[str, ...]
    counts: Mapping[str, tuple[int, ...]]
    imbalance: float
    balanced: bool
    largest_imbalance: float
    image_shape: tuple[int, int, int]
    validation: ValidationRule
    test_rule: str
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The same in plain values."""
        return {
            "name": self.name,
            "classes": list(self.classes),
            "counts": {split: list(counts) for split, counts in self.counts.items()},
            "imbalance": self.imbalance,
            "balanced": self.balanced,
            "largest_imbalance": self.largest_imbalance,
            "image_shape": list(self.image_shape),
            "validation": self.validation.as_json(),
            "test_rule": self.test_rule,
            "notes": list(self.notes),
        }


def describe(dataset: Dataset) -> Description:
    """Classes, counts, imbalance and the validation rule that fits; see ``Description``."""
    counts = dataset.counts
    train = counts["train"]
    imbalance = max(train) / min(train)
    balanced = imbalance <= BALANCED_UP_TO
    return Description(
        name=dataset.name,
        classes=dataset.classes,
        counts=counts,
        imbalance=imbalance,
        balanced=balanced,
        largest_imbalance=largest_imbalance(dataset.num_classes, min(train)),
        image_shape=dataset.image_shape,
        validation=resolve_validation(None, train, 1.0 if balanced else None, dataset.validation is not None),
        test_rule=dataset.test_rule,
        notes=dataset.notes,
    )
