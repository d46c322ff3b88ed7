"""Trials as lines: every trial lies where its numbers say, and what is not drawn is counted."""

from __future__ import annotations

import pytest
from synthetic_trials import HOSTILE, sweep, trial

from trackers.compare import Objective
from trackers.parallel import ABSENT, MOST_LINES, SHADES, ParallelView, parallel_view
from trackers.parallel_figure import parallel_coordinates, shade_color
from trackers.report_data import ReportData, cell_reports
from trackers.search_plots import search_plots
from trackers.table import TrialResult


def cefl(gamma: float, score: float | None, **changes: object) -> TrialResult:
    return trial(**{"loss": "cefl", "params": {"gamma": gamma}, "score": score, **changes})


def seen(trials: list[TrialResult]) -> ParallelView:
    view = parallel_view(trials)
    assert view is not None
    return view


def test_a_trial_lies_where_its_loss_its_gamma_and_its_score_are() -> None:
    view = seen([trial(score=0.5), cefl(0.0, 0.6), cefl(5.0, 0.7), cefl(2.0, 0.75)])
    assert [axis.name for axis in view.axes] == ["loss", "gamma", "score"]
    assert [text for _, text in view.axes[0].ticks] == ["cross_entropy", "cefl"]
    assert view.axes[1].ticks[0] == (0.0, ABSENT)
    start = dict((text, place) for place, text in view.axes[1].ticks)["0"]
    assert [line.places for line in view.lines] == [
        pytest.approx(places)
        for places in (
            (0.25, 0.0, 0.0),
            (0.75, start, 0.4),
            (0.75, 1.0, 0.8),
            (0.75, start + (1 - start) * 0.4, 1.0),
        )
    ]


def test_only_axes_that_differ_are_there_and_one_alone_is_no_figure() -> None:
    two = [cefl(1.0, 0.5), cefl(2.0, 0.6)]
    assert parallel_view(two) is None
    assert parallel_view([]) is None
    view = seen([*two, cefl(1.0, 0.5, seed=1)])
    assert [axis.name for axis in view.axes] == ["gamma", "seed", "score"]


def test_a_stopped_trial_shows_how_far_it_came_and_a_failed_or_confirming_one_is_not_drawn() -> None:
    rows = tuple({"epoch": epoch, "metrics": {}} for epoch in (1, 2))
    stopped = cefl(2.0, 0.4, state="pruned", history=rows)
    others = [cefl(3.0, None, state="failed"), cefl(4.0, 0.9, kind="confirm"), cefl(5.0, 0.3, state="pruned")]
    view = seen([cefl(1.0, 0.5), stopped, *others])
    assert [(axis.name, axis.ticks) for axis in view.axes][1] == ("epochs", ((0.0, "2"), (1.0, "3")))
    assert [line.arm for line in view.lines] == ["cefl(gamma=2)", "cefl(gamma=1)"]
    assert view.stopped == 1


def test_many_trials_are_thinned_evenly_with_the_best_and_the_lowest() -> None:
    view = seen([cefl(number / 100, number / 2000, seed=number % 2) for number in range(1000)])
    assert (len(view.lines), view.left_out) == (MOST_LINES, 1000 - MOST_LINES)
    assert (view.lines[0].score, view.lines[-1].score) == (0.0, 999 / 2000)
    assert {line.shade for line in view.lines} == set(range(SHADES))
    gamma = view.axes[0]
    assert [text for _, text in gamma.ticks] == ["0", "2", "4", "6", "8"]


def test_scores_all_alike_and_parameters_that_print_alike_are_drawn() -> None:
    view = seen([cefl(0.1 + number * 1e-9, 0.5, seed=number) for number in range(3)])
    assert {line.places[-1] for line in view.lines} == {0.5}
    assert len(view.axes[0].ticks) >= 1
    parallel_coordinates(view)


def test_gamma_comes_first_and_parameters_beyond_the_fourth_are_named() -> None:
    params = [{name: float(number) for name in ("a", "b", "c", "d", "gamma")} for number in (0, 1)]
    view = seen([trial(loss="own", params=each, score=each["a"]) for each in params])
    assert [axis.name for axis in view.axes] == ["gamma", "a", "b", "c", "score"]
    assert view.params_left_out == ("d",)


def test_lines_run_from_axis_to_axis_and_names_stay_text() -> None:
    params = [{HOSTILE[5]: 1.0}, {HOSTILE[5]: 2.0}]
    view = seen(
        [trial(loss=loss, params=each, score=each[HOSTILE[5]] / 3) for loss in HOSTILE[:2] for each in params]
    )
    figure = parallel_coordinates(view)
    assert "<img" not in figure.to_json()
    assert "<script" not in figure.to_json()
    lines = [trace for trace in figure.data if trace.mode == "lines"]
    assert sum(len(trace.x) for trace in lines) == 3 * 4 * (len(view.axes) - 1)
    assert len({trace.line.color for trace in lines}) == 2
    assert lines[-1].line.color == shade_color(SHADES - 1)


def test_the_figures_of_a_search_stand_in_a_report_with_what_they_mean() -> None:
    data = ReportData("s", "done", "t", Objective(), sweep(epochs=3, imbalances=(10.0,)), ())
    (cell,) = cell_reports(data)
    lines, variation = search_plots(1, cell, data)
    assert "1 trial stopped early" in lines.caption
    assert "balanced accuracy, validation split" in lines.caption
    assert "They name no winner" in variation.caption
    assert "Left out: 11 arms with one seed." in variation.caption
