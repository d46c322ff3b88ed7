"""Arms for a confirmation: hand cases, and simulated searches whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic_trials import trial

from trackers.compare import ArmSummary, Objective, leaderboard
from trackers.nominate import WIDTH, nominate, place, smoothed
from trackers.table import TrialResult


def tried(score: float, gamma: float, seed: int = 0, loss: str = "cefl", **params: float) -> TrialResult:
    return trial(loss=loss, params={"gamma": gamma, **params}, seed=seed, score=score)


def board(*trials: TrialResult) -> list[ArmSummary]:
    return leaderboard(trials, Objective())


def labels(*trials: TrialResult, most: int = 3) -> list[str]:
    return [nominee.arm for nominee in nominate(board(*trials), most)]


def test_a_lucky_trial_between_poor_neighbours_gives_way_to_a_plateau() -> None:
    plateau = [tried(0.60, gamma) for gamma in (2.0, 2.2, 2.4)]
    lucky = [tried(0.50, 0.9), tried(0.62, 1.0), tried(0.50, 1.1)]
    assert labels(*plateau, *lucky, most=1)[0] in ("cefl(gamma=2.2)", "cefl(gamma=2.4)")
    assert max((*plateau, *lucky), key=lambda each: each.score or 0.0) is lucky[1]


def test_the_curve_is_the_kernel_mean_computed_by_hand() -> None:
    places = np.array([place("cefl", {"gamma": 1.0}), place("cefl", {"gamma": 2.0})])
    nearness = np.exp(-((np.log(3) - np.log(2)) ** 2) / (2 * WIDTH**2))
    expected = (0.5 + 3 * nearness * 0.6) / (1 + 3 * nearness)
    assert smoothed(places, [0.5, 0.6], [1, 3], places[:1]) == pytest.approx([expected])


def test_cross_entropy_always_comes_last_with_its_score_or_without() -> None:
    with_it = nominate(board(tried(0.6, 2.0), trial(score=0.5)))
    assert [(each.arm, each.score) for each in with_it[1:]] == [("cross_entropy", 0.5)]
    assert nominate(board(tried(0.6, 2.0)))[-1].score is None
    assert [each.arm for each in nominate([])] == ["cross_entropy"]


def test_an_arm_that_is_cross_entropy_is_not_named_beside_it() -> None:
    assert labels(tried(0.9, 0.0), tried(0.5, 3.0)) == ["cefl(gamma=3)", "cross_entropy"]
    assert "focal(alpha=0.5, gamma=0)" in labels(tried(0.9, 0.0, loss="focal", alpha=0.5))


def test_cross_entropy_supports_the_curve_near_gamma_zero() -> None:
    alone = nominate(board(tried(0.60, 0.1)))[0].score
    beside = nominate(board(tried(0.60, 0.1), trial(score=0.40)))[0].score
    assert alone == pytest.approx(0.60)
    assert beside is not None
    assert 0.49 < beside < 0.53


def test_a_loss_that_gamma_zero_does_not_make_cross_entropy_is_judged_without_it() -> None:
    """Class-balanced focal loss of gamma 0 is class-balanced cross-entropy; a loss of one's own, whatever."""
    baseline, cefl = trial(score=0.60), tried(0.70, 1.0)
    for other in (tried(0.80, 0.0, loss="cb_focal", beta=0.9999), tried(0.80, 0.0, loss="mine:cold")):
        named = nominate(board(baseline, other, cefl))
        assert [each.arm for each in named] == [
            other.arm, "cefl(gamma=1)", "cross_entropy",
        ]  # fmt: skip
        assert named[0].score == pytest.approx(0.80), "cross-entropy is no evidence about it"


def test_arms_of_one_gamma_that_differ_in_another_parameter_do_not_share_a_place() -> None:
    good, poor = (tried(score, 2.0, loss="cb_focal", beta=b) for score, b in ((0.8, 0.9999), (0.5, 0.9)))
    found = nominate(board(good, poor, trial(score=0.6)))
    assert [(each.arm, each.score) for each in found] == [
        (good.arm, pytest.approx(0.8)), (poor.arm, pytest.approx(0.5)), ("cross_entropy", 0.6),
    ]  # fmt: skip
    near = tried(0.7, 2.1, loss="cb_focal", beta=0.9999)
    spaced = labels(good, poor, near, most=3)
    assert spaced == [good.arm, poor.arm, "cross_entropy"], "on one curve neighbours are evidence, and spaced"


