"""Which images train and which validate: never both, the same for every ratio, every class counted."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cefl.data import (
    Arrays,
    Dataset,
    Folds,
    Given,
    Holdout,
    NoValidation,
    TrialSplit,
    Unused,
    ValidationRule,
    confirming_rule,
    describe,
    resolve_validation,
    split,
    validation_rule,
)
from cefl.errors import ImbalanceError, SplitError
from cefl.longtail import class_counts, longtail_indices


def arrays(counts: Sequence[int], shuffle: int = 0) -> Arrays:
    labels = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    labels = np.random.default_rng(shuffle).permutation(labels)
    return Arrays(np.zeros((len(labels), 1, 1, 1), dtype=np.uint8), labels)


def dataset_of(counts: Sequence[int], validation: Sequence[int] | None = None) -> Dataset:
    return Dataset(
        name="made",
        classes=tuple(f"class {index}" for index in range(len(counts))),
        digest="0" * 64,
        mean=(0.5,),
        std=(0.5,),
        folder=Path("nowhere"),
        train=arrays(counts),
        validation=None if validation is None else arrays(validation),
        test=arrays([1] * len(counts)),
    )


def totals(dataset: Dataset, indices: np.ndarray) -> tuple[int, ...]:
    return tuple(np.bincount(dataset.train.labels[indices], minlength=dataset.num_classes).tolist())


def check_sound(dataset: Dataset, trial: TrialSplit) -> None:
    """What must hold for every split of every data set."""
    validation = trial.validation if trial.validation is not None else np.zeros(0, dtype=np.int64)
    for indices in (trial.train, validation):
        assert indices.dtype == np.int64
        assert (np.diff(indices) > 0).all()
    assert not set(trial.train.tolist()) & set(validation.tolist())
    assert trial.train_counts == totals(dataset, trial.train)
    assert min(trial.train_counts) >= 1
    if trial.validation is not None:
        assert trial.validation_counts == totals(dataset, trial.validation)


RULES = st.one_of(
    st.integers(1, 30).map(Unused),
    st.floats(0.01, 0.5).map(Holdout),
    st.integers(2, 20).map(Folds),
    st.just(Given()),
    st.just(NoValidation()),
)


@settings(deadline=None)
@given(
    counts=st.lists(st.integers(1, 90), min_size=2, max_size=6),
    imbalance=st.one_of(st.none(), st.floats(1, 50)),
    order=st.sampled_from(["ascending", "descending"]),
    rule=RULES,
    seed=st.integers(0, 2**31),
)
def test_no_image_ever_trains_and_validates(
    counts: list[int], imbalance: float | None, order: str, rule: ValidationRule, seed: int
) -> None:
    dataset = dataset_of(counts, validation=counts)
    try:
        trial = split(dataset, imbalance, order, rule, seed)
    except ImbalanceError:
        assert imbalance is not None
    except SplitError:
        if isinstance(rule, Folds):
            assert imbalance is not None
        else:
            assert isinstance(rule, Unused)
            assert 2 * rule.per_class > min(counts)
    else:
        check_sound(dataset, trial)


@pytest.mark.parametrize("counts", [[500] * 10, [500, 620, 510, 900]])
def test_unused_validation_is_the_same_for_every_ratio_and_order(counts: list[int]) -> None:
    dataset = dataset_of(counts)
    trials = [
        split(dataset, ratio, order, Unused(100), seed=3)
        for ratio in (1, 10, 20, 50, 100, 200)
        for order in ("ascending", "descending")
    ]
    for trial in trials:
        check_sound(dataset, trial)
        assert trial.validation is not None
        np.testing.assert_array_equal(trial.validation, trials[0].validation)
        assert trial.validation_counts == (100,) * len(counts)
        assert trial.train_only == ()
    other = split(dataset, 10, "ascending", Unused(100), seed=4)
    assert not np.array_equal(other.validation, trials[0].validation)


def test_unused_images_come_from_what_the_imbalance_left_out_and_only_large_classes_give_some() -> None:
    dataset = dataset_of([5000] * 10)
    trial = split(dataset, 100, "ascending", Unused(100), seed=0)
    wanted = class_counts(10, 5000, 100)
    assert trial.train_counts == (*wanted[:-1], 4900)  # only the largest class gives training images
    tail = longtail_indices(dataset.train.labels, 100, 0)
    lost = set(tail.tolist()) - set(trial.train.tolist())
    assert set(trial.train.tolist()) < set(tail.tolist())
    assert set(dataset.train.labels[sorted(lost)].tolist()) == {9}
    gently = split(dataset, 1.01, "ascending", Unused(100), seed=0)
    assert gently.train_counts == (4900,) * 10


def test_training_images_of_a_stronger_imbalance_are_among_those_of_a_weaker() -> None:
    dataset = dataset_of([300] * 5)
    nested = [set(split(dataset, r, "ascending", Unused(10), 0).train.tolist()) for r in (100, 50, 10, 1)]
    assert all(fewer < more for fewer, more in zip(nested, nested[1:], strict=False))


def test_descending_makes_the_last_class_the_rarest() -> None:
    up = split(dataset_of([100] * 4), 10, "ascending", NoValidation(), 0).train_counts
    down = split(dataset_of([100] * 4), 10, "descending", NoValidation(), 0).train_counts
    assert up == (10, 21, 46, 100)
    assert down == up[::-1]


def test_unused_is_refused_where_it_would_take_more_than_half() -> None:
    dataset = dataset_of([40, 21])
    check_sound(dataset, split(dataset, None, "ascending", Unused(10), 0))
    with pytest.raises(
        SplitError, match=r"`2 \* unused <= images of every class` must hold, but got unused=11"
    ) as e:
        split(dataset, 1, "ascending", Unused(11), 0)
    assert "21 training images of 'class 1': write at most {unused: 10}, or {holdout: 0.1}" in str(e.value)
    with pytest.raises(SplitError, match=r"1 training images of 'class 0': write \{holdout: 0\.1\}"):
        split(dataset_of([1, 9]), None, "ascending", Unused(1), 0)


@pytest.mark.parametrize(
    ("count", "expected"),
    [(1, 0), (2, 0), (3, 1), (6, 2), (29, 9), (30, 10), (99, 10), (100, 10), (140, 14), (1000, 100)],
)
def test_a_holdout_has_a_floor_for_small_classes(count: int, expected: int) -> None:
    trial = split(dataset_of([1000, count]), None, "ascending", Holdout(0.1), 0)
    assert trial.validation_counts == (100, expected)
    assert trial.train_counts == (900, count - expected)
    assert trial.train_only == (() if expected else (1,))


def test_a_holdout_of_half_still_leaves_every_class_something_to_train_on() -> None:
    for count in range(1, 40):
        check_sound(
            dataset_of([count, count]), split(dataset_of([count] * 2), None, "ascending", Holdout(0.5), 0)
        )


def test_a_holdout_of_a_long_tail_is_taken_from_the_tail() -> None:
    dataset = dataset_of([200] * 3)
    trial = split(dataset, 20, "ascending", Holdout(0.2), 1)
    together = np.sort(np.concatenate([trial.train, trial.validation]))
    np.testing.assert_array_equal(together, longtail_indices(dataset.train.labels, 20, 1))
    assert trial.validation_counts == (3, 10, 40)


@pytest.mark.parametrize(("folds", "first"), [(5, 0), (5, 1000), (3, 9)])
def test_as_many_seeds_as_folds_validate_on_every_image_once(folds: int, first: int) -> None:
    dataset = dataset_of([100, 41, 3, 2, 1])
    parts = [split(dataset, None, "ascending", Folds(folds), seed) for seed in range(first, first + folds)]
    seen: list[int] = []
    for part in parts:
        check_sound(dataset, part)
        assert part.validation is not None
        seen += part.validation.tolist()
        together = np.concatenate([part.train, part.validation])
        assert sorted(together.tolist()) == list(range(147))
        assert part.train_only == (4,), "a class with one image trains only and is named"
    single = int(np.flatnonzero(dataset.train.labels == 4)[0])
    assert sorted([*seen, single]) == list(range(147))
    assert {part.validation_counts[0] for part in parts} <= {100 // folds, 100 // folds + 1}


def test_the_next_round_of_folds_is_another_partition() -> None:
    dataset = dataset_of([100, 41])
    first, again = (split(dataset, None, "ascending", Folds(5), seed).validation for seed in (0, 5))
    assert first is not None
    assert again is not None
    assert not np.array_equal(first, again)


def test_folds_of_a_synthetic_imbalance_are_refused() -> None:
    with pytest.raises(SplitError, match=r"folds are for data as they are.*\{unused: N\}"):
        split(dataset_of([30, 20]), 2, "ascending", Folds(5), 0)


def test_a_confirmation_validates_natural_data_in_five_folds() -> None:
    assert confirming_rule(Holdout(0.1), None) == Folds(5)
    for rule, imbalance in ((Unused(10), 10), (Holdout(0.1), 10), (Given(), None), (NoValidation(), None)):
        assert confirming_rule(rule, imbalance) == rule


def test_a_given_validation_split_leaves_all_images_to_training() -> None:
    dataset = dataset_of([30, 20], validation=[4, 0])
    trial = split(dataset, None, "ascending", Given(), 0)
    assert trial.validation is None
    assert trial.train_counts == (30, 20)
    assert trial.validation_counts == (4, 0)
    assert trial.train_only == (1,)
    with pytest.raises(SplitError, match="'given' needs a source with a validation split"):
        split(dataset_of([30, 20]), None, "ascending", Given(), 0)


def test_without_validation_every_image_trains_and_no_class_is_named() -> None:
    trial = split(dataset_of([30, 20]), None, "ascending", NoValidation(), 0)
    assert trial.train_counts == (30, 20)
    assert trial.validation is not None
    assert len(trial.validation) == 0
    assert (trial.validation_counts, trial.train_only) == ((0, 0), ())


def test_a_split_depends_on_its_arguments_alone() -> None:
    dataset = dataset_of([100, 120, 140])
    first = split(dataset, 5, "ascending", Unused(10), 7)
    np.random.seed(1)
    state = np.random.get_state()[1].tolist()  # type: ignore[union-attr]
    again = split(dataset, 5, "ascending", Unused(10), 7)
    assert np.random.get_state()[1].tolist() == state  # type: ignore[union-attr]
    np.testing.assert_array_equal(first.train, again.train)
    np.testing.assert_array_equal(first.validation, again.validation)
    other = split(dataset, 5, "ascending", Unused(10), 8)
    assert not np.array_equal(first.train, other.train)
    with pytest.raises(ValueError, match="read-only"):
        first.train[0] = 1


@pytest.mark.parametrize("classes", [10, 100])
def test_splitting_50000_images_takes_less_than_50_milliseconds(classes: int) -> None:
    dataset = dataset_of([50_000 // classes] * classes)
    rule = resolve_validation(None, dataset.counts["train"], 100, False)
    took = []
    for seed in range(5):
        start = time.perf_counter()
        split(dataset, 100, "ascending", rule, seed)
        took.append(time.perf_counter() - start)
    assert min(took) < 0.05


@pytest.mark.parametrize(
    ("counts", "imbalance", "has_validation", "expected"),
    [
        ([5000] * 10, 100, False, Unused(100)),
        ([500] * 100, 10, False, Unused(10)),
        ([2500, 9000], 10, False, Unused(50)),
        ([100_000] * 2, 1, False, Unused(100)),
        ([142] * 10, 10, False, Unused(10)),
        ([19, 19], 2, False, Unused(6)),
        ([5000, 40], None, False, Holdout(0.1)),
        ([5000] * 10, 100, True, Given()),
        ([5000, 40], None, True, Given()),
    ],
)
def test_the_default_fits_the_data(
    counts: list[int], imbalance: float | None, has_validation: bool, expected: ValidationRule
) -> None:
    rule = resolve_validation(None, counts, imbalance, has_validation)
    assert rule == expected
    validation = counts if has_validation else None
    check_sound(
        dataset_of(counts, validation), split(dataset_of(counts, validation), imbalance, "ascending", rule, 0)
    )


def test_a_rule_that_was_asked_for_is_kept() -> None:
    assert resolve_validation(Holdout(0.2), [100, 100], 10, True) == Holdout(0.2)
    with pytest.raises(SplitError, match="'given' needs a source with a validation split"):
        resolve_validation(Given(), [100, 100], None, False)


@pytest.mark.parametrize("rule", [Unused(100), Holdout(0.1), Folds(5), Given(), NoValidation()])
def test_a_rule_survives_being_written_and_read(rule: ValidationRule) -> None:
    assert validation_rule(rule.as_json()) == rule == validation_rule(rule)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            {"unsued": 100},
            r"must be \{unused: N\}, .* or none, but got \{'unsued': 100\}; did you mean 'unused'\?",
        ),
        ("givn", r"but got 'givn'; did you mean 'given'\?"),
        ("unused", r"but got 'unused'$"),
        ({}, r"but got \{\}$"),
        ({"unused": 1, "holdout": 0.1}, r"but got \{'unused': 1, 'holdout': 0\.1\}$"),
        (None, r"but got None"),
        (7, r"but got 7"),
        ({3: 4}, r"but got \{3: 4\}"),
        ({"unused": 0}, r"`unused` must be a whole number .* at least 1, but got 0"),
        ({"unused": True}, r"but got True"),
        ({"unused": 2.0}, r"but got 2\.0"),
        ({"unused": "10"}, r"but got '10'"),
        ({"holdout": 0}, r"`0 < holdout <= 0\.5` must hold, but got 0"),
        ({"holdout": 0.6}, r"but got 0\.6"),
        ({"holdout": float("nan")}, r"but got nan"),
        ({"folds": 1}, r"`2 <= folds <= 20` must hold, but got 1"),
        ({"folds": True}, r"but got True"),
        ({"fold": 5}, r"did you mean 'folds'\?"),
        ({"holdout": "a tenth"}, r"but got 'a tenth'"),
    ],
)
def test_a_wrong_rule_is_answered_with_the_rule_and_the_value(value: object, message: str) -> None:
    with pytest.raises(SplitError, match=message):
        validation_rule(value)


def test_a_description_says_whether_data_are_balanced_and_what_suits_them() -> None:
    balanced = describe(dataset_of([100, 110]))
    assert balanced.balanced
    assert balanced.imbalance == pytest.approx(1.1)
    assert balanced.validation == Unused(10)
    assert balanced.largest_imbalance == pytest.approx(100)
    natural = describe(dataset_of([400, 20]))
    assert (natural.balanced, natural.imbalance, natural.validation) == (False, 20.0, Holdout(0.1))
    given = describe(dataset_of([400, 20], validation=[5, 5]))
    assert given.validation == Given()
    assert given.as_json() == {
        "name": "made",
        "classes": ["class 0", "class 1"],
        "counts": {"train": [400, 20], "val": [5, 5], "test": [1, 1]},
        "imbalance": 20.0,
        "balanced": False,
        "largest_imbalance": given.largest_imbalance,
        "image_shape": [1, 1, 1],
        "validation": "given",
        "test_rule": "given",
        "notes": [],
    }
