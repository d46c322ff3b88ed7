"""Shares of the variation: by hand, against SciPy's F, and in simulations where they are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import f_oneway
from synthetic_trials import HOSTILE, trial

from trackers.compare import ArmSummary, Objective, leaderboard
from trackers.share_figures import INTERPLAY, importance_bars, variation_bars
from trackers.shares import LEAST_FREEDOM, Importance, nested, variation_view
from trackers.table import TrialResult


def scored(loss: str, gamma: float, scores: list[float]) -> list[TrialResult]:
    return [
        trial(loss=loss, params={"gamma": gamma}, seed=seed, score=score) for seed, score in enumerate(scores)
    ]


def arms_of(groups: dict[tuple[str, float], list[float]]) -> list[ArmSummary]:
    trials = [each for (loss, gamma), scores in groups.items() for each in scored(loss, gamma, scores)]
    return leaderboard(trials, Objective())


def test_the_share_of_the_settings_is_epsilon_squared() -> None:
    groups = [[0.50, 0.53, 0.51], [0.55, 0.57, 0.58], [0.52, 0.51, 0.56]]
    row = nested("cefl", [arms_of({("cefl", float(n)): scores for n, scores in enumerate(groups)})])
    assert row is not None
    f = f_oneway(*groups).statistic
    assert row.parts["parameters"] == pytest.approx(2 * (f - 1) / (2 * f + 6))
    assert sum(row.parts.values()) == pytest.approx(1)
    assert (row.settings, row.n) == (3, 9)


def test_all_losses_are_split_into_losses_parameters_and_seeds() -> None:
    """By hand: sums of squares 16 between losses, 4 between settings, 4 within, on scores in percent."""
    values = {("a", 1.0): [0.0, 1.0], ("a", 2.0): [1.0, 2.0]}
    values |= {("b", 1.0): [2.0, 3.0], ("b", 2.0): [3.0, 4.0]}
    arms = arms_of({key: [value / 100 for value in scores] for key, scores in values.items()})
    assert variation_view(arms) is None, "four repetitions are fewer than five"
    doubled = arms_of({key: [value / 100 for value in scores * 2] for key, scores in values.items()})
    view = variation_view(doubled)
    assert view is not None
    chance = 4 / 12
    assert view.rows[0].parts == pytest.approx(
        {
            "losses": (16 - chance) / 24,
            "parameters": (4 - 2 * chance) / 24,
            "seeds": 1 - (20 - 3 * chance) / 24,
        }
    )
    assert [(row.of, row.settings, row.n) for row in view.rows] == [
        ("all losses", 4, 16),
        ("a", 2, 8),
        ("b", 2, 8),
    ]


def test_settings_that_do_nothing_explain_next_to_nothing_however_many_they_are() -> None:
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(30):
        scores = rng.normal(0.6, 0.01, (20, 3)).tolist()
        row = nested("cefl", [arms_of({("cefl", float(n)): each for n, each in enumerate(scores)})])
        assert row is not None
        shares.append(row.parts["parameters"])
    assert np.mean(shares) < 0.08  # the plain share of the sum of squares would be 19 / 59


def test_a_loss_without_repetitions_or_without_variation_has_no_row() -> None:
    alone = {("a", float(n)): [0.5 + n / 100] for n in range(9)}
    assert variation_view(arms_of(alone)) is None
    alike = {("a", float(n)): [0.5] * 4 for n in range(3)}
    assert variation_view(arms_of(alike)) is None
    assert LEAST_FREEDOM == 5


def test_arms_with_one_seed_are_left_out_and_counted() -> None:
    arms = arms_of({("a", 0.0): [0.5, 0.6, 0.5, 0.6], ("a", 1.0): [0.6, 0.7, 0.6, 0.7], ("a", 2.0): [0.9]})
    view = variation_view(arms)
    assert view is not None
    assert (view.left_out, view.rows[0].n) == (1, 8)
    figure = variation_bars(view)
    assert [trace.name for trace in figure.data] == ["parameters", "seeds"]
    assert sum(trace.x[0] for trace in figure.data) == pytest.approx(1)


def test_bars_of_importance_sum_to_the_whole_and_escape_names() -> None:
    found = [Importance("cell", HOSTILE[1], 24, 12, {"gamma": 0.6, HOSTILE[5]: 0.3}, 0.4)]
    figure = importance_bars(found)
    assert "<img" not in figure.to_json()
    assert "<a " not in figure.to_json()
    assert [trace.x[0] for trace in figure.data] == pytest.approx([0.6, 0.3, 0.1])
    assert figure.data[-1].name == INTERPLAY
