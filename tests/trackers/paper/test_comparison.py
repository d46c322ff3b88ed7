"""A sweep beside the paper's tables: cells, verdicts of the contrasts, ranks, and what was not run."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from paper_trials import as_printed, trials_of
from synthetic_trials import trial
from test_per_class import matrix_of

from trackers.errors import ComparisonError
from trackers.paper.additive import matrix, residual_deviation
from trackers.paper.comparison import PaperComparison, compare_with_paper
from trackers.paper.contrasts import IN_SIZE, NOT_REPRODUCED, REPRODUCED, UNDECIDED
from trackers.paper.measured import Compared
from trackers.paper.page import files, tables_of
from trackers.paper.printed import PaperTable, paper_table
from trackers.paper.ranking import alike_ceiling, family_of, simulated_ceiling
from trackers.paper.wording import cells_table, check_lines, contrasts_note, contrasts_table, rank_sentence
from trackers.table import TrialResult

TEN = tuple("abcdefghij")
TABLE2, TABLE3 = paper_table("table2"), paper_table("table3")


def beside(name: str, trials: list[TrialResult], **more: Any) -> PaperComparison:
    return compare_with_paper("mine", name, trials, **more)


def cell(comparison: PaperComparison, arm: str, along: float | str, metric: str = "accuracy") -> Compared:
    (found,) = (
        each
        for each in comparison.measured.cells
        if (each.printed.arm, each.printed.along, each.printed.metric) == (arm, along, metric)
    )
    return found


def verdicts(comparison: PaperComparison) -> list[str]:
    return [each.verdict for each in comparison.contrasts]


@pytest.fixture(scope="module")
def repeated() -> PaperComparison:
    """Five seeds of everything, whose truth is what the paper prints."""
    return beside("table2", trials_of(TABLE2))


def test_a_cell_holds_mean_deviation_and_n_beside_the_printed_value() -> None:
    trials = [
        trial(
            dataset="cifar10", imbalance=50.0, model="resnet18", depth=18, loss="focal", seed=seed,
            params={"alpha": 0.75, "gamma": 2.0}, metrics={"test/accuracy": share}, classes=TEN,
        )
        for seed, share in enumerate((0.74, 0.76, 0.78))
    ]  # fmt: skip
    comparison = beside("table2", trials)
    found = cell(comparison, "focal(alpha=0.75, gamma=2)", 50)
    assert (found.printed.value, found.n) == (75.25, 3)
    assert (found.mean, found.std) == (pytest.approx(76.0), pytest.approx(2.0))
    assert found.difference == pytest.approx(0.75)
    assert comparison.run == 1
    assert sum(1 for row in cells_table(comparison).rows if row[4] == "not run") == 104 + 15


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "failed"}, {"imbalance": 20.0}, {"depth": 20, "model": "resnet20"}, {"loss": "cefl2"},
        {"params": {"gamma": 1.5}}, {"metrics": {"val/accuracy": 0.5}},
    ],
)  # fmt: skip
def test_what_differs_in_anything_is_of_another_cell(changes: dict[str, Any]) -> None:
    right: dict[str, Any] = {
        "dataset": "cifar10", "imbalance": 10.0, "model": "resnet18", "depth": 18, "loss": "cefl",
        "params": {"gamma": 1.0}, "metrics": {"test/accuracy": 0.5}, "classes": TEN,
    }  # fmt: skip
    other = trial(**{**right, "loss": "cross_entropy", "params": {}})
    assert cell(beside("table2", [other, trial(**right)]), "cefl(gamma=1)", 10).n == 1
    assert cell(beside("table2", [other, trial(**{**right, **changes})]), "cefl(gamma=1)", 10).n == 0


def test_balanced_data_as_they_are_stand_for_imbalance_1() -> None:
    given = trial(
        dataset="cifar10", imbalance=None, order=None, model="resnet18", depth=18, classes=TEN,
        train_counts=(5000,) * 10, metrics={"test/accuracy": 0.93},
    )  # fmt: skip
    assert cell(beside("table2", [given]), "cross_entropy", 1).mean == pytest.approx(93.0)


def test_the_printed_contrasts_and_their_errors_are_those_of_the_tables(repeated: PaperComparison) -> None:
    other = beside("table3", trials_of(TABLE3, seeds=1))
    printed = [each.printed for each in (*repeated.contrasts, *other.contrasts)]
    assert printed == pytest.approx([2.47, 2.75, 1.37, 3.21, 3.39, 0.88], abs=0.006)
    errors = [each.printed_se for each in (*repeated.contrasts, *other.contrasts)]
    assert errors == pytest.approx([0.32, 0.32, 0.28, 0.18, 0.18, 0.154], abs=0.006)


def test_a_repetition_of_the_paper_is_reproduced_in_size(repeated: PaperComparison) -> None:
    assert verdicts(repeated) == [IN_SIZE] * 3
    for each in repeated.contrasts:
        assert each.seeds == (0, 1, 2, 3, 4)
        assert each.places == (10, 20, 50, 100, 200, 500)
        assert each.mean == pytest.approx(each.printed, abs=0.5)
        assert each.interval is not None
        assert each.interval.low > 0
        assert each.p is not None
        assert each.p < 0.05
    assert repeated.run == 105
    assert repeated.measured.conditions == ()


def test_the_contrast_of_a_seed_is_its_mean_over_imbalances_and_gamma() -> None:
    trials = trials_of(TABLE2, seeds=5)
    share = {(t.arm, t.imbalance, t.seed): 100 * t.metrics["test/accuracy"] for t in trials}
    rhos = (10, 20, 50, 100, 200, 500)
    expected = [
        np.mean([share[f"cefl(gamma={gamma})", rho, seed] for rho in rhos for gamma in (1, 2, 5)])
        - np.mean([share["cross_entropy", rho, seed] for rho in rhos])
        for seed in range(5)
    ]
    found = beside("table2", trials).contrasts[0]
    assert found.mean == pytest.approx(np.mean(expected))
    assert found.std == pytest.approx(np.std(expected, ddof=1))


def gain(share: float) -> Any:
    """The paper's cells with another size of what its losses gain over cross-entropy."""
    base = {c.along: as_printed(c) for c in TABLE2.cells if c.loss == "cross_entropy"}
    return lambda c: base[c.along] + share * (as_printed(c) - base[c.along])


