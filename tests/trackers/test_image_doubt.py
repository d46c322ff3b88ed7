"""The doubt of the images against the bootstrap, closed forms and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as reference

from trackers.image_doubt import Predictions, contributions, metric_of, standard_error, strata

METRICS = ("accuracy", "balanced_accuracy", "macro_recall", "macro_precision", "macro_f1")


def answers(images: tuple[int, ...] = (12, 40, 90), recall: float = 0.7, seeds: int = 3) -> list[Predictions]:
    """Predictions of several seeds on the same images, of which some are harder than others."""
    rng = np.random.default_rng(4)
    truth = np.repeat(np.arange(len(images)), images)
    hardness = rng.beta(2 * recall, 2 * (1 - recall), len(truth))
    return [
        Predictions(
            truth,
            np.where(rng.random(len(truth)) < hardness, truth, rng.integers(0, len(images), len(truth))),
        )
        for _ in range(seeds)
    ]


def score(truth: np.ndarray, guess: np.ndarray, metric: str) -> float:
    classes = int(max(truth.max(), guess.max())) + 1
    return metric_of(
        np.bincount(truth * classes + guess, minlength=classes**2).reshape(classes, classes), metric
    )


@pytest.mark.parametrize("metric", METRICS)
def test_a_metric_of_a_confusion_matrix_is_what_scikit_learn_says(metric: str) -> None:
    truth, guess = answers()[0]
    expected = {
        "accuracy": reference.accuracy_score(truth, guess),
        "balanced_accuracy": reference.balanced_accuracy_score(truth, guess),
        "macro_recall": reference.recall_score(truth, guess, average="macro"),
        "macro_precision": reference.precision_score(truth, guess, average="macro"),
        "macro_f1": reference.f1_score(truth, guess, average="macro"),
    }[metric]
    assert score(truth, guess, metric) == pytest.approx(expected)


@pytest.mark.parametrize("metric", METRICS)
def test_the_standard_error_is_that_of_drawing_images_again_inside_each_class(metric: str) -> None:
    seeds = answers()
    values = contributions(seeds, metric)
    assert values is not None
    rng = np.random.default_rng(1)
    groups = strata(seeds[0].targets)
    again = []
    for _ in range(800):
        drawn = np.concatenate([rng.choice(group, len(group)) for group in groups])
        again.append(np.mean([score(truth[drawn], guess[drawn], metric) for truth, guess in seeds]))
    assert standard_error(values, seeds[0].targets) == pytest.approx(float(np.std(again)), rel=0.1)


def test_the_standard_error_of_the_accuracy_on_one_class_is_the_binomial_one() -> None:
    truth = np.zeros(200, dtype=np.int64)
    seed = Predictions(truth, (np.arange(200) % 4 == 0).astype(np.int64))
    values = contributions([seed], "accuracy")
    assert values is not None
    assert standard_error(values, truth) == pytest.approx(math.sqrt(0.75 * 0.25 / 199))


def test_two_arms_that_fail_on_the_same_images_differ_with_less_doubt_than_each_has() -> None:
    seeds = answers()
    truth = seeds[0].targets
    better = [
        Predictions(truth, np.where(np.arange(len(truth)) % 20 == 0, truth, each.predictions))
        for each in seeds
    ]
    one, other = contributions(seeds, "balanced_accuracy"), contributions(better, "balanced_accuracy")
    assert one is not None
    assert other is not None
    assert standard_error(other - one, truth) < 0.5 * standard_error(one, truth)


def test_seeds_that_met_other_images_have_no_common_contributions() -> None:
    seeds = answers(seeds=2)
    assert (
        contributions([seeds[0], Predictions(seeds[1].targets[:-1], seeds[1].predictions[:-1])], "accuracy")
        is None
    )
    assert contributions([], "accuracy") is None


@pytest.mark.parametrize(
    ("targets", "sizes"),
    [([0, 0, 1, 1, 1], [2, 3]), ([0, 1, 2, 2, 2], [2, 3]), ([0, 1, 1, 2, 2, 2], [3, 3]), ([0], [1])],
)
def test_classes_of_one_image_form_a_stratum_together(targets: list[int], sizes: list[int]) -> None:
    assert sorted(len(group) for group in strata(np.array(targets))) == sizes


def test_a_matrix_without_images_and_an_unknown_metric_are_refused() -> None:
    with pytest.raises(ValueError, match="without images"):
        metric_of([[0, 0], [0, 0]], "accuracy")
    with pytest.raises(ValueError, match="must be accuracy or one of"):
        metric_of([[1]], "auc")
