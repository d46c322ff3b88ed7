"""Figures across cells, accuracy by epoch, curves over p: what is shown is what was measured."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from synthetic_trials import HOSTILE, sweep, trial

from trackers.accuracy import accuracy_curves, accuracy_view
from trackers.across import MOST_LINES, along_depth, along_imbalance, average_bars
from trackers.across_figures import average_by_arm, lines_along
from trackers.compare import Objective, leaderboard
from trackers.figure_style import loss_styles
from trackers.loss_figures import HIGHEST, CurveOverP, CurvesOverP, curves_over_p
from trackers.report_data import CellReport, ReportData, cell_reports
from trackers.table import TrialResult

STYLES = loss_styles(("cross_entropy", "focal", "cefl", "cefl2"))
NAME = "test/accuracy"


def cells_of(trials: list[TrialResult]) -> list[CellReport]:
    return cell_reports(ReportData("s", "done", "t", Objective(), trials, ()))


def scored(score: float, **changes: Any) -> TrialResult:
    """A trial whose score and test accuracy are one number, in a cell named after what sets it apart."""
    cell = "-".join(
        str(changes.get(name)) for name in ("dataset", "imbalance", "depth", "order", "pretrained")
    )
    return trial(**{"cell": cell, "score": score, "metrics": {NAME: score}, **changes})


def test_lines_join_the_cells_that_differ_in_imbalance_alone() -> None:
    trials = [
        scored(0.9 - ratio / 1000 - 0.01 * seed, imbalance=ratio, seed=seed)
        for ratio in (100.0, 10.0, 1.0)
        for seed in (0, 1)
    ] + [
        scored(0.5, imbalance=10.0, dataset="other"),
        scored(0.5, imbalance=50.0, depth=32, model="resnet32"),
    ]
    (view,) = along_imbalance(cells_of(trials), NAME)
    assert (view.ticks, view.where) == ((1.0, 10.0, 100.0), "cifar10, resnet20")
    (line,) = view.lines
    assert [point.mean for point in line.points] == pytest.approx([0.894, 0.885, 0.795])
    assert [(point.low, point.high, point.n) for point in line.points][2] == (
        pytest.approx(0.79), pytest.approx(0.8), 2,
    )  # fmt: skip
    figure = lines_along(view, STYLES, "accuracy")
    (drawn,) = (trace for trace in figure.data if trace.name == "cross_entropy")
    assert list(drawn.x) == [1.0, 10.0, 100.0]
    assert figure.layout.xaxis.type == "log"


@pytest.mark.parametrize("balanced", ["ascending", "descending"])
@pytest.mark.parametrize("order", ["ascending", "descending"])
def test_the_balanced_cell_joins_every_order(order: str, balanced: str) -> None:
    def cells(ratios: tuple[float, ...]) -> list[TrialResult]:
        return [scored(0.9 - ratio / 200, imbalance=ratio, order=order) for ratio in ratios]

    one = scored(0.95, imbalance=1.0, order=balanced)
    where = "cifar10, resnet20" + (", last class the rarest" if order == "descending" else "")
    for ratios in ((10.0,), (10.0, 100.0)):
        (view,) = along_imbalance(cells_of([one, *cells(ratios)]), NAME)
        assert (view.ticks, view.where) == ((1.0, *ratios), where)


def test_each_order_has_one_balanced_cell_its_own_where_there_are_two() -> None:
    trials = [
        scored(score, imbalance=ratio, order=order)
        for order, values in (("ascending", (0.9, 0.8)), ("descending", (0.7, 0.6)))
        for ratio, score in zip((1.0, 10.0), values, strict=True)
    ]
    views = along_imbalance(cells_of(trials), NAME)
    drawn = [[point.mean for point in line.points] for view in views for line in view.lines]
    assert drawn == [[0.9, 0.8], [0.7, 0.6]]


def test_lines_by_depth_keep_imbalances_and_pretrained_networks_apart() -> None:
    trials = [
        scored(
            depth / 100,
            depth=depth,
            model=f"resnet{depth}",
            imbalance=None,
            order=None,
            pretrained=pretrained,
        )
        for depth in (101, 18, 34)
        for pretrained in (True, False)
    ] + [scored(0.1, depth=18, imbalance=10.0), scored(0.2, depth=34, imbalance=10.0)]
    views = along_depth(cells_of(trials), NAME)
    assert sorted(view.where for view in views) == [
        "cifar10, imbalance 10", "cifar10, natural imbalance", "cifar10, natural imbalance, pretrained",
    ]  # fmt: skip
    view = next(view for view in views if view.where.endswith("pretrained"))
    assert [(point.x, point.mean) for point in view.lines[0].points] == [(18, 0.18), (34, 0.34), (101, 1.01)]
    assert list(lines_along(view, STYLES, "accuracy").layout.xaxis.ticktext) == ["18", "34", "101"]


def test_one_cell_has_nothing_across() -> None:
    cells = cells_of([scored(0.5), scored(0.6, loss="cefl", params={"gamma": 1.0})])
    assert along_imbalance(cells, NAME) == along_depth(cells, NAME) == average_bars(cells) == []


def test_the_leading_arm_of_every_loss_is_drawn_however_many_arms_there_are() -> None:
    trials = [
        scored(
            0.5 + gamma / 1000 - ratio / 1000, loss="cefl", params={"gamma": float(gamma)}, imbalance=ratio
        )
        for gamma in range(30)
        for ratio in (10.0, 100.0)
    ] + [scored(0.1, imbalance=ratio) for ratio in (10.0, 100.0)]
    trials.append(scored(0.99, loss="focal", params={"gamma": 1.0, "alpha": 1.0}, imbalance=10.0))
    (view,) = along_imbalance(cells_of(trials), NAME)
    assert len(view.lines) == MOST_LINES + 1
    assert [line.arm for line in view.lines if line.leads] == ["cefl(gamma=29)", "cross_entropy"]
    assert view.left_out == 31 + 1 - len(view.lines)


def test_bars_average_the_imbalances_above_1_of_every_seed() -> None:
    values = {
        (10.0, 0): 0.8,
        (10.0, 1): 0.82,
        (100.0, 0): 0.6,
        (100.0, 1): 0.66,
        (100.0, 2): 0.7,
        (1.0, 0): 0.95,
    }
    arm: dict[str, Any] = {"loss": "cefl", "params": {"gamma": 1.0}}
    trials = [scored(score, imbalance=ratio, seed=seed, **arm) for (ratio, seed), score in values.items()]
    trials += [scored(0.5, imbalance=ratio) for ratio in (10.0, 100.0)]
    trials.append(scored(0.9, imbalance=10.0, loss="cefl", params={"gamma": 2.0}))
    (view,) = average_bars(cells_of(trials))
    assert view.imbalances == (10.0, 100.0)
    first, second = view.bars
    assert (first.arm, first.n, second.arm) == ("cefl(gamma=1)", 2, "cross_entropy")
    assert (first.mean, first.low, first.high) == pytest.approx((0.72, 0.7, 0.74))
    assert (view.partial, view.left_out) == (1, 0)
    figure = average_by_arm(view, STYLES, "accuracy")
    assert sorted(x for trace in figure.data for x in trace.x) == pytest.approx([0.5, 0.72])
    assert figure.layout.xaxis.range[0] < 0.5 < 0.74 < figure.layout.xaxis.range[1]


def test_accuracy_by_epoch_is_that_of_training_and_of_the_other_split() -> None:
    trials = sweep(epochs=5, seeds=2, imbalances=(100.0,))
    view = accuracy_view(trials, leaderboard(trials, Objective()), "val")
    assert view is not None
    assert view.split == "val"
    assert {curve.loss for curve in view.curves} == {"cross_entropy", "focal", "cefl", "cefl2"}
    curve = next(curve for curve in view.curves if curve.loss == "cross_entropy")
    rows = [each.history for each in trials if each.arm == "cross_entropy"]
    for name, line in (("train", curve.train), ("val", curve.judged)):
        expected = [
            np.mean([row[epoch]["metrics"][f"{name}/accuracy"] for row in rows]) for epoch in range(5)
        ]
        assert line.mean == pytest.approx(expected)
    assert len(accuracy_curves(view, STYLES).data) == 2 * len(view.curves)


def test_a_test_set_that_is_touched_once_is_a_mark() -> None:
    rows = tuple(
        {"epoch": epoch, "metrics": {"train/accuracy": 0.1 * epoch} | ({NAME: 0.4} if epoch == 3 else {})}
        for epoch in (1, 2, 3)
    )
    trials = [trial(history=rows)]
    view = accuracy_view(trials, leaderboard(trials, Objective()), "val")
    assert view is not None
    assert (view.split, view.curves[0].judged.mean) == ("test", (None, None, 0.4))
    assert [trace.mode for trace in accuracy_curves(view, STYLES).data] == ["lines", "markers"]
    assert accuracy_view([trial()], leaderboard([trial()], Objective()), "val") is None


def test_curves_over_p_are_cut_in_nats_and_not_as_weights() -> None:
    curves = (CurveOverP("a", "cefl", (9.0, 0.0)), CurveOverP(HOSTILE[1], None, (1.0, 0.5)))
    for unit, top in (("loss (nats)", HIGHEST), ("weight", 1.0)):
        figure = curves_over_p(CurvesOverP("name", "h", "c", unit, (0.1, 1.0), curves), STYLES)
        assert figure.layout.yaxis.range[1] == pytest.approx(1.02 * top)
        assert figure.data[0].line.color == STYLES["cefl"].color
        assert "<img" not in figure.to_json()
