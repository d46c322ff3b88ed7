"""Two sweeps or two arms side by side: cells that meet, seeds that are paired, trials that are not mixed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from synthetic_trials import HOSTILE, trial

from trackers.errors import ComparisonError
from trackers.side_by_side import SideBySide, comparison_table, files, side, side_by_side
from trackers.statistics import paired_t
from trackers.table import TrialResult

METRIC = "val/balanced_accuracy"


def measured(loss: str, scores: dict[int, float], **changes: Any) -> list[TrialResult]:
    return [
        trial(loss=loss, seed=seed, metrics={METRIC: score, "test/accuracy": score - 0.1}, **changes)
        for seed, score in scores.items()
    ]


def compared(first: list[TrialResult], second: list[TrialResult], **changes: Any) -> SideBySide:
    arms = {"first_arm": None, "second_arm": None} | changes
    return side_by_side(
        side("a", first, arms["first_arm"]), side("b", second, arms["second_arm"]),
        "balanced_accuracy", changes.get("split", "validation"), changes.get("conditions", ()),
    )  # fmt: skip


SCORES = {0: 0.50, 1: 0.52, 2: 0.49, 3: 0.53, 4: 0.51}
BETTER = {0: 0.55, 1: 0.55, 2: 0.55, 3: 0.56, 4: 0.58}


def test_two_arms_are_paired_over_the_seeds_that_both_have() -> None:
    trials = [
        *measured("cross_entropy", SCORES),
        *measured("cefl", {**BETTER, 9: 0.9}, params={"gamma": 1.0}),
    ]
    found = compared(trials, trials, first_arm="cross_entropy", second_arm="cefl(gamma=1)")
    (row,) = found.rows
    differences = [BETTER[seed] - SCORES[seed] for seed in SCORES]
    expected = paired_t(differences)
    assert row.arms == ("cross_entropy", "cefl(gamma=1)")
    assert (row.n, row.pairs, row.source) == ((5, 6), 5, "search")
    assert row.difference == pytest.approx(expected.mean)
    assert expected.interval is not None
    assert (row.low, row.high) == pytest.approx((expected.interval.low, expected.interval.high))
    assert row.means == pytest.approx((0.51, sum([*BETTER.values(), 0.9]) / 6))


def test_two_sweeps_meet_arm_by_arm_and_what_one_lacks_stays_empty() -> None:
    first = [*measured("cross_entropy", SCORES), *measured("cefl", {0: 0.6}, params={"gamma": 1.0})]
    second = measured("cross_entropy", BETTER, cell="named otherwise")
    found = compared(first, second)
    assert [(row.arms[0], row.n, row.difference is None) for row in found.rows] == [
        ("cross_entropy", (5, 5), False),
        ("cefl(gamma=1)", (1, 0), True),
    ]
    table = comparison_table(found)
    assert "–" in table.shown()[1]


def test_below_five_pairs_there_is_a_difference_and_no_interval() -> None:
    four = {seed: SCORES[seed] for seed in range(4)}
    (row,) = compared(measured("cefl", four), measured("cefl", BETTER)).rows
    assert row.pairs == 4
    assert row.difference is not None
    assert row.low is None
    assert row.high is None


def test_confirmations_are_compared_where_both_have_them_and_never_mixed_with_the_search() -> None:
    searched, confirmed = measured("cefl", {0: 0.9}), measured("cefl", SCORES, kind="confirm")
    (row,) = compared([*searched, *confirmed], [*measured("cefl", {0: 0.1}, kind="confirm"), *searched]).rows
    assert (row.source, row.n, row.pairs) == ("confirmation", (5, 1), 1)
    assert row.difference == pytest.approx(0.1 - 0.5)
    (row,) = compared([*searched, *confirmed], searched).rows
    assert (row.source, row.n, row.difference) == ("search", (1, 1), 0.0)


def test_trials_without_a_result_do_not_count() -> None:
    failed = [trial(loss="cefl", seed=1, state="failed", metrics={METRIC: 0.1})]
    (row,) = compared([*measured("cefl", {0: 0.5}), *failed], measured("cefl", {0: 0.6, 1: 0.7})).rows
    assert (row.n, row.pairs) == ((1, 2), 1)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"first_arm": "cefl"}, "give two sweeps, or an arm of each, as NAME:ARM"),
        ({"first_arm": "cef", "second_arm": "cefl"}, "has no arm cef; did you mean a:cefl?"),
        ({"first_arm": "x", "second_arm": "cefl"}, "has no arm x; it has cefl"),
    ],
)
def test_sides_that_do_not_meet_are_refused(changes: dict[str, str], said: str) -> None:
    trials = measured("cefl", SCORES)
    with pytest.raises(ComparisonError, match=said.replace("?", r"\?")):
        compared(trials, trials, **changes)


def test_sweeps_without_a_common_cell_are_refused() -> None:
    with pytest.raises(ComparisonError, match="share no cell"):
        compared(measured("cefl", SCORES), measured("cefl", SCORES, model="resnet18"))


def test_page_and_json_hold_the_same_and_hostile_names_stay_text() -> None:
    name = HOSTILE[0]
    found = compared(
        measured("cefl", SCORES, cell=name), measured("cefl", BETTER, cell=name), conditions=(HOSTILE[1],)
    )
    written = files(found, "now")
    assert {"comparison.html", "comparison.md", "comparison.tex", "comparison.csv"} == written.keys()
    page = written["comparison.html"]
    assert "<script>alert(1)" not in page
    assert "<img src=x" not in page
    assert "+4.8" in page
    (row,) = json.loads(json.dumps(found.as_json()))["rows"]
    assert set(row) == {
        "cell", "source", "difference", "pairs", "low", "high", "first_arm", "second_arm", "first_mean",
        "second_mean", "first_std", "second_std", "first_n", "second_n",
    }  # fmt: skip
    assert row["difference"] == pytest.approx(0.048)
