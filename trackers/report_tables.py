"""The tables of a report as values, for its folder ``tables``: whole, where the page shows leading rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from trackers import confirmed_words as words
from trackers import wording
from trackers.per_class import ClassTable, class_tables
from trackers.report_data import (
    CellReport,
    ReportData,
    as_confirmed,
    cell_reports,
    class_split,
    unfinished,
)
from trackers.tables import Column, Table
from trackers.verdicts import how_to_read

_SPLITS = {"val": "validation", "test": "test"}
_CELL, _ARM = Column("Cell"), Column("Arm")
_SEEDS = Column("n", number=True)


def report_tables(data: ReportData) -> list[Table]:
    """What was confirmed, leaderboard, classes, and the trials without a result."""
    cells = cell_reports(data)
    confirmed = [confirmation_table(cells, data)] if data.confirmations else []
    return [*confirmed, leaderboard_table(cells, data), per_class_table(cells, data), failed_table(data)]


def confirmation_table(cells: Sequence[CellReport], data: ReportData) -> Table:
    """Every confirmed arm of every cell, the chosen one first."""
    rows = [
        (
            cell.info.name, arm.arm, arm.validation, arm.test.mean, arm.test.std, arm.test.low, arm.test.high,
            arm.test.h_seeds, arm.test.h_images, arm.test.n,
            arm.difference.estimate.mean if arm.difference else None,
            arm.difference.estimate.low if arm.difference else None,
            arm.difference.estimate.high if arm.difference else None,
            arm.p, words.beats(arm),
        )
        for cell in cells
        if cell.confirmation is not None
        for arm in cell.confirmation.arms
    ]  # fmt: skip
    share = {name: Column(name, wording.percent, True) for name in ("Chosen by", "Test mean", "Low", "High")}
    points = {name: Column(name, wording.signed, True) for name in ("Difference", "Least", "Greatest")}
    spread = {name: Column(name, wording.deviation, True) for name in ("SD", "Seeds", "Images")}
    columns = (
        _CELL, _ARM, share["Chosen by"], share["Test mean"], spread["SD"], share["Low"], share["High"],
        spread["Seeds"], spread["Images"], _SEEDS, points["Difference"], points["Least"], points["Greatest"],
        Column("p", words.p_value, True), Column("Beats cross-entropy"),
    )  # fmt: skip
    metric, reading = wording.metric_name(data.objective).capitalize(), " ".join(how_to_read(cells))
    note = (
        f"{metric} on the test set, last epoch. Low to High and Least to Greatest are 95% intervals of seeds "
        "and test images together, Seeds and Images their half-widths; SD, half-widths and differences are "
        f"in percentage points. {reading}"
    )
    return Table("confirmation", f"Confirmation of {data.sweep}", columns, tuple(rows), note)


def leaderboard_table(cells: Iterable[CellReport], data: ReportData) -> Table:
    """Every ranked arm of every cell, best first."""
    rows = []
    for cell in cells:
        base = None if cell.winner is None else cell.winner.baseline
        rows += [
            (
                cell.info.name, arm.rank, arm.arm, arm.mean, arm.std, arm.minimum, arm.maximum, arm.n,
                None if base is None or arm.mean is None else arm.mean - base,
                wording.incomplete(arm.states) or None,
            )
            for arm in cell.arms
            if arm.n
        ]  # fmt: skip
    share = [Column(name, wording.percent, True) for name in ("Mean", "Lowest", "Highest")]
    columns = (
        _CELL, Column("Rank", number=True), _ARM, share[0], Column("SD", wording.deviation, True), share[1],
        share[2], _SEEDS, Column("Difference", wording.signed, True), Column("No result"),
    )  # fmt: skip
    objective = data.objective
    note = (
        f"{wording.metric_name(objective).capitalize()}, {wording.split_name(objective)}, "
        f"{wording.epoch_rule(objective)}; n counts seeds; differences are to the mean of cross-entropy, "
        "they and SD in percentage points. Scores of a search: no claim that one arm is better than another."
    )
    return Table("leaderboard", f"Leaderboard of {data.sweep}", columns, tuple(rows), note)


def per_class_table(cells: Iterable[CellReport], data: ReportData) -> Table:
    """Precision, recall and F1 of every class, of the leading arm of every loss in every cell."""
    found = [
        table
        for cell in cells
        for table in class_tables(as_confirmed(cell), class_split(cell, data.objective))
    ]
    return class_rows("per-class", f"Classes of {data.sweep}", found)


def class_rows(name: str, title: str, found: Sequence[ClassTable]) -> Table:
    """Tables of classes below each other, each closed by its macro average."""
    rows = [
        (
            each.cell, each.arm, _SPLITS[each.split], each.n, row.label, row.train_images, row.support,
            row.precision, row.recall, row.f1,
        )
        for each in found
        for row in (*each.rows, each.macro)
    ]  # fmt: skip
    counts = [Column(name, lambda value: f"{value:,}", True) for name in ("Train images", "Support")]
    rates = [Column(name, _two, True) for name in ("Precision", "Recall", "F1")]
    columns = (_CELL, _ARM, Column("Split"), _SEEDS, Column("Class"), *counts, *rates)
    return Table(name, title, columns, tuple(rows), CLASS_NOTE)


CLASS_NOTE = (
    "Each value is the mean over the n seeds of the seed's own value; the macro average is the unweighted "
    "mean over the classes that have images in the split."
)


def failed_table(data: ReportData) -> Table:
    """Failed trials, then those that were stopped early."""
    rows = tuple(
        (trial.cell, trial.arm, trial.seed, trial.state, len(trial.history), trial.epochs, trial.reason)
        for trial in unfinished(data.trials)
    )
    numbers = [Column(name, number=True) for name in ("Epochs done", "Epochs")]
    columns = (_CELL, _ARM, Column("Seed", number=True), Column("State"), *numbers, Column("Reason"))
    return Table("failed", f"Trials of {data.sweep} without a result", columns, rows)


def _two(share: float) -> str:
    return wording.percent(share, 2)
