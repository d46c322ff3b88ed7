"""The report of confirmed cells: the answer first, with what it rests on; scores of a search are none."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest
from browser import visit
from confirmed_trials import BASE, CELL, arm, confirmed, confirmed_sweep, protocol, said_of
from synthetic_trials import CLASSES, HOSTILE, cell_values, sweep, trial

from trackers import confirmed_words as words
from trackers import verdicts
from trackers.compare import Objective
from trackers.confirmation import Confirmation
from trackers.confirmed_figures import differences, means_against_gamma, recall_by_class, recall_by_size
from trackers.deciding import confirm
from trackers.figure_style import loss_styles
from trackers.page import render
from trackers.plain_text import as_markdown
from trackers.report import CellInfo, ReportData, write_report
from trackers.report_data import as_confirmed, cell_reports
from trackers.report_tables import report_tables
from trackers.savings import in_words, savings
from trackers.table import TrialResult

STYLES = loss_styles(["cross_entropy", "cefl", "cefl2"])


def report(trials: list[TrialResult], classes: tuple[str, ...] = CLASSES, **changes: Any) -> ReportData:
    values: dict[str, Any] = {
        "sweep": "demo", "state": "done", "title": "Demo", "objective": Objective(), "trials": trials,
        "cells": [CellInfo(**each) for each in cell_values(trials, classes)],
        "confirmations": said_of(trials), "confirm_command": "sweeps confirm demo",
    }  # fmt: skip
    return ReportData(**(values | changes))


@pytest.fixture(scope="module")
def trials() -> list[TrialResult]:
    """Two cells, of which the first is confirmed."""
    return [*sweep(epochs=10, seeds=2), *confirmed_sweep()]


@pytest.fixture(scope="module")
def data(trials: list[TrialResult]) -> ReportData:
    return report(trials)


@pytest.fixture(scope="module")
def said(data: ReportData) -> Confirmation:
    return data.confirmations[CELL]


def visible(page: str) -> str:
    """The page's text without scripts and styles."""
    text = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def test_the_page_opens_with_the_answer_of_every_cell(data: ReportData, said: Confirmation) -> None:
    text = visible(render(data))
    answer = text.index(words.headline(said))
    assert answer < text.index("How to read this.") < text.index("Differences to cross-entropy")
    assert "beats cross-entropy (n = 5)" in text
    assert "mean of n = 5 confirmation seeds" in text
    assert "Not distinguishable from it: cefl2(gamma=1)." in text
    assert "The statement is about the recipe" in text
    assert "leads the search, not confirmed" in text, "the other cell"
    assert "What the others do not say." in text
    assert "sweeps confirm demo" in text


def test_a_score_of_the_search_is_never_a_headline_of_a_confirmed_cell(
    data: ReportData, trials: list[TrialResult]
) -> None:
    cell = cell_reports(data)[0]
    assert cell.winner is not None
    score = f"{100 * cell.winner.mean:.1f}%"
    for text in (verdicts.headline(cell), verdicts.verdict(cell, data.objective)):
        assert score not in text
    open_cell = cell_reports(data)[1]
    assert not re.search(r"\d%", verdicts.headline(open_cell))
    assert "A search score on the validation split, not confirmed." in verdicts.verdict(
        open_cell, data.objective
    )


def test_the_verdict_states_mean_interval_difference_and_p(said: Confirmation) -> None:
    winner = said.winner
    text = words.verdict(said)
    assert f"{100 * winner.test.mean:.1f}% (95% interval {words.interval(winner.test)}%)" in text
    assert f"difference {words.gap(winner.difference)} points, p" in text
    assert "chosen by the validation mean of these seeds among 3 arms" in text


ONE = arm("cefl", 1.0)
LOW, HIGH = [0.6, 0.62, 0.61, 0.6, 0.6], [0.7, 0.71, 0.7, 0.7, 0.71]


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ({BASE: LOW[:3], ONE: HIGH[:3]}, "a decision needs 5 seeds, and there are 3"),
        ({BASE: LOW, ONE: [0.6, 0.59, 0.64, 0.62, 0.61]}, "It cannot be told from cross-entropy"),
        ({BASE: HIGH, ONE: LOW}, "It is the baseline itself"),
        ({BASE: [0.6] * 5, ONE: [0.62] * 5}, "the same with every seed"),
        ({BASE: [None] * 5, ONE: LOW}, "cross-entropy has no result"),
        ({BASE: LOW, ONE: [*HIGH[:4], None]}, "It is the baseline itself"),
    ],
)
def test_every_outcome_has_its_words(scores: Any, expected: str) -> None:
    found = confirm(confirmed(scores), protocol(scores), Objective(), {})
    assert found is not None
    assert expected in words.verdict(found)


def test_an_arm_that_is_worse_on_the_test_set_is_called_so() -> None:
    scores = {BASE: HIGH, ONE: LOW}
    trials = confirmed(scores, {BASE: [0.5] * 5, ONE: [0.6] * 5})
    found = confirm(trials, protocol(scores), Objective(), {})
    assert found is not None
    assert "On the test set it is worse than cross-entropy" in words.verdict(found)
    assert words.decision(found) == "worse than cross-entropy on the test set"
    assert [words.beats(each) for each in found.arms] == ["worse", "–"]


def test_an_arm_that_is_not_shown_to_be_better_is_not_called_worse() -> None:
    scores = {BASE: LOW, ONE: [0.6, 0.59, 0.64, 0.62, 0.61]}
    found = confirm(confirmed(scores), protocol(scores), Objective(), {})
    assert found is not None
    assert words.decision(found) == "not shown to beat cross-entropy"
    assert words.beats(found.winner) == "not shown"


