"""Precision, recall and F1 of every class: the paper's Table 5, and how seeds are combined."""

from __future__ import annotations

import numpy as np
import pytest
from confusions import matrix_of_counts
from synthetic_trials import trial

from cefl.metrics import metrics_from_confusion, per_class
from trackers.compare import Objective, leaderboard
from trackers.page import render
from trackers.paper.printed import class_counts, paper_table
from trackers.per_class import ClassTable, class_table, rates_of
from trackers.plots import confusion_plots
from trackers.report_data import ReportData, cell_reports
from trackers.report_tables import report_tables
from trackers.table import TrialResult

MACRO = {
    "cross_entropy": (0.614506, 0.626296, 0.591737),
    "focal": (0.667454, 0.652593, 0.625420),
    "cefl": (0.729495, 0.673704, 0.654612),
    "cefl2": (0.718728, 0.670741, 0.653239),
}


def matrix_of(loss: str) -> list[list[int]]:
    """A confusion matrix with the counts of Table 5; which class is taken for which is free."""
    counts = [each for each in class_counts() if each.loss == loss]
    hits, predicted, support = (
        [getattr(each, name) for each in counts] for name in ("true_positives", "predicted", "support")
    )
    matrix: list[list[int]] = matrix_of_counts(hits, predicted, support).tolist()
    return matrix


def table_of(trials: list[TrialResult], train_counts: tuple[int, ...] = ()) -> ClassTable:
    found = class_table(trials, leaderboard(trials, Objective())[0], "test", train_counts)
    assert found is not None
    return found


@pytest.mark.parametrize("loss", MACRO)
def test_table_5_of_the_paper_comes_out(loss: str) -> None:
    printed = [cell for cell in paper_table("table5").cells if cell.loss == loss]
    names = tuple(dict.fromkeys(str(cell.class_name) for cell in printed))
    found = table_of([trial(loss=loss, confusion={"test": matrix_of(loss)}, classes=names)])
    rows = {row.label: row for row in found.rows}
    for cell in printed:
        assert 100 * getattr(rows[str(cell.class_name)], cell.metric) == pytest.approx(cell.value, abs=0.0101)
    assert {row.support for row in found.rows} == {300}
    macro = (found.macro.precision, found.macro.recall, found.macro.f1)
    assert macro == pytest.approx(MACRO[loss], abs=5e-7)


def test_the_rates_are_those_of_the_training_package() -> None:
    matrix = np.random.default_rng(0).integers(0, 9, (6, 6))
    matrix[:, 2] = 0  # never predicted
    matrix[4] = 0  # no images
    targets, predictions = (np.repeat(index.ravel(), matrix.ravel()) for index in np.indices(matrix.shape))
    expected = per_class(targets, predictions, 6)
    assert rates_of(matrix.tolist()) == pytest.approx(np.stack(expected[:3], axis=1), nan_ok=True)


def test_seeds_are_averaged_and_the_macro_average_is_the_mean_of_theirs() -> None:
    matrices = [[[8, 2], [1, 9]], [[4, 6], [0, 10]], [[0, 10], [0, 10]]]
    trials = [
        trial(seed=seed, confusion={"test": matrix}, classes=("rare", "common"), train_counts=(5, 50))
        for seed, matrix in enumerate(matrices)
    ]
    found = table_of(trials, (5, 50))
    assert (found.n, [row.label for row in found.rows]) == (3, ["common", "rare"])
    rare = found.rows[1]
    assert rare.recall == pytest.approx((0.8 + 0.4 + 0.0) / 3)
    assert rare.precision == pytest.approx((8 / 9 + 1 + 0) / 3)
    assert (rare.train_images, rare.support) == (5, 10)
    f1 = [metrics_from_confusion(matrix)["macro_f1"] for matrix in matrices]
    assert found.macro.f1 == pytest.approx(np.mean(f1))
    assert (found.macro.train_images, found.macro.support) == (55, 20)


def test_a_class_without_images_has_no_value_and_no_part_in_the_average() -> None:
    found = table_of([trial(confusion={"test": [[3, 1], [0, 0]]}, classes=("a", "b"))])
    assert (found.rows[1].recall, found.rows[1].f1) == (None, None)
    assert found.macro.recall == 0.75


def test_the_table_of_a_report_holds_the_leading_arm_of_every_loss_of_every_cell() -> None:
    matrix = {"val": [[9, 1], [2, 8]]}
    trials = [
        trial(cell=cell, loss=loss, params=params, score=score, confusion=matrix, classes=("a", "b"))
        for cell in ("one", "two")
        for loss, params, score in (
            ("cross_entropy", {}, 0.5), ("cefl", {"gamma": 1.0}, 0.7), ("focal", {"gamma": 1.0}, 0.6),
            ("cefl", {"gamma": 2.0}, 0.65), ("focal", {"gamma": 2.0}, 0.4),
        )
    ]  # fmt: skip
    data = ReportData("s", "done", "t", Objective(), trials, ())
    table = report_tables(data)[1]
    assert [row[:5] for row in table.rows] == [
        (cell, arm, "validation", 1, label)
        for cell in ("one", "two")
        for arm in ("cefl(gamma=1)", "cross_entropy", "focal(gamma=1)")
        for label in ("a", "b", "macro average")
    ]
    drawn = [list(confusion_plots(number, cell, "val")) for number, cell in enumerate(cell_reports(data), 1)]
    assert [[plot.heading for plot in plots] for plots in drawn] == 2 * [
        [f"Confusion: {arm}" for arm in ("cefl(gamma=1)", "cross_entropy", "focal(gamma=1)")]
    ]
    page = render(data)
    assert page.count("Those of the best arm of every other loss are in") == 2
    assert page.count("CE recall") == 2
