"""The primitives against SciPy, tables and hand calculations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from trackers.statistics import holm, paired_t, t_interval


def test_the_interval_of_a_hand_calculation() -> None:
    # mean 3, deviation sqrt(2.5), t(0.975, 4) = 2.776445 from a table
    interval = t_interval([1, 2, 3, 4, 5])
    assert interval is not None
    half = 2.776445 * math.sqrt(2.5) / math.sqrt(5)
    assert interval == pytest.approx((3 - half, 3 + half), abs=1e-5)


def test_a_higher_level_gives_a_wider_interval() -> None:
    narrow, wide = t_interval([0.1, 0.3, 0.2], 0.9), t_interval([0.1, 0.3, 0.2], 0.99)
    assert narrow is not None
    assert wide is not None
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize("values", [[0.5], [0.5, 0.5, 0.5], [0.1 + 0.2, 0.3]])
def test_one_value_or_no_deviation_has_no_interval(values: list[float]) -> None:
    assert t_interval(values) is None


def test_the_paired_test_equals_scipys_test_of_related_samples() -> None:
    rng = np.random.default_rng(1)
    arm, baseline = rng.normal(0.62, 0.01, 5), rng.normal(0.6, 0.01, 5)
    result = paired_t(list(arm - baseline))
    expected = stats.ttest_rel(arm, baseline)
    assert result.mean == pytest.approx(float(np.mean(arm - baseline)))
    assert result.p == pytest.approx(float(expected.pvalue))
    assert result.interval == pytest.approx(tuple(expected.confidence_interval(0.95)))


def test_the_paired_test_of_a_hand_calculation() -> None:
    # differences 1, 2, 3: mean 2, standard error 1/sqrt(3), t = 3.4641 with 2 degrees of freedom
    t = 2 * math.sqrt(3)
    assert paired_t([1, 2, 3]).p == pytest.approx(1 - t / math.sqrt(2 + t * t))  # closed form for 2 degrees


@pytest.mark.parametrize("differences", [[0.02, 0.02, 0.02], [0.0, 0.0], [0.1], [0.9 - 0.88, 0.62 - 0.6]])
def test_without_deviation_a_difference_stays_undecided(differences: list[float]) -> None:
    result = paired_t(differences)
    assert result.mean == pytest.approx(sum(differences) / len(differences))
    assert result.interval is None
    assert result.p is None


def test_the_paired_test_is_wrong_in_5_of_100_null_samples() -> None:
    samples = np.random.default_rng(3).normal(0, 0.005, (20_000, 5))
    pvalues = stats.ttest_1samp(samples, 0.0, axis=1).pvalue
    assert 0.045 <= np.mean(pvalues < 0.05) <= 0.055
    assert [paired_t(list(sample)).p for sample in samples[:50]] == pytest.approx(list(pvalues[:50]))


def test_holm_of_a_hand_calculation_keeps_the_order_given() -> None:
    # sorted .01 .02 .03 .04, times 4 3 2 1 = .04 .06 .06 .04, made monotone .04 .06 .06 .06
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.6, 0.7]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


@pytest.mark.parametrize("tests", [1, 3, 7])
def test_holm_is_that_of_statsmodels(tests: int) -> None:
    pvalues = [*(np.random.default_rng(tests).random(tests) * 0.3), 0.01, 0.01]
    assert holm(pvalues) == multipletests(pvalues, method="holm")[1].tolist()


def test_an_undecided_test_stays_undecided_and_counts() -> None:
    assert holm([0.02, None]) == [pytest.approx(0.04), None]


@pytest.mark.parametrize("values", [[], [0.1, float("nan")], [float("inf"), 1.0]])
def test_values_that_are_no_finite_sample_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="finite numbers"):
        t_interval(values)
    with pytest.raises(ValueError, match="finite numbers"):
        paired_t(values)


def test_a_level_or_a_p_value_outside_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"0 < level < 1.*level=95"):
        t_interval([1.0, 2.0], level=95)
    with pytest.raises(ValueError, match=r"0 <= p <= 1.*p=1.2"):
        holm([1.2])