def test_the_forest_shows_means_seeds_and_both_intervals(said: Confirmation) -> None:
    figure = differences(said, STYLES)
    first = said.winner.difference
    assert first is not None
    assert list(figure.layout.yaxis.ticktext) == ["cefl(gamma=2)", "cefl2(gamma=1)"]
    marks = [trace for trace in figure.data if trace.mode == "markers" and trace.marker.size == 11]
    assert marks[0].x[0] == pytest.approx(100 * first.estimate.mean)
    thin, thick = (trace for trace in figure.data[:2])
    assert tuple(thin.x) == pytest.approx((100 * (first.estimate.low or 0), 100 * (first.estimate.high or 0)))
    assert thick.x[1] - thick.x[0] == pytest.approx(200 * (first.estimate.h_seeds or 0))
    assert thin.x[0] < thick.x[0]
    small = next(trace for trace in figure.data if trace.mode == "markers" and trace.marker.size == 4)
    assert list(small.x) == pytest.approx([100 * value for value in first.values])


def test_gamma_and_recall_figures_hold_the_intervals(said: Confirmation) -> None:
    gammas = means_against_gamma(said, STYLES, "accuracy")
    assert isinstance(gammas, go.Figure)
    halves = {trace.name: trace.error_y.array[0] for trace in gammas.data}
    assert halves["cefl"] == pytest.approx(said.winner.test.half)
    sizes = recall_by_size(said, STYLES)
    assert sizes is not None
    assert [text.split("<br>")[0] for text in sizes.layout.xaxis.ticktext] == ["many", "medium"]
    assert [trace.name for trace in sizes.data] == [each.arm for each in said.arms]
    classes = recall_by_class(said, STYLES)
    assert classes is not None
    assert len(classes.data) == 2
    assert list(classes.data[0].y) == pytest.approx([each.mean for each in said.winner.recalls])
    assert "truck (5,000)" in classes.layout.xaxis.ticktext
    bare = replace(said, arms=tuple(replace(each, recalls=(), by_size=(), params={}) for each in said.arms))
    assert means_against_gamma(bare, STYLES, "") is None
    assert recall_by_size(bare, STYLES) is recall_by_class(bare, STYLES) is None


def test_confusion_and_classes_are_those_of_the_confirmed_arms_on_test_images(data: ReportData) -> None:
    seen = as_confirmed(cell_reports(data)[0])
    assert seen.winner is not None
    assert seen.winner.summary.arm == data.confirmations[CELL].winner.arm
    assert [each.kind for each in seen.trials] == ["point"] * 15
    page = visible(render(data))
    assert "cefl(gamma=2), test set, 5 seeds summed." in page
    assert "validation split, 2 seeds summed" in page, "the cell that is not confirmed"


def test_seeds_that_were_added_after_a_look_are_told(trials: list[TrialResult]) -> None:
    once, twice = (said_of(trials, *looks)[CELL] for looks in ((5,), (5, 5)))
    assert "times 2 looks" in words.method(twice)
    assert words.AFTER_A_LOOK in words.method(twice)
    assert "looks" not in words.method(once)


def test_the_tables_beside_the_report_hold_every_confirmed_arm(data: ReportData) -> None:
    table = report_tables(data)[0]
    assert table.name == "confirmation"
    assert [row[1] for row in table.rows] == [each.arm for each in data.confirmations[CELL].arms]
    assert len(table.columns) == len(table.rows[0])
    assert "Holm over 2 arms" in table.note
    assert [each.name for each in report_tables(replace(data, confirmations={}))][0] == "leaderboard"


def test_markdown_says_the_same(data: ReportData, said: Confirmation) -> None:
    text = as_markdown(data)
    assert "## Confirmed" in text
    assert "## Leading the search" in text
    assert "It beats cross-entropy" in text
    whole = as_markdown(report([each for each in data.trials if each.cell == CELL]))
    assert "What this does not say" not in whole
    assert "## Best arms" not in whole


def test_a_confirmation_under_way_is_told_and_shows_nothing_of_itself(trials: list[TrialResult]) -> None:
    data = report(trials, confirmations={}, under_way={CELL: (7, 15)})
    text = visible(render(data))
    assert "Its confirmation is under way: 7 of 15 trials have ended." in text
    assert "Differences to cross-entropy" not in text


def test_what_early_stopping_saved_is_counted_from_the_histories() -> None:
    row = {"epoch": 1, "metrics": {}}
    trials = [
        trial(epochs=10, history=(row,) * 10), trial(epochs=10, history=(row,) * 4, state="pruned", seed=1),
        trial(epochs=10, history=(row,) * 3, state="failed", seed=2),
        trial(epochs=10, history=(row,) * 10, kind="confirm", seed=3),
    ]  # fmt: skip
    found = savings(trials)
    assert (found.stopped, found.trials, found.trained, found.full) == (1, 2, 14, 20)
    assert in_words(found).startswith("Early stopping ended 1 of 2 trials of the search and saved 30%")
    assert in_words(savings(trials[:1])) == ""


def test_hostile_class_names_stay_text_in_a_browser(tmp_path: Path) -> None:
    trials = [*sweep(HOSTILE, imbalances=(100.0,), epochs=5, seeds=1), *confirmed_sweep(HOSTILE)]
    path = write_report(tmp_path / "report", report(trials, HOSTILE))[0]
    seen = visit(path, tmp_path / "profile", shows='data-drawn="yes"', times=4)
    assert [line for line in (*seen.console, *seen.requests) if line] == []
    drawn = re.findall(r'id="((?:differences|means|sizes|recalls)-1)"[^>]*data-drawn="yes"', seen.document)
    assert len(drawn) == 4
    assert not re.search(r"<a [^>]*javascript:|<img[^>]*onerror", seen.document)
