"""What a confirmation says, against hand calculations, SciPy and statsmodels."""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
from confirmed_trials import BASE, arm, confirmed, predicted, protocol
from scipy import stats
from statsmodels.stats.multitest import multipletests
from synthetic_trials import trial

from trackers.compare import ArmKey, Objective, best
from trackers.confirmation import Confirmation
from trackers.deciding import confirm, confirmations, progress

OBJECTIVE = Objective()
A, B = arm("cefl", 2.0), arm("cefl2", 1.0)
SCORES: dict[ArmKey, Any] = {
    BASE: [0.600, 0.612, 0.604, 0.609, 0.598],
    A: [0.631, 0.640, 0.626, 0.641, 0.630],
    B: [0.628, 0.641, 0.630, 0.634, 0.627],
}


def said(
    scores: dict[ArmKey, Any] = SCORES,
    *looks: int,
    images: Any = None,
    validation: Any = None,
    **more: Any,
) -> Confirmation:
    found = confirm(confirmed(scores, validation, **more), protocol(scores, *looks), OBJECTIVE, images or {})
    assert found is not None
    return found


def test_means_deviations_and_intervals_are_those_of_the_test_scores() -> None:
    winner = said().winner
    assert winner.arm == "cefl(gamma=2)"
    assert winner.test.mean == pytest.approx(statistics.fmean(SCORES[A]))
    assert winner.test.std == pytest.approx(statistics.stdev(SCORES[A]))
    half = stats.t.ppf(0.975, 4) * statistics.stdev(SCORES[A]) / math.sqrt(5)
    assert winner.test.h_seeds == pytest.approx(half)
    assert (winner.test.low, winner.test.high) == pytest.approx(
        (winner.test.mean - half, winner.test.mean + half)
    )
    assert winner.test.h_images is None, "no predictions were at hand"


def test_p_values_are_paired_and_corrected_over_all_arms() -> None:
    found = {each.arm: each for each in said().arms}
    raw = [float(stats.ttest_rel(SCORES[each], SCORES[BASE]).pvalue) for each in (A, B)]
    expected = multipletests(raw, method="holm")[1]
    assert [found["cefl(gamma=2)"].p, found["cefl2(gamma=1)"].p] == pytest.approx(list(expected))
    assert found["cross_entropy"].p is found["cross_entropy"].difference is None
    difference = found["cefl(gamma=2)"].difference
    assert difference is not None
    assert difference.values == pytest.approx(
        [one - other for one, other in zip(SCORES[A], SCORES[BASE], strict=True)]
    )


def test_better_than_cross_entropy_but_not_the_only_best() -> None:
    found = said()
    assert found.beats_baseline is True
    assert found.unique_best is False
    assert found.ties == ("cefl2(gamma=1)",)
    assert found.undecided == ""
    assert (found.tests, found.looks, len(found.seeds)) == (2, 1, 5)


def test_the_only_best_beats_every_other_arm() -> None:
    scores = {**SCORES, A: [value + 0.03 for value in SCORES[A]]}
    found = said(scores)
    assert found.unique_best is True
    assert found.ties == ()


def test_ties_are_those_that_holm_over_all_pairs_leaves() -> None:
    scores = {**SCORES, arm("focal", 1.0): [0.62, 0.625, 0.63, 0.618, 0.622]}
    found = said(scores)
    order = [scores[each.key] for each in found.arms]
    pairs = list(combinations(range(4), 2))
    raw = [float(stats.ttest_rel(order[one], order[other]).pvalue) for one, other in pairs]
    adjusted = dict(zip(pairs, multipletests(raw, method="holm")[1], strict=True))
    expected = tuple(found.arms[other].arm for other in (1, 2, 3) if adjusted[0, other] >= 0.05)
    assert found.ties == expected
    assert 0 < len(expected) < 3, "the example has both"


