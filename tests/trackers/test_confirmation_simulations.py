"""What a confirmation prints, simulated: coverage, false decisions, optimism.

The units are points, the deviations those of runs on imbalanced CIFAR-10: .8 between arms, .7 over seeds.
Procedures are simulated in whole arrays; that the code does the same is seen on some of the samples.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from confirmed_trials import BASE, arm, confirmed, protocol
from numpy.typing import NDArray
from scipy import stats

from trackers.compare import Objective
from trackers.deciding import confirm
from trackers.estimates import contrast, estimate
from trackers.image_doubt import Predictions
from trackers.power import detectable_difference, power
from trackers.statistics import t_interval, wilson

Floats = NDArray[np.float64]


@pytest.mark.parametrize("n", [3, 5, 10])
def test_the_interval_over_seeds_covers_in_95_of_100_samples(n: int) -> None:
    samples = np.random.default_rng(n).normal(60.0, 0.7, (20_000, n))
    half = stats.t.ppf(0.975, n - 1) * samples.std(axis=1, ddof=1) / math.sqrt(n)
    assert 0.93 <= np.mean(np.abs(samples.mean(axis=1) - 60.0) <= half) <= 0.97
    for sample, mine in zip(samples[:20], half, strict=False):
        interval = t_interval(list(sample))
        assert interval is not None
        assert (interval.high - interval.low) / 2 == pytest.approx(mine)


def nulls(rng: np.random.Generator, runs: int, arms: int, seeds: int, shared: float) -> Floats:
    """Differences of arms that are all as good as cross-entropy, ``(runs, arms, seeds)``.

    ``shared`` is the part of the variance over seeds that all arms have in common.
    """
    scores = math.sqrt(1 - shared) * rng.normal(0, 0.7, (runs, arms + 1, seeds))
    scores += math.sqrt(shared) * rng.normal(0, 0.7, (runs, 1, seeds))
    differences: Floats = scores[:, 1:] - scores[:, :1]
    return differences


@pytest.mark.parametrize(("arms", "shared"), [(3, 0.0), (3, 0.8), (6, 0.3)])
def test_of_equal_arms_at_most_5_in_100_families_have_a_decision(arms: int, shared: float) -> None:
    runs = 8000
    differences = nulls(np.random.default_rng(arms), runs, arms, 5, shared)
    raw = stats.ttest_1samp(differences, 0.0, axis=-1).pvalue
    smallest = raw.min(axis=1) * arms  # Holm rejects any just when it rejects the smallest.
    error = math.sqrt(0.05 * 0.95 / runs)
    assert np.mean(smallest < 0.05) <= 0.05 + 2 * error
    keys = [arm("cefl", float(number)) for number in range(arms)]
    for sample, expected in zip(differences[:15], smallest, strict=False):
        scores = {
            BASE: [0.6] * 5,
            **{key: list(0.6 + row / 100) for key, row in zip(keys, sample, strict=True)},
        }
        found = confirm(confirmed(scores), protocol(scores), Objective(), {})
        assert found is not None
        assert min(each.p for each in found.arms if each.p is not None) == pytest.approx(min(1, expected))


def test_the_only_best_of_equal_arms_is_claimed_in_at_most_5_of_100_cells() -> None:
    rng = np.random.default_rng(2)
    runs, arms = 8000, 4
    scores = rng.normal(0, 0.7, (runs, arms, 5))
    first = rng.integers(0, arms, runs)  # Chosen on other images.
    chosen = np.take_along_axis(scores, first[:, None, None], axis=1)
    p = stats.ttest_1samp(chosen - scores + rng.normal(0, 1e-9, scores.shape), 0.0, axis=-1).pvalue
    better = (p < 0.05) & (chosen.mean(axis=-1) > scores.mean(axis=-1))
    np.put_along_axis(better, first[:, None], True, axis=1)
    assert better.all(axis=1).mean() <= 0.05


def test_more_seeds_after_a_look_cost_more_than_one_look() -> None:
    """Looking at 5 and, if nothing is decided, at 10: 8.7% where nobody pays, 6.6% where the second look pays
    for two (what is done: the first one cannot know of it), 4.5% where both do."""
    runs = 40_000
    differences = nulls(np.random.default_rng(9), runs, 1, 10, 0.3)[:, 0]
    early = stats.ttest_1samp(differences[:, :5], 0.0, axis=-1).pvalue
    late = stats.ttest_1samp(differences, 0.0, axis=-1).pvalue
    free = np.mean((early < 0.05) | (late < 0.05))
    paid = np.mean((early < 0.05) | (2 * late < 0.05))
    assert 0.08 <= free <= 0.095
    assert 0.06 <= paid <= 0.072
    assert np.mean(2 * late < 0.05) <= 0.03, "of those who meant to go on anyway"
    assert np.mean((2 * early < 0.05) | (2 * late < 0.05)) <= 0.05


def test_what_is_printed_is_not_optimistic_and_what_a_search_finds_is() -> None:
    rng = np.random.default_rng(5)
    runs, arms, seeds = 6000, 9, 5
    truth = np.concatenate([np.zeros((runs, 1)), rng.normal(0, 0.8, (runs, arms - 1))], axis=1)
    search = truth + rng.normal(0, 0.7, truth.shape) + rng.normal(0, 2.5, truth.shape)  # A small holdout.
    nominated = np.concatenate(
        [np.argsort(-search[:, 1:], axis=1)[:, :3] + 1, np.zeros((runs, 1), int)], axis=1
    )
    mine = np.take_along_axis(truth, nominated, axis=1)[..., None]
    test = mine + rng.normal(0, 0.7, (runs, 4, seeds)) + rng.normal(0, 0.4, (runs, 4, 1))
    validation = mine + rng.normal(0, 0.7, (runs, 4, seeds)) + rng.normal(0, 1.5, (runs, 4, seeds))
    chosen = validation.mean(axis=-1).argmax(axis=1)
    row = np.arange(runs)
    optimism = {
        "mean": test.mean(axis=-1)[row, chosen] - mine[row, chosen, 0],
        "cross-entropy": test.mean(axis=-1)[:, -1] - truth[:, 0],
        "difference": (test[row, chosen] - test[:, -1]).mean(axis=-1) - (mine[row, chosen, 0] - truth[:, 0]),
        "search": search.max(axis=1) - truth[row, search.argmax(axis=1)],
        "confirmed on validation": validation.mean(axis=-1)[row, chosen] - mine[row, chosen, 0],
    }
    for printed in ("mean", "cross-entropy", "difference"):
        error = optimism[printed].std() / math.sqrt(runs)
        assert abs(optimism[printed].mean()) <= 3 * error < 0.05, printed
    assert 2 < optimism["search"].mean() < 5, "which is why it is never shown as performance"
    assert 0.2 < optimism["confirmed on validation"].mean() < 1.2
    keys = [*(arm("cefl", float(number)) for number in range(3)), BASE]
    for each in range(10):
        scores = {key: list(0.6 + values / 100) for key, values in zip(keys, test[each], strict=True)}
        by = {key: list(0.6 + values / 100) for key, values in zip(keys, validation[each], strict=True)}
        found = confirm(confirmed(scores, by), protocol(scores), Objective(), {})
        assert found is not None
        assert found.winner.key == keys[chosen[each]]
        assert found.winner.test.mean == pytest.approx(0.6 + test[each, chosen[each]].mean() / 100)


def trained(rng: np.random.Generator, hard: Floats, skill: Floats) -> list[Predictions]:
    """Predictions of one arm on images of a difficulty each, a seed for each skill."""
    truth = np.arange(len(hard)) % 3
    right = rng.random((len(skill), len(hard))) < 1 / (1 + np.exp(hard - skill[:, None]))
    return [Predictions(truth, np.where(each, truth, (truth + 1) % 3)) for each in right]


def expected_score(skill: float) -> float:
    """Recall over all images that there could be: difficulties are normal with deviation 2."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    return float((weights / weights.sum() / (1 + np.exp(2 * nodes - skill))).sum())


