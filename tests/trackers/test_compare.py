"""Leaderboards and leading arms against hand calculations."""

from __future__ import annotations

import json
import statistics

import pytest
from synthetic_trials import sweep, trial

from trackers.compare import Objective, best, by_cell, leaderboard
from trackers.table import TrialResult

OBJECTIVE = Objective()
KEYS = [
    "dataset", "imbalance", "order", "model", "depth", "pretrained", "loss", "params", "metric", "split",
    "mean", "std", "n", "ci_low", "ci_high", "baseline", "difference", "beats_baseline", "unique_best",
    "ties",
]  # fmt: skip


def cefl(score: float | None, seed: int = 0, gamma: float = 2.0, **changes: object) -> TrialResult:
    return trial(loss="cefl", params={"gamma": gamma}, seed=seed, score=score, **changes)


def test_a_score_is_the_mean_over_seeds_with_its_deviation_and_range() -> None:
    arm = leaderboard([cefl(0.5, 0), cefl(0.6, 1), cefl(0.7, 2)], OBJECTIVE)[0]
    assert (arm.arm, arm.n, arm.seeds, arm.rank) == ("cefl(gamma=2)", 3, (0, 1, 2), 1)
    assert (arm.mean, arm.std) == (pytest.approx(0.6), pytest.approx(0.1))
    assert (arm.minimum, arm.maximum) == (0.5, 0.7)


def test_best_has_the_documented_keys_in_order_and_claims_nothing() -> None:
    trials = [cefl(0.5, 0), cefl(0.6, 1), trial(score=0.52, seed=0), trial(score=0.54, seed=1)]
    record = best(trials, OBJECTIVE)[0].as_json()
    assert list(record) == KEYS
    assert record == json.loads(json.dumps(record))
    assert record["loss"] == "cefl"
    assert record["params"] == {"gamma": 2.0}
    assert (record["metric"], record["split"], record["n"]) == ("balanced_accuracy", "validation", 2)
    assert record["mean"] == pytest.approx(0.55)
    assert record["std"] == pytest.approx(statistics.stdev([0.5, 0.6]))
    assert record["baseline"] == pytest.approx(0.53)
    assert record["difference"] == pytest.approx(0.02)
    assert [record[name] for name in ("ci_low", "ci_high", "beats_baseline", "unique_best", "ties")] == [
        None
    ] * 5


def test_only_complete_trials_with_a_finite_score_are_ranked() -> None:
    trials = [
        cefl(0.4),
        cefl(0.99, 1, state="pruned"),
        cefl(None, 2, state="failed"),
        cefl(0.98, 3, state="running"),
        cefl(float("nan"), 4),
        cefl(0.97, gamma=1.0, state="pruned"),
    ]
    board = leaderboard(trials, OBJECTIVE)
    assert [(arm.arm, arm.n, arm.rank) for arm in board] == [
        ("cefl(gamma=2)", 1, 1),
        ("cefl(gamma=1)", 0, None),
    ]
    assert board[0].states == {"complete": 2, "pruned": 1, "failed": 1, "running": 1}
    assert best(trials, OBJECTIVE)[0].candidates == 1


def test_a_reused_trial_counts() -> None:
    assert best([cefl(0.4, origin="another-sweep")], OBJECTIVE)[0].summary.n == 1


def test_a_confirmation_trial_is_no_part_of_the_search() -> None:
    arm = best([cefl(0.4), cefl(0.9, 100, kind="confirm")], OBJECTIVE)[0]
    assert (arm.mean, arm.summary.n) == (0.4, 1)


def test_a_key_counts_once_and_its_complete_trial_wins() -> None:
    failed, done = cefl(None, state="failed", key="a", number=9), cefl(0.4, key="a", number=2)
    for trials in ([failed, done], [done, failed]):
        assert leaderboard(trials, OBJECTIVE)[0].states == {"complete": 1}
    again = cefl(0.5, key="a", number=7)
    assert best([again, done], OBJECTIVE)[0].mean == 0.5


def test_an_arm_with_fewer_seeds_is_ranked_and_shows_its_n() -> None:
    trials = [cefl(0.6), trial(score=0.5), trial(score=0.5, seed=1)]
    winner = best(trials, OBJECTIVE)[0]
    assert (winner.summary.n, winner.most_seeds, winner.baseline_n) == (1, 2, 2)


def test_equal_scores_go_to_the_arm_with_fewer_parameters_then_to_the_name() -> None:
    focal = trial(loss="focal", params={"alpha": 1.0, "gamma": 2.0}, score=0.3)
    trials = [focal, cefl(0.1 + 0.2), trial(loss="cefl2", params={"gamma": 2.0}, score=0.3), trial(score=0.3)]
    expected = ["cross_entropy", "cefl(gamma=2)", "cefl2(gamma=2)", "focal(alpha=1, gamma=2)"]
    for order in (trials, trials[::-1]):
        assert [arm.arm for arm in leaderboard(order, OBJECTIVE)] == expected


def test_two_asks_that_print_alike_are_two_arms() -> None:
    board = leaderboard([cefl(0.4, gamma=1.0000001), cefl(0.5, gamma=1.0000002)], OBJECTIVE)
    assert [arm.n for arm in board] == [1, 1]


def test_without_cross_entropy_there_is_no_baseline() -> None:
    record = best([cefl(0.4), trial(score=None, state="failed")], OBJECTIVE)[0].as_json()
    assert record["baseline"] is None
    assert record["difference"] is None
    assert record["std"] is None


def test_cross_entropy_as_the_best_arm_differs_from_itself_by_nothing() -> None:
    winner = best([trial(score=0.6), cefl(0.4)], OBJECTIVE)[0]
    assert (winner.summary.loss, winner.difference) == ("cross_entropy", 0.0)


def test_cells_are_ranked_apart_and_those_without_a_result_have_no_best() -> None:
    trials = [
        cefl(0.4, cell="b"),
        cefl(None, cell="c", state="failed"),
        trial(score=0.5, cell="a"),
        cefl(0.6, cell="a"),
    ]
    assert [(arm.summary.cell, arm.mean) for arm in best(trials, OBJECTIVE)] == [("b", 0.4), ("a", 0.6)]
    assert best([], OBJECTIVE) == []
    assert leaderboard([], OBJECTIVE) == []


def test_the_depth_of_a_model_without_one_is_null() -> None:
    assert best([cefl(0.4, model="mlp", depth=None)], OBJECTIVE)[0].as_json()["depth"] is None


def test_the_split_is_what_the_objective_says() -> None:
    assert best([cefl(0.4)], Objective(split="test"))[0].as_json()["split"] == "test"
    with pytest.raises(ValueError, match="split"):
        Objective(split="train")


def test_a_made_up_sweep_is_ranked_as_pandas_ranks_it() -> None:
    from trackers.table import frame

    trials = sweep()
    table = frame(trials).query("state == 'complete'")
    means = table.groupby(["cell", "arm"])["score"].mean().sort_values(ascending=False)
    for cell, arms in by_cell(leaderboard(trials, OBJECTIVE)).items():
        ranked = [arm for arm in arms if arm.n]
        assert [arm.arm for arm in ranked] == list(means[cell].index)
        assert [arm.mean for arm in ranked] == pytest.approx(list(means[cell]))