@pytest.mark.parametrize(
    ("share", "expected"), [(1.0, IN_SIZE), (3.0, REPRODUCED), (0.0, NOT_REPRODUCED), (-1.0, NOT_REPRODUCED)]
)
def test_verdicts_follow_the_true_gain(share: float, expected: str) -> None:
    trials = trials_of(TABLE2, seeds=6, truth=gain(share), deviation=0.3)
    assert verdicts(beside("table2", trials))[:2] == [expected] * 2


def test_a_gain_above_0_but_below_half_says_so() -> None:
    found = beside("table2", trials_of(TABLE2, seeds=6, truth=gain(0.3), deviation=0.2)).contrasts[0]
    assert (found.verdict, found.reason) == (REPRODUCED, "but less than half the printed")


def test_between_0_and_half_the_printed_is_undecided_when_the_noise_is_large() -> None:
    found = beside("table2", trials_of(TABLE2, seeds=5, truth=gain(0.25), deviation=5.0)).contrasts[0]
    assert found.verdict == UNDECIDED
    assert found.reason.startswith("neither above 0")


def test_four_seeds_decide_nothing() -> None:
    found = beside("table2", trials_of(TABLE2, seeds=4)).contrasts
    assert {(each.verdict, each.reason) for each in found} == {(UNDECIDED, "n = 4 of at least 5 seeds")}


def test_seeds_that_do_not_differ_decide_nothing() -> None:
    found = beside("table2", trials_of(TABLE2, deviation=0.0)).contrasts
    assert {(each.verdict, each.reason) for each in found} == {(UNDECIDED, "the seeds do not differ")}


def test_one_imbalance_alone_is_undecided_and_told_with_what_is_printed_for_it() -> None:
    comparison = beside("table2", trials_of(TABLE2, places=(100,)))
    found = comparison.contrasts[0]
    assert (found.verdict, found.reason) == (
        UNDECIDED, "partial: not run are imbalance 10, 20, 50, 200, 500",
    )  # fmt: skip
    assert found.places == (100,)
    assert found.printed_here == pytest.approx((70.51 + 67.42 + 68.17) / 3 - 65.59)
    assert found.mean == pytest.approx(found.printed_here, abs=1.5)
    assert "CEFL - cross-entropy +3.11" in contrasts_note(comparison)


