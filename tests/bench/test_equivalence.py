"""The equivalence test against statsmodels, and its power against simulations."""

from __future__ import annotations

import numpy as np
import pytest
from equivalence import equivalence, power, seeds_needed
from scipy import stats
from statsmodels.stats.weightstats import DescrStatsW


@pytest.mark.parametrize(("centre", "equal"), [(0.0, True), (0.9, False), (-1.5, False)])
def test_it_is_that_of_statsmodels(centre: float, equal: bool) -> None:
    differences = centre + np.random.default_rng(1).normal(0, 0.5, 8)
    found = equivalence(differences.tolist(), 1.0)
    expected = DescrStatsW(differences).ttost_mean(-1.0, 1.0)[0]
    assert found.p == pytest.approx(expected, rel=1e-9)
    assert (found.p < 0.05) == equal
    assert (-1 < found.low and found.high < 1) == equal, "the interval says the same"


@pytest.mark.parametrize(("deviation", "n"), [(0.7, 5), (0.7, 8), (1.4, 10)])
def test_the_power_is_the_share_of_simulations_that_show_it(deviation: float, n: int) -> None:
    samples = np.random.default_rng(0).normal(0, deviation, (20_000, n))
    above, below = (stats.ttest_1samp(samples + shift, 0, axis=1).statistic for shift in (1, -1))
    shown = np.mean(np.minimum(above, -below) > stats.t.ppf(0.95, n - 1))
    assert power(deviation, n, 1.0) == pytest.approx(shown, abs=0.01)


def test_the_number_of_seeds_is_the_least_with_the_power_wanted() -> None:
    n = seeds_needed(0.7, 1.0)
    assert power(0.7, n, 1.0) >= 0.8 > power(0.7, n - 1, 1.0)
    assert seeds_needed(50, 1.0) == 1000


def test_too_few_seeds_are_refused() -> None:
    for differences in ([0.1], [0.2, 0.2]):
        with pytest.raises(ValueError, match="two seeds or more"):
            equivalence(differences, 1.0)
