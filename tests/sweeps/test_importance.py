"""Importance of the parameters: told where the model explains something, refused where it cannot."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from synthetic_trials import trial

from sweeps.importance import ENOUGH_TRIALS, importances
from trackers.table import TrialResult


def drawn(
    score: Callable[[float, float], float], count: int = ENOUGH_TRIALS, **changes: object
) -> list[TrialResult]:
    rng = np.random.default_rng(1)
    places = rng.uniform(0, 1, (count, 2)).tolist()
    return [
        trial(**{"loss": "focal", "params": {"gamma": g, "alpha": a}, "score": score(g, a), **changes})
        for g, a in places
    ]


def test_the_parameter_that_decides_has_nearly_the_whole_share() -> None:
    (found,) = importances(drawn(lambda gamma, alpha: 0.5 + gamma / 10 + alpha / 1000))
    assert (found.cell, found.loss, found.n, found.settings) == ("cell", "focal", 20, 20)
    assert found.shares["gamma"] > 0.9 > 0.1 > found.shares["alpha"]
    assert sum(found.shares.values()) <= 1 + 1e-9
    assert found.predicted is not None
    assert found.predicted > 0.5
    assert importances(drawn(lambda gamma, alpha: 0.5 + gamma / 10 + alpha / 1000)) == (found,)


def test_noise_makes_no_parameter_important() -> None:
    noise = iter(np.random.default_rng(3).normal(0.5, 0.01, 100).tolist())
    (found,) = importances(drawn(lambda gamma, alpha: next(noise)))
    assert found.shares == {}
    assert found.predicted is not None
    assert found.predicted <= 0


@pytest.mark.parametrize("changes", [{"state": "pruned"}, {"state": "failed", "score": None}])
def test_too_few_complete_trials_are_said_to_be_few(changes: dict[str, object]) -> None:
    trials = [
        *drawn(lambda gamma, alpha: gamma, ENOUGH_TRIALS - 1),
        trial(loss="focal", params={"gamma": 9.0, "alpha": 9.0}, **changes),
    ]
    (found,) = importances(trials)
    assert (found.n, found.predicted, found.shares) == (ENOUGH_TRIALS - 1, None, {})


def test_many_seeds_of_a_few_settings_are_too_few_settings() -> None:
    trials = [
        trial(
            loss="focal", params={"gamma": float(g), "alpha": float(g)}, seed=seed, score=0.1 * g + seed / 100
        )
        for g in range(4)
        for seed in range(8)
    ]
    (found,) = importances(trials)
    assert (found.n, found.settings, found.predicted) == (32, 4, None)


def test_a_single_parameter_has_no_importance() -> None:
    one = [trial(loss="cefl", params={"gamma": g / 9}, score=g / 30) for g in range(30)]
    fixed = [trial(loss="focal", params={"gamma": g / 9, "alpha": 1.0}, score=g / 30) for g in range(30)]
    assert importances([*one, *fixed, trial()]) == ()


def test_confirmations_are_not_of_the_search() -> None:
    assert importances(drawn(lambda gamma, alpha: gamma, kind="confirm")) == ()