def test_with_the_doubt_of_the_images_intervals_cover_new_images_too() -> None:
    rng = np.random.default_rng(7)
    runs, covered, by_seeds = 150, np.zeros(2), np.zeros(2)
    over_seeds = np.random.default_rng(0).normal(0, 0.05, 400)
    truth = [float(np.mean([expected_score(skill + each) for each in over_seeds])) for skill in (0.6, 0.9)]
    for _ in range(runs):
        hard = rng.normal(0, 2, 150)
        shared = rng.normal(0, 0.05, 5)
        arms = [trained(rng, hard, skill + shared) for skill in (0.6, 0.9)]
        scores = [[float(np.mean(seed.targets == seed.predictions)) for seed in each] for each in arms]
        mean = estimate(scores[1], arms[1], "accuracy")
        gains = [one - other for one, other in zip(scores[1], scores[0], strict=True)]
        both = contrast(gains, arms[1], arms[0], "accuracy")
        assert both is not None
        pairs = ((mean, truth[1]), (both.estimate, truth[1] - truth[0]))
        for place, (found, expected) in enumerate(pairs):
            assert found.low is not None
            assert found.high is not None
            covered[place] += found.low <= expected <= found.high
            by_seeds[place] += abs(found.mean - expected) <= (found.h_seeds or 0)
    assert (covered / runs >= 0.92).all(), covered / runs
    assert by_seeds[0] / runs < 0.85, "seeds alone do not know of other images"