def test_a_gamma_that_was_not_run_makes_a_contrast_partial() -> None:
    trials = [each for each in trials_of(TABLE2) if each.arm != "cefl2(gamma=5)"]
    found = beside("table2", trials).contrasts
    assert [each.verdict for each in found] == [IN_SIZE, UNDECIDED, IN_SIZE]
    assert found[1].reason == "partial: not run are cefl2(gamma=5)"


def test_a_seed_that_lacks_one_trial_is_left_out_of_the_contrast() -> None:
    trials = trials_of(TABLE2, seeds=6)
    without = [each for each in trials if (each.arm, each.imbalance, each.seed) != ("cefl(gamma=2)", 20, 3)]
    found = beside("table2", without).contrasts
    assert [each.seeds for each in found] == [(0, 1, 2, 4, 5), (0, 1, 2, 3, 4, 5), (0, 1, 2, 4, 5)]


def test_a_contrast_without_any_trial_is_not_run() -> None:
    found = beside("table2", [each for each in trials_of(TABLE2) if each.loss == "focal"]).contrasts
    assert {(each.verdict, each.reason, each.mean) for each in found} == {(UNDECIDED, "not run", None)}


def test_table_4_is_compared_over_depths_by_both_metrics_without_the_lost_cell() -> None:
    comparison = beside("table4-mushroom", trials_of(paper_table("table4-mushroom"), deviation=0.1))
    by_name = {(each.claim.name, each.claim.metric): each for each in comparison.contrasts}
    assert len(by_name) == 6
    assert by_name["CEFL2 - cross-entropy", "accuracy"].places == (18, 50, 101)
    assert by_name["CEFL - cross-entropy", "macro_f1"].places == (18, 34, 50, 101)
    assert {each.verdict for each in comparison.contrasts} == {IN_SIZE}
    assert comparison.averages == ()


def test_table_5_is_compared_class_by_class() -> None:
    names = tuple(str(place) for place in paper_table("table5").places)
    trials = [
        trial(
            dataset="mushrooms", imbalance=None, order=None, model="resnet101", depth=101, pretrained=True,
            epochs=100, loss=loss, params=params, confusion={"test": matrix_of(loss)}, classes=names,
            train_counts=(2906, *(1,) * 8),
        )
        for loss, params in (("cross_entropy", {}), ("cefl", {"gamma": 2.0}))
    ]  # fmt: skip
    comparison = beside("table5", trials)
    assert comparison.run == 2 * 9 * 3
    gaps = [each.difference for each in comparison.measured.cells if each.difference is not None]
    assert max(map(abs, gaps)) < 0.011
    assert cell(comparison, "cefl(gamma=2)", "Agaricus", "precision").mean == pytest.approx(89.92, abs=0.005)
    assert comparison.contrasts == comparison.rankings == ()
    assert "no contrast" in contrasts_note(comparison)
    assert [table.name for table in tables_of(comparison)] == ["paper-table5"]


def test_another_model_stands_in_only_when_it_is_named_and_is_told() -> None:
    trials = trials_of(TABLE2, places=(100,), depth=20)
    strict = beside("table2", trials)
    assert strict.run == 0
    assert "resnet20" in strict.measured.notes[0]
    named = beside("table2", trials, model="resnet20")
    assert named.run == 15
    assert named.measured.conditions == ("The model is resnet20, in the paper ResNet-18.",)
    with pytest.raises(ComparisonError, match="no complete trial of model 'resnet8'; there are resnet20"):
        beside("table2", trials, model="resnet8")
    with pytest.raises(ComparisonError, match="compares depths"):
        beside("table4-crop", trials, model="resnet20")


def test_conditions_tell_what_was_trained_otherwise() -> None:
    trials = [
        replace(each, epochs=30, order="descending", pretrained=True, train_counts=(12_306, *(0,) * 9))
        for each in trials_of(TABLE2, places=(100,))
    ]
    comparison = beside("table2", trials, conditions=lambda name: [f"Recipe of {name}: rate 0.1."])
    assert comparison.measured.conditions == (
        "The networks are pretrained, in the paper they are not.",
        "The last class is the rarest, in the paper the first.",
        "Trained for 30 epochs, in the paper 100.",
        "Trained at imbalance 100 on 12,306 images, in the paper on 12,406.",
        "Recipe of cifar10: rate 0.1.",
    )


