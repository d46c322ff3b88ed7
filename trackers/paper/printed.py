"""What the paper prints: its tables 2 to 5 as values, in percent with two decimals as printed.

Source: Wang et al., "Class Balanced Loss for Image Classification", IEEE Access 2020,
doi 10.1109/ACCESS.2020.2991237.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from trackers.errors import ComparisonError
from trackers.table import arm_label

DOI = "10.1109/ACCESS.2020.2991237"
NAMES = ("table2", "table3", "table4-crop", "table4-mushroom", "table5")
IMBALANCES = (1, 10, 20, 50, 100, 200, 500)
DEPTHS = (18, 34, 50, 101)
RATES = ("precision", "recall", "f1")

_LOSSES = {"ce": "cross_entropy"}
_TABLE5_PARAMS = {"focal": {"alpha": 1.0, "gamma": 2.0}, "cefl": {"gamma": 2.0}, "cefl2": {"gamma": 2.0}}


CellKey = tuple[float | None, int, str, str, str | None]


@dataclass(frozen=True)
class Printed:
    """One number of the paper, and what it is of.

    Args:
        imbalance: Largest class over the rarest, ``None`` for natural data.
        depth: Of the ResNet.
        loss: By our name.
        params: Of the loss.
        metric: ``accuracy``, ``macro_f1``, or of one class ``precision``, ``recall``, ``f1``.
        class_name: ``None`` for what is of all classes.
        value: Percent, ``None`` where it is lost in the source.
    """

    imbalance: float | None
    depth: int
    loss: str
    params: Mapping[str, float]
    metric: str
    class_name: str | None
    value: float | None

    @property
    def arm(self) -> str:
        """Such as ``focal(alpha=0.75, gamma=2)``."""
        return arm_label(self.loss, self.params)

    @property
    def key(self) -> CellKey:
        """Its place in the paper, to look it up by."""
        return self.imbalance, self.depth, self.arm, self.metric, self.class_name

    @property
    def along(self) -> float | str:
        """Where it stands along its table: imbalance, depth or class."""
        if self.class_name is not None:
            return self.class_name
        return self.depth if self.imbalance is None else self.imbalance


@dataclass(frozen=True)
class PaperTable:
    """One table, or the half of one that is about one data set.

    Args:
        name: One of `NAMES`.
        title: Such as ``Table 2``.
        data: The data set in words.
        dataset: Name that a sweep's data set is recognised by.
        classes: Number of classes.
        along: ``imbalance``, ``depth`` or ``class``: what varies beside the loss.
        pretrained: Whether the networks started from published weights.
        epochs: Of each training.
        test_images: That the metrics are of.
        metrics: In the order of the columns.
        cells: Every number, row by row.
    """

    name: str
    title: str
    data: str
    dataset: str
    classes: int
    along: str
    pretrained: bool
    epochs: int
    test_images: int
    metrics: tuple[str, ...]
    cells: tuple[Printed, ...]

    @property
    def depths(self) -> tuple[int, ...]:
        """Of its networks, in the order of the table."""
        return tuple(dict.fromkeys(cell.depth for cell in self.cells))

    @property
    def arms(self) -> tuple[str, ...]:
        """Its rows, in the order of the table."""
        return tuple(dict.fromkeys(cell.arm for cell in self.cells))

    @property
    def places(self) -> tuple[float | str, ...]:
        """Values of ``along``, in the order of the table."""
        return tuple(dict.fromkeys(cell.along for cell in self.cells))


@dataclass(frozen=True)
class ClassCount:
    """One row of Table 5 in whole numbers."""

    loss: str
    class_name: str
    minor: bool
    true_positives: int
    predicted: int
    support: int


@cache
def paper_table(name: str) -> PaperTable:
    """A table by its name.

    Raises:
        ComparisonError: If there is none of this name.
    """
    if name not in NAMES:
        raise ComparisonError(f"the paper's tables are {', '.join(NAMES)}, but got {name!r}")
    if name in ("table2", "table3"):
        classes = 10 if name == "table2" else 100
        return PaperTable(
            name, name.replace("table", "Table "), f"imbalanced CIFAR-{classes}", f"cifar{classes}",
            classes, "imbalance", False, 100, 10_000, ("accuracy",), tuple(_by_imbalance(name)),
        )  # fmt: skip
    if name == "table4-crop":
        return PaperTable(
            name, "Table 4, crop disease", "AI Challenger 2018 crop disease, validation set", "crop-disease",
            61, "depth", True, 60, 4540, ("macro_f1", "accuracy"), tuple(_by_depth("crop_disease")),
        )  # fmt: skip
    if name == "table4-mushroom":
        return PaperTable(
            name, "Table 4, mushroom", "Kaggle mushroom, test set", "mushroom",
            9, "depth", True, 100, 2700, ("macro_f1", "accuracy"), tuple(_by_depth("mushroom")),
        )  # fmt: skip
    return PaperTable(
        name, "Table 5", "Kaggle mushroom, test set, by class", "mushroom",
        9, "class", True, 100, 2700, RATES, tuple(_by_class()),
    )  # fmt: skip


def printed_averages(name: str) -> dict[str, float]:
    """The column "average" of Table 2 or 3 as printed, percent by arm: the mean over imbalances above 1."""
    return {arm_label(*_arm(row)): float(row["average_except_1"]) for row in _rows(name)}


def class_counts() -> tuple[ClassCount, ...]:
    """Table 5 in whole numbers, as recovered from what is printed."""
    return tuple(
        ClassCount(
            _LOSSES.get(row["loss"], row["loss"]), row["class"], row["minor_class"] == "1",
            int(row["true_positives"]), int(row["predicted"]), int(row["support"]),
        )
        for row in _rows("table5")
    )  # fmt: skip


def _by_imbalance(name: str) -> list[Printed]:
    return [
        Printed(float(ratio), 18, *_arm(row), "accuracy", None, float(row[f"rho_{ratio}"]))
        for row in _rows(name)
        for ratio in IMBALANCES
    ]


def _by_depth(data: str) -> list[Printed]:
    return [
        Printed(None, int(row["depth"]), *_arm(row), metric, None, _number(row[f"{data}_{column}"]))
        for row in _rows("table4")
        for metric, column in (("macro_f1", "f1"), ("accuracy", "accuracy"))
    ]


def _by_class() -> list[Printed]:
    cells = []
    for row in _rows("table5"):
        loss = _LOSSES.get(row["loss"], row["loss"])
        params = _TABLE5_PARAMS.get(loss, {})
        cells += [
            Printed(None, 101, loss, params, rate, row["class"], float(row[f"{rate}_printed"]))
            for rate in RATES
        ]
    return cells


def _arm(row: Mapping[str, str]) -> tuple[str, dict[str, float]]:
    params = {name: float(row[name]) for name in ("alpha", "gamma") if row[name]}
    return _LOSSES.get(row["loss"], row["loss"]), params


def _number(text: str) -> float | None:
    return float(text) if text else None


def _rows(file: str) -> list[dict[str, str]]:
    text = (resources.files("trackers.paper") / f"{file}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