def test_the_recall_of_a_small_class_needs_wilson_with_its_images() -> None:
    rng = np.random.default_rng(8)
    runs, images, seeds = 4000, 30, 10
    hard = rng.normal(0, 2, (runs, images))
    right = rng.random((runs, seeds, images)) < 1 / (1 + np.exp(hard - 0.8))[:, None, :]
    recall = right.mean(axis=2)
    mean, truth = recall.mean(axis=1), expected_score(0.8)
    seeds_half = stats.t.ppf(0.975, seeds - 1) * recall.std(axis=1, ddof=1) / math.sqrt(seeds)
    z2 = stats.norm.ppf(0.975) ** 2
    centre = (mean + z2 / 2 / images) / (1 + z2 / images)
    spread = np.sqrt(z2 * mean * (1 - mean) / images + z2**2 / 4 / images**2) / (1 + z2 / images)
    low = mean - np.hypot(seeds_half, mean - (centre - spread))
    high = mean + np.hypot(seeds_half, centre + spread - mean)
    assert np.mean((low <= truth) & (truth <= high)) >= 0.94
    assert np.mean(np.abs(mean - truth) <= seeds_half) < 0.75
    for at in range(10):
        found = wilson(float(mean[at]), images)
        assert (found.low, found.high) == pytest.approx((centre[at] - spread[at], centre[at] + spread[at]))


@pytest.mark.parametrize(
    ("tests", "expected"), [(1, (3.3, 1.7, 1.0)), (3, (5.7, 2.3, 1.2)), (6, (8.0, 2.8, 1.4))]
)
def test_the_detectable_difference_of_3_5_and_10_seeds(tests: int, expected: tuple[float, ...]) -> None:
    found = [detectable_difference(n, tests) for n in (3, 5, 10)]
    assert [round(each, 1) for each in found] == list(expected)


def test_the_detectable_difference_is_found_in_80_of_100_samples() -> None:
    size = detectable_difference(5, 3)
    samples = np.random.default_rng(3).normal(size, 1.0, (20_000, 5))
    found = np.mean(stats.ttest_1samp(samples, 0.0, axis=-1).pvalue < 0.05 / 3)
    assert found == pytest.approx(0.8, abs=0.012)
    assert power(0.0, 5) == pytest.approx(0.05, abs=1e-6), "without a difference: false decisions"
    with pytest.raises(ValueError, match="n >= 2"):
        power(1.0, 1)
