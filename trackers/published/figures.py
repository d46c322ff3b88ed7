"""Published errors of a cell's losses beside the errors measured in it."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from trackers.table import TrialResult

NOTE = (
    "Error of the test set: published figures of the same data, imbalance, order of the classes and network, "
    "as they were given to this project, trained for 200 epochs; ours are means over the seeds after the "
    "last epoch. Published figures of one method differ by a point and more between papers: a reference, no "
    "test."
)


@dataclass(frozen=True)
class Published:
    """A published error, in percent of the test images."""

    dataset: str
    imbalance: float
    order: str
    model: str
    loss: str
    error: float


@dataclass(frozen=True)
class Beside:
    """An arm of a cell beside what is published of its loss.

    Attributes:
        published: Percent.
        error: Mean over the complete trials, percent, ``None`` where there is none.
        n: Number of these trials.
        epochs: Of each.
    """

    loss: str
    published: float
    arm: str | None
    error: float | None
    n: int
    epochs: int | None


@cache
def published() -> tuple[Published, ...]:
    """Every figure, in the order of the file."""
    text = (resources.files("trackers.published") / "cifar_lt.csv").read_text(encoding="utf-8")
    return tuple(
        Published(
            row["dataset"],
            float(row["imbalance"]),
            row["order"],
            row["model"],
            row["loss"],
            float(row["error"]),
        )
        for row in csv.DictReader(text.splitlines())
    )


def beside_published(trials: Sequence[TrialResult]) -> tuple[Beside, ...]:
    """The trials of one cell beside what is published of it; empty where nothing is."""
    if not trials:
        return ()
    cell = (trials[0].dataset, trials[0].imbalance, trials[0].order, trials[0].model)
    figures = [each for each in published() if (each.dataset, each.imbalance, each.order, each.model) == cell]
    rows = []
    for figure in figures:
        arms: dict[str, list[TrialResult]] = {}
        for trial in trials:
            if trial.loss == figure.loss and trial.state == "complete" and "test/accuracy" in trial.metrics:
                arms.setdefault(trial.arm, []).append(trial)
        rows += [_beside(figure, arm, members) for arm, members in arms.items()]
        if not arms:
            rows.append(Beside(figure.loss, figure.error, None, None, 0, None))
    return tuple(rows)


def _beside(figure: Published, arm: str, members: Sequence[TrialResult]) -> Beside:
    errors = [100 * (1 - trial.metrics["test/accuracy"]) for trial in members]
    return Beside(figure.loss, figure.error, arm, statistics.fmean(errors), len(errors), members[0].epochs)
