"""Long-tail counts against Wang et al. 2020 and exact integers; subsets that are nested and repeatable."""

from __future__ import annotations

import math
from decimal import Decimal

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cefl.errors import ImbalanceError
from cefl.longtail import class_counts, class_permutations, largest_imbalance, longtail_indices

RATIOS = (10, 20, 50, 100, 200, 500)
LABELS = np.random.default_rng(3).permutation(np.repeat(np.arange(5), 60))


@pytest.mark.parametrize(
    ("classes", "largest", "totals"),
    [
        (10, 5000, (20431, 17023, 13996, 12406, 11203, 10011)),
        (100, 500, (19573, 15907, 12608, 10847, 9502, 8155)),
    ],
)
def test_totals_are_those_of_imbalanced_cifar(classes: int, largest: int, totals: tuple[int, ...]) -> None:
    assert tuple(int(class_counts(classes, largest, ratio).sum()) for ratio in RATIOS) == totals


def test_counts_at_ratio_ten_are_those_of_imbalanced_cifar10() -> None:
    expected = [500, 645, 834, 1077, 1391, 1796, 2320, 2997, 3871, 5000]
    assert class_counts(10, 5000, 10).tolist() == expected
    assert class_counts(10, 5000, 10, "descending").tolist() == expected[::-1]


@settings(max_examples=150, deadline=None)
@given(base=st.integers(1, 9), steps=st.integers(1, 9), scale=st.integers(1, 50))
def test_counts_that_are_whole_numbers_are_met_exactly(base: int, steps: int, scale: int) -> None:
    largest = scale * base**steps
    counts = class_counts(steps + 1, largest, float(base**steps))
    assert counts.tolist() == [scale * base**power for power in range(steps + 1)]


@settings(max_examples=100, deadline=None)
@given(
    classes=st.integers(2, 120),
    largest=st.integers(1, 10_000),
    ratio=st.one_of(st.integers(1, 1000), st.decimals(1, 1000, places=2)),
)
def test_counts_are_the_floors_of_sixty_digits(classes: int, largest: int, ratio: int | Decimal) -> None:
    """A value within 1e-40 of a whole number is one: it is a root of rationals of this size."""
    if ratio > largest:
        return
    with mpmath.workdps(60):
        powers = [mpmath.mpf(str(ratio)) ** (mpmath.mpf(i) / (classes - 1) - 1) for i in range(classes)]
        expected = [int(mpmath.floor(largest * power + mpmath.mpf(10) ** -40)) for power in powers]
    assert class_counts(classes, largest, float(ratio)).tolist() == expected


def test_exact_powers_and_their_neighbours() -> None:
    assert class_counts(3, 100, 100).tolist() == [1, 10, 100]  # 100 * 100^(-1/2) = 10.
    assert class_counts(3, 99, 99).tolist() == [1, 9, 99]
    assert class_counts(3, 10**12, 10**12).tolist() == [1, 10**6, 10**12]
    assert class_counts(3, 10**12 - 1, 10**12 - 1).tolist() == [1, 10**6 - 1, 10**12 - 1]
    assert class_counts(4, 1000, 1000).tolist() == [1, 10, 100, 1000]
    assert class_counts(4, 999, 999).tolist() == [1, 9, 99, 999]


def test_the_floor_can_make_the_realised_ratio_larger_than_the_nominal_one() -> None:
    counts = class_counts(100, 500, 200)
    assert counts[-1] / counts[0] == 250


def test_a_class_without_images_is_named() -> None:
    with pytest.raises(ImbalanceError, match=r"none of classes \[1\]"):
        longtail_indices([0, 0, 2], 1, seed=0)
    with pytest.raises(ImbalanceError, match="none of classes all"):
        longtail_indices(np.array([], dtype=np.int64), 1, seed=0)


def test_a_decimal_ratio_means_the_number_that_was_written() -> None:
    assert class_counts(2, 11, 1.1).tolist() == [10, 11]
    assert class_counts(3, 121, 1.21).tolist() == [100, 110, 121]


@settings(max_examples=60, deadline=None)
@given(classes=st.integers(2, 30), largest=st.integers(1, 3000), share=st.floats(0, 1))
def test_counts_rise_from_the_rarest_class_and_none_is_empty(
    classes: int, largest: int, share: float
) -> None:
    ratio = max(1.0, share * largest_imbalance(classes, largest))
    counts = class_counts(classes, largest, ratio)
    assert counts.min() >= 1
    assert counts[-1] == largest
    assert (np.diff(counts) >= 0).all()


def test_the_largest_ratio_leaves_one_image_and_any_larger_is_refused_with_it() -> None:
    limit = largest_imbalance(10, 37)
    assert class_counts(10, 37, limit)[0] == 1
    with pytest.raises(ImbalanceError, match="at most 37"):
        class_counts(10, 37, math.nextafter(limit, math.inf))


@pytest.mark.parametrize("ratio", [0.99, 0.0, -3.0, math.nan, math.inf])
def test_a_ratio_below_one_or_not_finite_is_refused(ratio: float) -> None:
    with pytest.raises(ImbalanceError, match="imbalance"):
        class_counts(10, 100, ratio)


def test_other_arguments_out_of_range_are_refused() -> None:
    for arguments, said in (((1, 10, 1.0), "num_classes"), ((2, 0, 1.0), "largest")):
        with pytest.raises(ImbalanceError, match=said):
            class_counts(*arguments)
    with pytest.raises(ImbalanceError, match="sideways"):
        class_counts(2, 10, 1.0, "sideways")


@pytest.mark.parametrize("order", ["ascending", "descending"])
def test_indices_have_the_counts_and_are_sorted(order: str) -> None:
    chosen = longtail_indices(LABELS, 20, seed=1, order=order)
    assert np.bincount(LABELS[chosen]).tolist() == class_counts(5, 60, 20, order).tolist()
    assert (np.diff(chosen) > 0).all()
    assert chosen.dtype == np.int64


def test_the_subset_of_a_larger_ratio_lies_in_that_of_a_smaller_one() -> None:
    subsets = [set(longtail_indices(LABELS, ratio, seed=4).tolist()) for ratio in (1, 2, 5, 20, 60)]
    assert all(larger > smaller for larger, smaller in zip(subsets, subsets[1:], strict=False))


def test_the_seed_alone_decides_and_the_global_generator_is_untouched() -> None:
    state, torch_state = np.random.get_state()[1].copy(), torch.get_rng_state()
    first = longtail_indices(LABELS, 20, seed=7)
    np.testing.assert_array_equal(np.random.get_state()[1], state)
    assert torch.equal(torch.get_rng_state(), torch_state)
    np.random.random(5)
    np.testing.assert_array_equal(longtail_indices(LABELS, 20, seed=7), first)
    assert not np.array_equal(longtail_indices(LABELS, 20, seed=8), first)


def test_the_smallest_class_decides_how_many_the_largest_keeps() -> None:
    labels = np.repeat([0, 1, 2], [30, 9, 50])
    assert np.bincount(labels[longtail_indices(labels, 9, seed=0)]).tolist() == [1, 3, 9]


def test_permutations_hold_each_class_once_and_depend_on_seed_and_class_alone() -> None:
    parts = class_permutations(LABELS, 5, seed=2)
    for label, part in enumerate(parts):
        np.testing.assert_array_equal(np.sort(part), np.flatnonzero(LABELS == label))
    more = class_permutations(np.concatenate([LABELS, [5, 5]]), 6, seed=2)
    for part, same in zip(parts, more, strict=False):
        np.testing.assert_array_equal(part, same)
