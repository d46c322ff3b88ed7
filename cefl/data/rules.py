"""How validation images are chosen: four rules, how they are written, and which one is the default."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from cefl.errors import SplitError

LARGEST_FRACTION = 0.5
FLOOR_IMAGES, FLOOR_SHARE = 10, 3
"""A holdout takes at least 10 images of a class, or a third of it where that is less."""

WRITTEN = "{unused: N}, {holdout: FRACTION}, given or none"


@dataclass(frozen=True)
class Unused:
    """``per_class`` images of each class, first of all those that a synthetic imbalance left out."""

    per_class: int

    def __post_init__(self) -> None:
        if isinstance(self.per_class, bool) or not isinstance(self.per_class, int) or self.per_class < 1:
            raise SplitError(
                f"validation: `unused` must be a whole number of images of each class, at least 1, "
                f"but got {self.per_class!r}"
            )

    def as_json(self) -> dict[str, int]:
        return {"unused": self.per_class}


@dataclass(frozen=True)
class Holdout:
    """A fraction of each class, with a floor for small ones."""

    fraction: float

    def __post_init__(self) -> None:
        number = isinstance(self.fraction, int | float) and not isinstance(self.fraction, bool)
        if not number or not 0 < self.fraction <= LARGEST_FRACTION:
            raise SplitError(
                f"validation: `0 < holdout <= {LARGEST_FRACTION}` must hold, but got {self.fraction!r}"
            )

    def as_json(self) -> dict[str, float]:
        return {"holdout": self.fraction}

    def images(self, count: int) -> int:
        """How many of the ``count`` images of a class validate; 0 if it is too small to be split."""
        if count // FLOOR_SHARE == 0:
            return 0
        return max(round(self.fraction * count), min(FLOOR_IMAGES, count // FLOOR_SHARE))


@dataclass(frozen=True)
class Given:
    """The validation split of the source."""

    def as_json(self) -> str:
        return "given"


@dataclass(frozen=True)
class NoValidation:
    """None at all: every image trains, as where a sweep selects by the test split."""

    def as_json(self) -> str:
        return "none"


ValidationRule: TypeAlias = Unused | Holdout | Given | NoValidation


def validation_rule(value: object) -> ValidationRule:
    """The rule that a specification states.

    Args:
        value: ``{"unused": 100}``, ``{"holdout": 0.1}``, ``"given"``, ``"none"``, or a rule.

    Raises:
        SplitError: If it is none of these, or its number is out of range.
    """
    if isinstance(value, Unused | Holdout | Given | NoValidation):
        return value
    if value == "given":
        return Given()
    if value == "none":
        return NoValidation()
    keys = list(value) if isinstance(value, Mapping) else [value]
    if isinstance(value, Mapping) and keys == ["unused"]:
        return Unused(value["unused"])
    if isinstance(value, Mapping) and keys == ["holdout"]:
        return Holdout(value["holdout"])
    word = str(keys[0]) if len(keys) == 1 else ""
    close = difflib.get_close_matches(word, ("unused", "holdout", "given", "none"), n=1)
    hint = f"; did you mean {close[0]!r}?" if close and close[0] != word else ""
    raise SplitError(f"validation: must be {WRITTEN}, but got {value!r}{hint}")


def resolve_validation(
    rule: ValidationRule | None, counts: Sequence[int], imbalance: float | None, has_validation: bool
) -> ValidationRule:
    """The rule to use: the one asked for, or the default.

    By default the source's own validation split where it has one; for a synthetic imbalance unused images: a
    fiftieth of the largest class but at least 10 and at most 100, and a third of it where 10 would be more
    than half; for natural data a holdout of 10%.

    Args:
        rule: What was asked for, ``None`` for the default.
        counts: Training images of each class in the source.
        imbalance: The synthetic imbalance, ``None`` for the data as they are.
        has_validation: Whether the source has a validation split.

    Raises:
        SplitError: If ``Given`` was asked for and the source has none.
    """
    if isinstance(rule, Given) and not has_validation:
        raise SplitError(f"validation: 'given' needs a source with a validation split; write {WRITTEN}")
    if rule is not None:
        return rule
    if has_validation:
        return Given()
    if imbalance is None:
        return Holdout(0.1)
    largest = min(counts)  # of the long tail: it can be no larger than the smallest class of the source
    per_class = min(max(largest // 50, 10), 100)
    return Unused(per_class if 2 * per_class <= largest else max(1, largest // FLOOR_SHARE))