def test_trials_like_the_papers_come_before_others() -> None:
    like = trials_of(TABLE2, places=(100,))
    other = [replace(each, pretrained=True, seed=each.seed + 50) for each in like]
    comparison = beside("table2", [*other, *like])
    assert comparison.measured.conditions == ()
    assert set(cell(comparison, "cross_entropy", 100).by_seed) == {0, 1, 2, 3, 4}


def test_a_data_set_of_another_name_is_taken_by_its_classes_and_told_and_none_is_refused() -> None:
    trials = [replace(each, dataset="photos") for each in trials_of(TABLE2, places=(100,))]
    assert "photos" in beside("table2", trials).measured.notes[0]
    with pytest.raises(ComparisonError, match=r"photos \(10 classes\)"):
        beside("table3", trials)
    with pytest.raises(ComparisonError, match="two data sets|photos"):
        beside("table2", [*trials, *(replace(each, dataset="more") for each in trials)])


def test_a_data_set_that_lost_its_empty_classes_is_compared_and_it_is_told() -> None:
    trials = trials_of(paper_table("table4-crop"), seeds=1)
    fewer = [replace(each, classes=each.classes[:59]) for each in trials]
    comparison = beside("table4-crop", fewer)
    assert comparison.run == beside("table4-crop", trials).run > 0
    assert comparison.measured.conditions == ("It has 59 classes, in the paper 61.",)
    assert comparison.measured.notes == ()
    with pytest.raises(ComparisonError, match=r"crop-disease \(1 classes\)"):
        beside("table4-crop", [replace(each, classes=each.classes[:1]) for each in trials])


def test_what_is_pasted_elsewhere_carries_its_conditions_and_numbers_that_can_be_read() -> None:
    trials = [replace(each, epochs=30) for each in trials_of(TABLE2, depth=20)]
    comparison = beside("table2", trials, model="resnet20")
    written = files(comparison, "2026-01-02")
    for end in ("md", "tex"):
        text = written[f"tables/paper-table2-contrasts.{end}"]
        assert "The model is resnet20, in the paper ResNet-18." in text
        assert "Trained for 30 epochs, in the paper 100." in text
    rows = list(csv.DictReader(io.StringIO(written["tables/paper-table2-contrasts.csv"])))
    for row, each in zip(rows, comparison.contrasts, strict=True):
        assert each.interval is not None
        names = ("Measured", "Low", "High", "p of no difference", "p of half the printed")
        bounds = (each.interval.low, each.interval.high)
        assert [float(row[name]) for name in names] == [each.mean, *bounds, each.p, each.p_half]
    assert [each["p_half"] for each in comparison.as_json()["contrasts"]] == [
        each.p_half for each in comparison.contrasts
    ]
    assert contrasts_table(comparison).note.endswith("doi 10.1109/ACCESS.2020.2991237.")


def test_averages_are_over_the_seeds_that_have_every_imbalance(repeated: PaperComparison) -> None:
    first = repeated.averages[0]
    assert (first.arm, first.printed, first.compared.n) == ("cross_entropy", 68.85, 5)
    assert first.compared.mean == pytest.approx(68.85, abs=0.5)


def test_ranks_stand_beside_their_ceiling(repeated: PaperComparison) -> None:
    (ranking,) = repeated.rankings
    assert (len(ranking.arms), ranking.n) == (15, 5)
    assert ranking.correlation is not None
    assert ranking.ceiling is not None
    assert ranking.ceiling_low is not None
    assert ranking.ceiling_low <= ranking.ceiling < 1
    assert ranking.correlation > ranking.ceiling_low
    text = rank_sentence(ranking, "imbalance")
    assert f"Spearman {ranking.correlation:.2f} over 15 losses" in text
    assert f"about {ranking.ceiling:.2f} [{ranking.ceiling_low:.2f}" in text
    assert f"and {ranking.alike:.2f} [{ranking.alike_low:.2f}" in text


def test_fewer_than_three_losses_have_no_rank_correlation() -> None:
    some = [each for each in trials_of(TABLE2) if each.arm in ("cross_entropy", "cefl(gamma=1)")]
    (ranking,) = beside("table2", some).rankings
    assert ranking.correlation is None
    assert "no correlation" in rank_sentence(ranking, "imbalance")


