"""Where the paper contradicts itself, found by arithmetic on its printed numbers alone.

Every check says how it was made and what it found; one that found nothing is listed, too. None says which of
two numbers is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from trackers.paper.additive import matrix, residual_deviation
from trackers.paper.printed import (
    RATES,
    CellKey,
    ClassCount,
    PaperTable,
    Printed,
    class_counts,
    paper_table,
    printed_averages,
)
from trackers.statistics import paired_t

HALF_DIGIT = 0.005 + 1e-9
"""A number printed with two decimals is at most this far from the exact one."""

LARGEST_CLASS = {"table2": 5000, "table3": 500}
_NAMES = {"macro_f1": "F1"}


@dataclass(frozen=True)
class Finding:
    """One contradiction; ``cell`` is ``None`` where it is about more than one number."""

    text: str
    cell: Printed | None = None


@dataclass(frozen=True)
class Check:
    """What must hold in a table, how that was tried, and what does not hold."""

    rule: str
    how: str
    findings: tuple[Finding, ...]


def checks(table: PaperTable) -> tuple[Check, ...]:
    """Every check that there is for a table."""
    return tuple(
        Check(rule, how.format(test_images=table.test_images), tuple(check(table)))
        for rule, how, check in _CHECKS[table.name]
    )


def doubts(table: PaperTable) -> dict[CellKey, str]:
    """The numbers that a finding is about, with what it says."""
    found: dict[CellKey, str] = {}
    for check in checks(table):
        for each in check.findings:
            if each.cell is not None:
                key = each.cell.key
                found[key] = f"{found[key]}; {each.text}" if key in found else each.text
    return found


def is_share_of(value: float, images: int) -> bool:
    """Whether a percentage with two decimals, rounded or cut, is a whole number out of ``images``."""
    near = round(value * images / 100)
    shares = [100 * count / images for count in range(near - 2, near + 3)]
    return any(abs(share - value) <= HALF_DIGIT or 0 <= share - value < 0.01 - 1e-9 for share in shares)


def _averages(table: PaperTable) -> Iterator[Finding]:
    arms, _, values = matrix(table, "accuracy")
    printed = printed_averages(table.name)
    for arm, mean in zip(arms, values.mean(axis=1), strict=True):
        if abs(mean - printed[arm]) > HALF_DIGIT:
            yield Finding(f"{arm}: the average is {mean:.3f}, printed is {printed[arm]:.2f}")


def _falling(table: PaperTable) -> Iterator[Finding]:
    for before, cell in zip(table.cells, table.cells[1:], strict=False):
        if before.arm == cell.arm and before.value is not None and cell.value is not None:
            if cell.value >= before.value:
                yield Finding(f"{cell.value:.2f} is no less than the {before.value:.2f} before it", cell)


def _realised(table: PaperTable) -> Iterator[Finding]:
    for ratio in (place for place in table.places if isinstance(place, float)):
        largest = LARGEST_CLASS[table.name]
        rarest = math.floor(largest / ratio)
        if largest != ratio * rarest:
            yield Finding(
                f"imbalance {ratio:g}: the rarest class keeps {rarest} of {largest / ratio:g} images,"
                f" so that {largest} to {rarest} is a ratio of {largest / rarest:g}"
            )


def _scale(table: PaperTable) -> Iterator[Finding]:
    values = {(cell.arm, cell.along): cell.value for cell in table.cells if cell.value is not None}
    gaps = [
        value - values[arm.replace("alpha=0.75", "alpha=1"), along]
        for (arm, along), value in values.items()
        if "alpha=0.75" in arm
    ]
    test = paired_t(gaps)
    if test.p is not None and test.p < 0.05:
        yield Finding(
            f"alpha 0.75 is {test.mean:+.2f} points from alpha 1 on average over {len(gaps)} pairs (p ="
            f" {test.p:.1g})"
        )


def _whole_images(table: PaperTable) -> Iterator[Finding]:
    for cell in table.cells:
        if cell.metric == "accuracy" and cell.value is not None:
            if not is_share_of(cell.value, table.test_images):
                images = cell.value * table.test_images / 100
                yield Finding(f"{cell.value:.2f}% of {table.test_images:,} is {images:,.2f} images", cell)


def _lost(table: PaperTable) -> Iterator[Finding]:
    for cell in table.cells:
        if cell.value is None:
            yield Finding("lost in the source", cell)


def _smooth(table: PaperTable) -> Iterator[Finding]:
    deviation = residual_deviation(table, "accuracy")
    others = [residual_deviation(paper_table(name), "accuracy") for name in LARGEST_CLASS]
    if deviation < min(others) / 2:
        images = deviation * table.test_images / 100
        yield Finding(
            f"accuracy deviates by {deviation:.2f} points, {images:.0f} of {table.test_images:,} images,"
            f" where Tables 2 and 3 have {' and '.join(f'{other:.2f}' for other in others)}"
        )


def _other_table(table: PaperTable) -> Iterator[Finding]:
    """Accuracy is the mean recall here, since every class has 300 test images."""
    other = {("accuracy", arm): value for arm, value in _class_means("recall").items()}
    other |= {("macro_f1", arm): value for arm, value in _class_means("f1").items()}
    for cell in paper_table("table4-mushroom").cells:
        exact = other.get((cell.metric, cell.arm))
        if cell.depth == 101 and exact is not None and cell.value is not None:
            if abs(cell.value - exact) > 0.01:
                name = _NAMES.get(cell.metric, cell.metric)
                text = f"{cell.arm}: {name} is {cell.value:.2f} in Table 4 and {exact:.2f} by Table 5"
                yield Finding(text, cell if table.along == "depth" else None)


def _counts(table: PaperTable) -> Iterator[Finding]:
    exact = {(each.loss, each.class_name): rates(each) for each in class_counts()}
    for cell in table.cells:
        rate = exact[cell.loss, str(cell.class_name)][cell.metric]
        if cell.value is not None and abs(cell.value - rate) > HALF_DIGIT:
            yield Finding(f"{cell.value:.2f} is {rate:.3f} by the counts", cell)


def _predictions(table: PaperTable) -> Iterator[Finding]:
    for loss in dict.fromkeys(each.loss for each in class_counts()):
        total = sum(each.predicted for each in class_counts() if each.loss == loss)
        if total != table.test_images:
            yield Finding(f"{loss}: {total} predictions of {table.test_images} images")


def rates(count: ClassCount) -> dict[str, float]:
    """Precision, recall and F1 of a class in percent."""
    return {
        "precision": 100 * count.true_positives / count.predicted,
        "recall": 100 * count.true_positives / count.support,
        "f1": 200 * count.true_positives / (count.predicted + count.support),
    }


def _class_means(rate: str) -> Mapping[str, float]:
    """Mean of a rate over the classes of Table 5, by arm."""
    arms = {cell.loss: cell.arm for cell in paper_table("table5").cells}
    return {
        arm: float(np.mean([rates(each)[rate] for each in class_counts() if each.loss == loss]))
        for loss, arm in arms.items()
    }


_Rule = tuple[str, str, Callable[[PaperTable], Iterator[Finding]]]
_AGREE: _Rule = (
    "ResNet-101 has the same figures in Tables 4 and 5",
    "accuracy against the mean recall, and F1 against the mean F1, of the counts behind Table 5",
    _other_table,
)
_LONG_TAIL: tuple[_Rule, ...] = (
    ("the average is the mean of its row", "mean of the six imbalances above 1, to half a digit", _averages),
    ("accuracy falls as the imbalance grows", "each cell against the one before it", _falling),
    ("the imbalance is the one named", "largest class over the floor of largest / imbalance", _realised),
    (
        "alpha, which only scales the loss, changes little",
        "paired t-test of focal loss at alpha 0.75 against alpha 1, same gamma and imbalance",
        _scale,
    ),
)
_BY_DEPTH: tuple[_Rule, ...] = (
    ("every number is there", "empty cells of the source", _lost),
    (
        "accuracy is a whole number of images",
        "no count out of {test_images:,} gives these two decimals, rounded or cut; a mean over several"
        " trainings could",
        _whole_images,
    ),
    (
        "cells deviate by chance as trainings do",
        "standard deviation around arm + depth, without cross-entropy, against that of Tables 2 and 3",
        _smooth,
    ),
)
_CHECKS: Mapping[str, tuple[_Rule, ...]] = {
    "table2": _LONG_TAIL,
    "table3": _LONG_TAIL,
    "table4-crop": _BY_DEPTH,
    "table4-mushroom": (*_BY_DEPTH, _AGREE),
    "table5": (
        (
            "the rates follow from whole numbers",
            f"{', '.join(RATES)} from the counts, to half a digit",
            _counts,
        ),
        ("every image is predicted once", "sum of the predictions of a loss", _predictions),
        _AGREE,
    ),
}
