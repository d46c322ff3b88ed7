"""What the views compute and what the figures draw of it."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pytest
from synthetic_trials import HOSTILE, confusion, sweep, trial

from trackers.class_figures import class_distribution, confusion_matrix, number_heights
from trackers.compare import Objective, leaderboard
from trackers.figure_style import loss_styles, safe, short, template
from trackers.figures import leaderboard_dots, metric_against_gamma, training_curves
from trackers.table import TrialResult
from trackers.views import (
    MOST_CURVES,
    MOST_DOTS,
    MOST_POINTS,
    classes_view,
    confusion_view,
    curves_view,
    dots_view,
    gamma_view,
    row_shares,
    unique_labels,
)

STYLES = loss_styles(["cross_entropy", "focal", "cefl", "cefl2"])


@pytest.fixture(scope="module")
def trials() -> list[TrialResult]:
    return sweep(imbalances=(100.0,))


def many(count: int) -> list[TrialResult]:
    """``count`` asks of one loss, the best in the middle, and cross-entropy as the worst."""
    gammas = np.linspace(0, 10, count)
    asks = [
        trial(loss="cefl", params={"gamma": float(gamma)}, score=0.6 - 0.01 * abs(gamma - 5.0), kind="ask")
        for gamma in gammas
    ]
    return [*asks, trial(score=0.1)]


def test_every_loss_has_a_colour_of_its_own_and_keeps_it() -> None:
    colors = [
        style.color for style in loss_styles(["cross_entropy", "focal", "cefl", "cefl2", "new"]).values()
    ]
    assert len(set(colors)) == 5
    assert loss_styles(["cefl", "other"])["cefl"] == STYLES["cefl"]


def test_twelve_losses_are_told_apart() -> None:
    assert len(set(loss_styles([*STYLES, *"abcdefgh"]).values())) == 12


@pytest.mark.parametrize("dark", [False, True])
def test_colours_are_seen_on_both_backgrounds(dark: bool) -> None:
    def luminance(color: str) -> float:
        parts = [int(color[index : index + 2], 16) / 255 for index in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return float(np.dot([0.2126, 0.7152, 0.0722], linear))

    page = luminance("#15181d" if dark else "#ffffff")
    for style in loss_styles([*STYLES, "a", "b", "c", "d"]).values():
        low, high = sorted((page, luminance(style.color)))
        assert (high + 0.05) / (low + 0.05) >= 3  # WCAG 2.1, 1.4.11


def test_both_templates_are_templates_that_plotly_takes() -> None:
    assert go.layout.Template(template()) != go.layout.Template(template(dark=True))


def test_grid_points_and_asks_are_marked_differently(trials: list[TrialResult]) -> None:
    view = gamma_view(leaderboard(trials, Objective()))
    figure = metric_against_gamma(view, STYLES, "accuracy")
    symbols = {trace.name: trace.marker.symbol for trace in figure.data if trace.mode == "markers"}
    assert symbols["cefl"] == "circle"
    assert symbols["cefl, asked by the study"] == "circle-open"
    assert {trace.marker.color for trace in figure.data if trace.name == "cefl"} == {STYLES["cefl"].color}


def test_the_gamma_view_holds_the_means_and_cross_entropy(trials: list[TrialResult]) -> None:
    view = gamma_view(leaderboard(trials, Objective()))
    assert [series.loss for series in view.series] == ["cefl", "cefl2", "focal"]
    cefl = view.series[0]
    assert list(cefl.gammas) == sorted(cefl.gammas)
    at_two = next(arm for gamma, arm in zip(cefl.gammas, cefl.arms, strict=True) if gamma == 2.0)
    scores = [each.score for each in trials if each.arm == "cefl(gamma=2)"]
    assert at_two.mean == pytest.approx(np.mean([score for score in scores if score is not None]))
    scores = [each.score for each in trials if each.loss == "cross_entropy"]
    assert view.baseline is not None
    assert (view.baseline.low, view.baseline.high, view.baseline.n) == (min(scores), max(scores), 3)


def test_cross_entropy_is_a_line_with_a_band_from_least_to_greatest(trials: list[TrialResult]) -> None:
    view = gamma_view(leaderboard(trials, Objective()))
    band, line = metric_against_gamma(view, STYLES, "accuracy").layout.shapes
    assert view.baseline is not None
    assert (band.y0, band.y1) == (view.baseline.low, view.baseline.high)
    assert line.y0 == line.y1 == view.baseline.mean


def test_curves_average_the_seeds_and_emphasise_best_and_baseline(trials: list[TrialResult]) -> None:
    arms = leaderboard(trials, Objective())
    view = curves_view(trials, arms, "balanced_accuracy")
    roles = {curve.arm: curve.role for curve in view.curves}
    assert roles[arms[0].arm] == "best"
    assert roles["cross_entropy"] == "baseline"
    curve = next(curve for curve in view.curves if curve.arm == "cross_entropy")
    last = [
        each.history[-1]["metrics"]["val/balanced_accuracy"] for each in trials if each.arm == "cross_entropy"
    ]
    assert curve.metric.mean[-1] == pytest.approx(np.mean(last))
    assert (curve.metric.low[-1], curve.metric.high[-1]) == (min(last), max(last))
    assert curve.epochs == tuple(range(1, 41))
    figure = training_curves(view, STYLES, "accuracy")
    shown = {trace.name: trace.line.width for trace in figure.data if trace.showlegend is not False}
    assert shown["cross_entropy"] > min(shown.values()) < max(shown.values())


def test_a_value_that_is_not_finite_leaves_a_gap_in_the_curve() -> None:
    rows = [
        {"epoch": epoch, "metrics": {"train/loss": loss}} for epoch, loss in ((1, 2.0), (2, float("nan")))
    ]
    trials = [trial(history=tuple(rows))]
    view = curves_view(trials, leaderboard(trials, Objective()), "accuracy")
    assert view.curves[0].train_loss.mean == (2.0, None)
    training_curves(view, STYLES, "accuracy")


def test_a_large_sweep_is_cut_to_its_best_arms_and_cross_entropy_and_says_how_many_are_missing() -> None:
    trials = many(3000)
    arms = leaderboard(trials, Objective())
    dots = dots_view(arms)
    assert len(dots.arms) == MOST_DOTS + 1
    assert dots.arms[-1].loss == "cross_entropy"
    assert dots.left_out == 3000 - MOST_DOTS
    gammas = gamma_view(arms)
    assert len(gammas.series[0].arms) <= MOST_POINTS + 1
    assert gammas.left_out == 3000 - len(gammas.series[0].arms)
    assert arms[0] in gammas.series[0].arms
    assert (gammas.series[0].gammas[0], gammas.series[0].gammas[-1]) == (0.0, 10.0)
    assert curves_view(trials, arms, "accuracy").left_out == 3000 - MOST_CURVES


def test_confusion_matrices_are_summed_over_seeds_with_the_largest_class_first() -> None:
    counts = [[[8, 2], [1, 9]], [[7, 3], [0, 10]]]
    trials = [
        trial(seed=seed, confusion={"val": counts[seed]}, classes=("rare", "common")) for seed in (0, 1)
    ]
    arm = leaderboard(trials, Objective())[0]
    view = confusion_view(trials, arm, "val", (50, 5000))
    assert view is not None
    assert view.labels == ("common", "rare")
    assert view.counts == ((19, 1), (5, 15))
    assert view.shares == ((0.95, 0.05), (0.25, 0.75))
    assert view.n == 2
    assert confusion_view(trials, arm, "test", ()) is None


@pytest.mark.parametrize("classes", [2, 9, 100])
def test_a_confusion_matrix_is_drawn_for_any_number_of_classes(classes: int) -> None:
    names = tuple(f"class {index}" for index in range(classes))
    matrix = confusion(np.random.default_rng(0), 0.6, classes)
    trials = [trial(confusion={"val": matrix}, classes=names)]
    view = confusion_view(trials, leaderboard(trials, Objective())[0], "val", ())
    assert view is not None
    heat = confusion_matrix(view).data[0]
    assert np.shape(heat.z) == np.shape(heat.text) == (classes, classes)
    assert bool(heat.texttemplate) == (classes <= 15)
    assert np.sum(np.array(heat.z), axis=1) == pytest.approx(1.0)


def test_a_class_without_images_has_no_shares() -> None:
    assert row_shares([[0, 0], [1, 3]]) == ((None, None), (0.25, 0.75))


def test_the_class_distribution_is_sorted_and_marks_classes_that_only_train() -> None:
    view = classes_view(("a", "b", "c"), (5, 500, 50), (0, 10, 5), (), ("a",))
    assert (view.labels, view.train, view.validation, view.test) == (
        ("b", "c", "a"),
        (500, 50, 5),
        (10, 5, 0),
        (),
    )
    assert view.train_only == (False, False, True)
    figure = class_distribution(view)
    assert [trace.name for trace in figure.data] == ["training", "validation", None]
    assert figure.data[0].marker.pattern.shape == ("", "", "/")
    assert figure.data[2].text == ("500", "50", "5")


def test_the_numbers_of_bars_stand_above_the_marks_that_would_cover_them() -> None:
    view = classes_view(("a", "b", "c", "d"), (1000, 90, 30, 5), (20, 20, 60, 20), (90, 90, 90, 90), ())
    assert number_heights(view) == [1000, 90, 90, 90], "the marks of c stand close to each other, and of d"


def test_dots_show_every_seed_and_the_range(trials: list[TrialResult]) -> None:
    view = dots_view(leaderboard(trials, Objective()))
    figure = leaderboard_dots(view, STYLES, "accuracy")
    drawn = sorted(x for trace in figure.data if trace.marker.size == 4 for x in trace.x)
    assert drawn == pytest.approx(sorted(score for arm in view.arms for score in arm.scores))
    assert list(figure.layout.yaxis.ticktext)[0] == view.arms[0].arm


def test_names_stay_text_in_plotly() -> None:
    assert safe("<b>a</b> & b\n") == "&lt;b&gt;a&lt;/b&gt; &amp; b"
    view = classes_view(HOSTILE, tuple(range(10, 0, -1)), (), (), ())
    written = class_distribution(view).to_json()
    assert "<img" not in written
    assert "<a " not in written


def test_repeated_and_empty_class_names_stay_apart() -> None:
    assert unique_labels(["a", "a", "", " "]) == ("a", "a (2)", "(unnamed)", "(unnamed) (2)")
    assert short("a" * 30) == "a" * 17 + "…"