def test_any_number_that_a_loss_of_ones_own_takes_can_be_judged() -> None:
    own = [
        tried(0.5, -2.0, loss="mine:cold"),
        tried(0.6, 1.0, loss="mine:cold", alpha=-1.0),
        tried(0.7, 1.0, loss="mine:cold", alpha=0.0),
    ]
    found = nominate(board(*own))
    assert [each.score for each in found] == [pytest.approx(0.7), pytest.approx(0.6), 0.5, None]


def test_neighbours_of_one_loss_are_spaced_and_other_losses_are_not_held_back() -> None:
    near = [tried(0.60, 2.0), tried(0.599, 2.1), tried(0.55, 5.0), tried(0.598, 2.0, loss="cefl2")]
    assert labels(*near) == ["cefl(gamma=2)", "cefl2(gamma=2)", "cefl(gamma=5)", "cross_entropy"]
    assert len(labels(*near, most=0)) == 1


def test_losses_without_gamma_are_named_by_their_own_scores() -> None:
    others = [
        trial(loss="balanced_softmax", score=0.7),
        trial(loss="ldam", params={"scale": 30.0}, score=0.5),
    ]
    near = trial(loss="ldam", params={"scale": 31.0}, score=0.4)
    found = nominate(board(*others, near, tried(0.6, 2.0), trial(score=0.1)), 4)
    assert [(each.arm, each.score) for each in found] == [
        ("balanced_softmax", 0.7), ("cefl(gamma=2)", pytest.approx(0.6, abs=1e-3)), ("ldam(scale=30)", 0.5),
        ("ldam(scale=31)", 0.4), ("cross_entropy", 0.1),
    ]  # fmt: skip


def test_what_is_not_complete_is_not_named() -> None:
    pruned = trial(loss="cefl", params={"gamma": 1.0}, score=0.9, state="pruned")
    assert labels(pruned, tried(0.5, 4.0)) == ["cefl(gamma=4)", "cross_entropy"]


def test_an_ask_with_the_easiest_seed_alone_is_not_preferred_for_it() -> None:
    grid = [
        tried(0.50 + 0.1 * (seed == 0) + 0.02 * (gamma == 4), gamma, seed)
        for gamma in (1, 4)
        for seed in range(3)
    ]
    ask = tried(0.60, 0.2)  # As good as gamma 1, which has .50 on the other seeds.
    named = {nominee.arm: nominee.score for nominee in nominate(board(*grid, ask))}
    assert list(named)[0] == "cefl(gamma=4)"
    assert named["cefl(gamma=0.2)"] == pytest.approx(0.50 + 0.1 / 3, abs=0.001)


def test_cells_are_nominated_apart() -> None:
    with pytest.raises(ValueError, match="one cell"):
        nominate(board(tried(0.5, 1.0), trial(score=0.5, cell="other")))


def test_in_simulations_the_curve_loses_less_than_half_of_what_single_scores_lose() -> None:
    """24 gammas, a true deviation of .8 points over gamma, .5 to .7 over seeds."""
    rng = np.random.default_rng(0)
    gammas = np.linspace(0.25, 6, 24)
    apart = np.log1p(gammas)[:, None] - np.log1p(gammas)
    factor = np.linalg.cholesky(np.exp(-(apart**2) / (2 * 0.6**2)) + 1e-9 * np.eye(24))
    curve, single = [], []
    for noise in (0.5, 0.7):
        for _ in range(150):
            truth = 0.8 * factor @ rng.normal(size=24)
            scores = truth + noise * rng.normal(size=24)
            arms = board(
                *(tried(float(score), float(gamma)) for score, gamma in zip(scores, gammas, strict=True))
            )
            named = [nominee.params["gamma"] for nominee in nominate(arms)[:-1]]
            assert len(named) == 3
            curve.append(truth.max() - max(truth[np.flatnonzero(gammas == gamma)[0]] for gamma in named))
            single.append(truth.max() - truth[np.argsort(-scores)[:3]].max())
    assert np.mean(curve) == pytest.approx(0.025, abs=0.012), "three standard errors"
    assert np.mean(single) == pytest.approx(0.065, abs=0.02)
    assert np.mean(curve) < np.mean(single) / 2
