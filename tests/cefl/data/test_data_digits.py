"""``digits``: the embedded default, the same bytes on every machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from cefl.data import Dataset, open_dataset, prepare, verify


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = prepare("digits", tmp_path_factory.mktemp("data"))
    verify(folder)
    return open_dataset(folder)


def test_the_digits_are_split_by_class(digits: Dataset) -> None:
    assert digits.classes == tuple("0123456789")
    assert digits.image_shape == (8, 8, 1)
    originals = np.bincount(load_digits().target)
    assert digits.counts["test"] == tuple(originals // 5)
    assert digits.counts["train"] == tuple(originals - originals // 5)
    assert digits.test_rule == "20% of each class, seed 0"


def test_no_digit_is_lost_doubled_or_changed_but_in_scale(digits: Dataset) -> None:
    data = load_digits()
    expected = np.rint(data.images * 255 / 16).astype(np.uint8)
    pairs = [(image.tobytes(), int(label)) for image, label in zip(expected, data.target, strict=True)]
    found = [
        (image.tobytes(), int(label))
        for arrays in (digits.train, digits.test)
        for image, label in zip(arrays.images, arrays.labels, strict=True)
    ]
    assert sorted(found) == sorted(pairs)
    assert (digits.train.images.min(), digits.train.images.max()) == (0, 255)


def test_the_digest_is_the_one_that_results_are_filed_under(digits: Dataset) -> None:
    # If this changes, the same data get new trial keys: everything would be trained again.
    assert digits.digest == "ea69102054660c458694ff6aaa73c8c04a7d502d72351534dfac2d74a4ce5c8f"


def test_preparing_digits_leaves_the_global_random_state_alone(tmp_path: Path) -> None:
    before = np.random.get_state()[1].tolist()  # type: ignore[union-attr]
    prepare("digits", tmp_path)
    assert np.random.get_state()[1].tolist() == before  # type: ignore[union-attr]