def test_ties_and_the_only_best_pay_for_pairs_and_looks() -> None:
    gaps = [0.006, 0.001, 0.004, 0.007, 0.001]  # p = .03 alone, above .05 among three pairs or at two looks
    raw = float(stats.ttest_1samp(gaps, 0.0).pvalue)
    assert 0.025 < raw < 0.05
    lower = [value - gap for value, gap in zip(SCORES[A], gaps, strict=True)]
    pair: dict[ArmKey, Any] = {A: SCORES[A], B: lower}
    assert (said(pair).ties, said(pair).unique_best) == ((), True)
    third = {**pair, arm("focal", 1.0): [value - gap for value, gap in zip(lower, gaps[::-1], strict=True)]}
    assert "cefl2(gamma=1)" in (said(third).ties or ())
    twice = replace(protocol(pair), looks=(5, 5))
    found = confirm(confirmed(pair), twice, OBJECTIVE, {})
    assert found is not None
    assert (found.ties, found.unique_best) == (("cefl2(gamma=1)",), False)


def test_the_arm_is_chosen_on_validation_and_reported_on_test() -> None:
    validation = {BASE: [0.7] * 5, A: [0.6] * 5, B: [0.65] * 5}
    found = said(validation=validation)
    assert found.winner.is_baseline
    assert found.winner.validation == pytest.approx(0.7)
    assert found.as_json()["mean"] == pytest.approx(statistics.fmean(SCORES[BASE]))
    assert found.beats_baseline is False, "cross-entropy does not beat itself"
    assert found.ties == ("cefl2(gamma=1)", "cefl(gamma=2)"), "none is shown to be worse than the choice"


def test_best_json_has_the_keys_of_a_search_and_says_test() -> None:
    record = said().as_json()
    before = best([trial()], OBJECTIVE)[0].as_json()
    assert list(record) == list(before)
    assert record == json.loads(json.dumps(record))
    assert record["split"] == "test"
    assert record["difference"] == pytest.approx(record["mean"] - record["baseline"])
    assert record["ci_low"] < record["mean"] < record["ci_high"]
    assert (record["n"], record["beats_baseline"], record["ties"]) == (5, True, ["cefl2(gamma=1)"])


def test_below_five_seeds_nothing_is_decided() -> None:
    found = said({each: values[:4] for each, values in SCORES.items()})
    assert found.beats_baseline is found.unique_best is found.ties is None
    assert all(each.p is None for each in found.arms)
    assert found.winner.test.low is not None, "an interval is no decision"
    assert found.undecided == "a decision needs 5 seeds, and there are 4"


def test_a_difference_without_deviation_is_never_decided() -> None:
    scores = {BASE: SCORES[BASE], A: [value + 0.02 for value in SCORES[BASE]]}
    found = said(scores)
    assert found.beats_baseline is found.unique_best is None
    assert found.ties == ("cross_entropy",)
    assert "same with every seed" in found.undecided


def test_every_look_is_paid_for_and_only_the_last_is_shown() -> None:
    ten = {each: [*values, *(value + 0.001 for value in values)] for each, values in SCORES.items()}
    once, twice, early = said(ten), said(ten, 5, 10), said(ten, 3, 10)
    p = {found.looks: found.winner.p for found in (once, twice)}
    assert p[2] == pytest.approx(2 * p[1])  # type: ignore[operator]
    assert early.looks == 1, "nothing could have been decided with three seeds"
    first = said(ten, 5)
    assert first.winner.test.n == 5, "seeds that were added wait for their look"
    assert first.seeds == (1000, 1001, 1002, 1003, 1004)


def test_before_the_first_look_nothing_is_said() -> None:
    waiting = replace(protocol(SCORES), looks=())
    assert confirm(confirmed(SCORES), waiting, OBJECTIVE, {}) is None
    assert confirm([], protocol(SCORES), OBJECTIVE, {}) is None


def test_an_arm_that_failed_with_a_seed_is_not_chosen_and_still_counts_as_a_test() -> None:
    scores = {**SCORES, A: [*SCORES[A][:4], None], arm("focal", 1.0): [None] * 5}
    found = said(scores)
    assert found.winner.arm == "cefl2(gamma=1)"
    shown = {each.arm: each for each in found.arms}
    assert shown["cefl(gamma=2)"].missing == 1
    assert shown["cefl(gamma=2)"].beats_baseline is None, "four common seeds"
    assert "focal(gamma=1)" not in shown
    raw = float(stats.ttest_rel(SCORES[B], SCORES[BASE]).pvalue)
    assert (found.tests, found.winner.p) == (3, pytest.approx(3 * raw))


def test_without_cross_entropy_nothing_is_beaten() -> None:
    found = said({**SCORES, BASE: [None] * 5})
    assert found.beats_baseline is None
    assert "cross-entropy has no result" in found.undecided
    assert found.as_json()["baseline"] is None


