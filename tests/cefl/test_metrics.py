"""Metrics against a printed table, scikit-learn and a hand calculation.

``trackers/paper/table5.csv`` holds Table 5 of Wang et al., "Class Balanced Loss for Image Classification",
IEEE Access 2020, doi 10.1109/ACCESS.2020.2991237: counts of each class beside the printed percentages.
"""

from __future__ import annotations

import csv
import warnings
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from confusions import matrix_of_counts
from numpy.typing import NDArray
from sklearn import metrics as reference

from cefl.metrics import classification_metrics, confusion, metrics_from_confusion, per_class, shot_accuracy

ROOT = Path(__file__).resolve().parents[2]
AVERAGES = {
    "ce": (61.4506, 62.6296, 59.1737),
    "focal": (66.7454, 65.2593, 62.5420),
    "cefl": (72.9495, 67.3704, 65.4612),
    "cefl2": (71.8728, 67.0741, 65.3239),
}
Labels = NDArray[np.int64]


def table() -> dict[str, list[dict[str, str]]]:
    rows = defaultdict(list)
    with (ROOT / "trackers" / "paper" / "table5.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            rows[row["loss"]].append(row)
    return dict(rows)


def labels_of(rows: list[dict[str, str]]) -> tuple[Labels, Labels]:
    """Targets and predictions of the given counts; which class is taken for which is free."""
    hits, predicted, support = (
        np.array([int(row[key]) for row in rows]) for key in ("true_positives", "predicted", "support")
    )
    matrix = matrix_of_counts(hits, predicted, support)
    true, guess = np.indices(matrix.shape)
    return np.repeat(true.ravel(), matrix.ravel()), np.repeat(guess.ravel(), matrix.ravel())


def reference_f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize("loss", AVERAGES)
def test_every_cell_of_the_printed_table_and_its_averages(loss: str) -> None:
    rows = table()[loss]
    assert len(rows) == 9
    targets, predictions = labels_of(rows)
    precision, recall, f1, support = per_class(targets, predictions, 9)
    for index, row in enumerate(rows):
        assert support[index] == int(row["support"])
        assert 100 * precision[index] == pytest.approx(float(row["precision_printed"]), abs=0.00501)
        assert 100 * recall[index] == pytest.approx(float(row["recall_printed"]), abs=0.00501)
        # The paper took F1 from its rounded precision and recall, which moves the last digit of five cells.
        rounded = reference_f1(round(100 * precision[index], 2), round(100 * recall[index], 2))
        assert rounded == pytest.approx(float(row["f1_printed"]), abs=0.00501)
        assert 100 * f1[index] == pytest.approx(float(row["f1_printed"]), abs=0.01)
    found = classification_metrics(targets, predictions, 9)
    averages = [100 * found[key] for key in ("macro_precision", "macro_recall", "macro_f1")]
    assert averages == pytest.approx(AVERAGES[loss], abs=5e-5)


def random_labels(seed: int, classes: int = 6) -> tuple[Labels, Labels]:
    generator = np.random.default_rng(seed)
    return generator.integers(classes, size=200), generator.integers(classes, size=200)


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true:UserWarning")
@pytest.mark.parametrize("absent", [(), (5,), (0, 3)])
@pytest.mark.parametrize("seed", range(4))
def test_they_are_those_of_scikit_learn(seed: int, absent: tuple[int, ...]) -> None:
    """Classes may be absent among the targets and still be predicted."""
    targets, predictions = random_labels(seed)
    kept = ~np.isin(targets, absent)
    targets, predictions = targets[kept], predictions[kept]
    present = np.unique(targets)
    assert len(present) == 6 - len(absent)
    found = classification_metrics(targets, predictions, 6)
    macro = reference.precision_recall_fscore_support(
        targets, predictions, labels=present, average="macro", zero_division=0.0
    )
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(targets, predictions))
    assert found["balanced_accuracy"] == pytest.approx(
        reference.balanced_accuracy_score(targets, predictions)
    )
    assert [found[f"macro_{key}"] for key in ("precision", "recall", "f1")] == pytest.approx(macro[:3])
    matrix = reference.confusion_matrix(targets, predictions, labels=np.arange(6))
    assert confusion(targets, predictions, 6).tolist() == matrix.tolist()
    each = reference.precision_recall_fscore_support(
        targets, predictions, labels=present, average=None, zero_division=0.0
    )
    for mine, theirs in zip(per_class(targets, predictions, 6), each, strict=True):
        assert mine[present] == pytest.approx(theirs)


@pytest.mark.parametrize(
    ("targets", "predictions", "said"),
    [
        ([0, 3], [0, 1], r"targets must be classes in \[0, 3\), but got 0 to 3"),
        ([0, 1], [-1, 1], r"predictions must be classes in \[0, 3\), but got -1 to 1"),
        ([0, 1], [1], "one|both"),
        ([], [], "N >= 1"),
    ],
)
def test_labels_that_fit_no_matrix_are_refused(targets: list[int], predictions: list[int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        confusion(targets, predictions, 3)


def test_a_matrix_gives_the_same_as_the_labels() -> None:
    targets, predictions = random_labels(1)
    matrix = confusion(targets, predictions, 8)
    assert matrix.shape == (8, 8)
    assert matrix.dtype == np.int64
    assert metrics_from_confusion(matrix) == classification_metrics(targets, predictions, 8)


def test_rows_of_the_confusion_matrix_are_the_true_classes() -> None:
    assert confusion([0, 0, 1], [1, 1, 2], 3).tolist() == [[0, 2, 0], [0, 0, 1], [0, 0, 0]]


def test_averages_are_over_the_classes_that_occur_and_nothing_warns() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = classification_metrics([0, 0, 1, 1], [0, 2, 1, 0], 4)
        precision, recall, f1, support = per_class([0, 0, 1, 1], [0, 2, 1, 0], 4)
    assert found == pytest.approx(
        {
            "accuracy": 0.5,
            "balanced_accuracy": 0.5,
            "macro_precision": 0.75,
            "macro_recall": 0.5,
            "macro_f1": (1 / 2 + 2 / 3) / 2,
        }
    )
    assert support.tolist() == [2, 2, 0, 0]
    for values in (precision, recall, f1):
        assert np.isnan(values).tolist() == [False, False, True, True]


def test_a_class_that_is_never_predicted_has_precision_zero() -> None:
    precision, recall, f1, _ = per_class([0, 1], [0, 0], 2)
    assert (precision[1], recall[1], f1[1]) == (0, 0, 0)


def test_shot_groups_follow_the_training_counts_and_an_empty_one_is_absent() -> None:
    targets, predictions = [0, 0, 1, 1, 2, 2, 3, 3], [0, 0, 1, 0, 0, 0, 3, 3]
    assert shot_accuracy(targets, predictions, [101, 100, 20, 19]) == {
        "many": 1.0,
        "medium": 0.25,
        "few": 1.0,
    }
    assert shot_accuracy([0, 1], [0, 0], [500, 3, 50]) == {"many": 1.0, "few": 0.0}