def test_the_ceiling_is_the_correlation_of_simulated_repetitions() -> None:
    """One seed: the paper against itself again, drawn here from the same model without families."""
    arms, columns, values = matrix(TABLE2, "accuracy")
    cells = {each.arm: each for each in TABLE2.cells}
    means, deviation = values.mean(axis=1), residual_deviation(TABLE2, "accuracy")
    alone = [str(index) for index in range(len(arms))]  # a family each: nothing is drawn towards a mean
    ceiling, low, high = simulated_ceiling(means, alone, deviation, len(columns), 1)
    random = np.random.default_rng(7)
    noise = np.sqrt(2 * deviation**2 / len(columns))
    ranks = np.argsort(np.argsort(means + random.normal(0, noise, (4000, len(arms))), axis=1), axis=1)
    printed = np.argsort(np.argsort(means))
    found = [np.corrcoef(printed, row)[0, 1] for row in ranks]
    assert (ceiling, low, high) == pytest.approx(np.quantile(found, (0.5, 0.025, 0.975)), abs=0.01)
    families = [family_of(cells[arm]) for arm in arms]
    drawn = [simulated_ceiling(means, families, deviation, len(columns), seeds)[0] for seeds in (1, 3, 20)]
    assert drawn == sorted(drawn)
    assert drawn[0] < ceiling


@pytest.mark.parametrize(("table", "expected"), [(TABLE2, 0.81), (TABLE3, 0.81)])
def test_the_ceiling_is_lower_where_losses_of_a_name_are_alike(table: PaperTable, expected: float) -> None:
    arms, columns, values = matrix(table, "accuracy")
    losses = {each.arm: each.loss for each in table.cells}
    families = {each.arm: family_of(each) for each in table.cells}
    means, deviation = values.mean(axis=1), residual_deviation(table, "accuracy")
    found, low, high = alike_ceiling(means, [losses[arm] for arm in arms], deviation, len(columns), 3)
    assert found == pytest.approx(expected, abs=0.015)
    assert low < found < high
    above, *_ = simulated_ceiling(means, [families[arm] for arm in arms], deviation, len(columns), 3)
    assert above > found
    random, repeated = np.random.default_rng(3), []
    truth = np.array([means[[losses[other] == losses[arm] for other in arms]].mean() for arm in arms])
    for _ in range(2000):
        noise = random.normal(0, deviation, (2, len(arms))) / np.sqrt([[len(columns)], [3 * len(columns)]])
        one, other = np.argsort(np.argsort(truth + noise, axis=1), axis=1)
        repeated.append(np.corrcoef(one, other)[0, 1])
    assert found == pytest.approx(np.median(repeated), abs=0.015)


def test_the_files_are_a_page_and_tables_that_ask_for_nothing(repeated: PaperComparison) -> None:
    written = files(repeated, "2026-01-02")
    assert sorted(written) == sorted(
        ["paper-table2.html"]
        + [f"tables/paper-table2{part}.{end}" for part in ("", "-contrasts") for end in ("md", "tex", "csv")]
    )
    page = written["paper-table2.html"]
    assert "http" not in page.replace("http-equiv", "")
    assert page.count("reproduced in size") == 3
    assert "Spearman" in page
    assert len(written["tables/paper-table2.csv"].splitlines()) == 1 + 105 + 15


def test_hostile_names_stay_text_on_the_page() -> None:
    name = "<img src=x onerror=alert(1)>"
    trials = [replace(each, dataset=name) for each in trials_of(TABLE2, places=(100,))]
    page = files(beside("table2", trials), name)["paper-table2.html"]
    assert "<img" not in page
    assert "&lt;img" in page


def test_as_json_every_cell_has_its_doubt() -> None:
    comparison = beside("table4-crop", trials_of(paper_table("table4-crop"), seeds=1))
    values = comparison.as_json()
    assert list(values) == [
        "table", "doi", "unit", "sweep", "dataset", "conditions", "notes", "run", "cells", "averages",
        "contrasts", "ranks", "inconsistencies",
    ]  # fmt: skip
    assert sum(1 for each in values["cells"] if each["doubt"]) == 4
    found = {line[0]: line[2] for line in check_lines(comparison)}
    assert found["accuracy is a whole number of images"][0] == (
        "focal(alpha=0.25, gamma=2), ResNet-18, accuracy: 81.44% of 4,540 is 3,697.38 images"
    )