def test_the_doubt_of_the_images_widens_intervals_and_decides_nothing() -> None:
    images = predicted(confirmed(SCORES))
    narrow, wide = said(), said(images=images)
    assert wide.winner.test.h_seeds == narrow.winner.test.h_seeds
    assert wide.winner.test.h_images is not None
    assert wide.winner.test.half == pytest.approx(
        math.hypot(wide.winner.test.h_seeds or 0, wide.winner.test.h_images)
    )
    assert [each.p for each in wide.arms] == [each.p for each in narrow.arms]
    assert wide.winner.difference is not None
    assert wide.winner.difference.estimate.h_images is not None
    some = dict(list(images.items())[1:])
    assert said(images=some).baseline.test.h_images is None, "of a part of the seeds it is not known"  # type: ignore[union-attr]


def test_folds_are_pooled_to_choose() -> None:
    def matrix(right: int, wrong: int, images: int = 10) -> list[list[int]]:
        return [[right, wrong], [0, images]]

    trials = [
        replace(each, confusion={"val": matrix(*cut)})
        for each, cut in zip(
            confirmed({BASE: [0.6, 0.61], A: [0.6, 0.62]}), [(1, 0), (0, 3), (0, 1), (2, 1)], strict=True
        )
    ]
    scores = {BASE: [0.6, 0.61], A: [0.6, 0.62]}
    found = confirm(trials, protocol(scores, pooled=True), OBJECTIVE, {})
    assert found is not None
    pooled = {each.arm: each.validation for each in found.arms}
    assert pooled == {
        "cefl(gamma=2)": pytest.approx((2 / 4 + 1) / 2),
        "cross_entropy": pytest.approx((1 / 4 + 1) / 2),
    }
    assert found.pooled


def test_what_varied_says_what_the_statement_is_about() -> None:
    assert said().about == "recipe"
    assert said(imbalance=None, order=None).about == "data set"
    protocols = [replace(protocol(SCORES), fixed=fixed) for fixed in ("data", "training")]
    found = [confirm(confirmed(SCORES), each, OBJECTIVE, {}) for each in protocols]
    assert [each.about for each in found if each] == ["one draw", "one training"]


def test_search_trials_and_other_cells_are_left_out() -> None:
    trials = [*confirmed(SCORES), trial(score=0.99), trial(kind="confirm", cell="other", score=0.9)]
    found = confirmations(trials, {"cell": protocol(SCORES)}, OBJECTIVE, {})
    assert list(found) == ["cell"]
    assert found["cell"].winner.test.n == 5


def test_progress_counts_what_has_ended() -> None:
    trials = confirmed({**SCORES, A: [*SCORES[A][:4], None]})
    running = replace(trials[0], state="running")
    assert progress(trials, protocol(SCORES)) == (15, 15)
    assert progress([running, *trials[2:]], protocol(SCORES)) == (13, 15)


def test_recalls_carry_wilsons_doubt_with_the_images_of_the_class() -> None:
    matrices = [[[8, 2], [1, 29]], [[7, 3], [0, 30]]]
    scores = {BASE: [0.6, 0.61]}
    trials = [
        replace(each, confusion={"test": matrix}, classes=("rare", "common"), train_counts=(10, 500))
        for each, matrix in zip(confirmed(scores), matrices, strict=True)
    ]
    found = confirm(trials, protocol(scores), OBJECTIVE, {})
    assert found is not None
    common, rare = found.winner.recalls
    assert (rare.label, rare.train, rare.images, rare.mean) == ("rare", 10, 10, 0.75)
    z = stats.norm.ppf(0.975)
    centre, spread = (0.75 + z**2 / 20) / (1 + z**2 / 10), z / (1 + z**2 / 10)
    wilson_low = centre - spread * math.sqrt(0.75 * 0.25 / 10 + z**2 / 400)
    t_half = stats.t.ppf(0.975, 1) * statistics.stdev([0.8, 0.7]) / math.sqrt(2)
    assert rare.interval is not None
    assert rare.interval.low == pytest.approx(max(0, 0.75 - math.hypot(t_half, 0.75 - wilson_low)))
    assert common.label == "common"
    assert [each.label for each in found.winner.by_size] == ["many", "few"]
