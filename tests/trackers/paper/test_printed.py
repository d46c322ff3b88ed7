"""The paper's tables as values, and what arithmetic finds in them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from trackers.errors import ComparisonError
from trackers.paper.additive import residual_deviation
from trackers.paper.doubts import Check, checks, doubts, is_share_of
from trackers.paper.printed import (
    NAMES,
    PaperTable,
    class_counts,
    paper_table,
    printed_averages,
)


def value(table: str, arm: str, along: float | str, metric: str) -> float | None:
    (found,) = (
        cell.value
        for cell in paper_table(table).cells
        if (cell.arm, cell.along, cell.metric) == (arm, along, metric)
    )
    return found


def check(table: PaperTable, rule: str) -> Check:
    (found,) = (each for each in checks(table) if rule in each.rule)
    return found


def changed(table: PaperTable, index: int, printed: float) -> PaperTable:
    cells = list(table.cells)
    cells[index] = replace(cells[index], value=printed)
    return replace(table, cells=tuple(cells))


def test_cells_stand_where_the_paper_prints_them() -> None:
    assert value("table2", "cross_entropy", 100, "accuracy") == 65.59
    assert value("table2", "focal(alpha=0.75, gamma=5)", 500, "accuracy") == 50.37
    assert value("table3", "cefl2(gamma=5)", 1, "accuracy") == 73.89
    assert value("table4-crop", "cefl2(gamma=2)", 101, "macro_f1") == 68.43
    assert value("table4-mushroom", "focal(alpha=1, gamma=0.5)", 18, "accuracy") == 62.19
    assert value("table4-mushroom", "cefl2(gamma=2)", 34, "accuracy") is None
    assert value("table5", "cefl(gamma=2)", "Agaricus", "precision") == 89.92


@pytest.mark.parametrize(
    ("name", "cells", "arms"),
    [("table2", 105, 15), ("table3", 105, 15), ("table4-crop", 56, 7), ("table4-mushroom", 56, 7),
     ("table5", 108, 4)],
)  # fmt: skip
def test_every_cell_stands_once(name: str, cells: int, arms: int) -> None:
    table = paper_table(name)
    assert len({cell.key for cell in table.cells}) == len(table.cells) == cells
    assert len(table.arms) == arms


def test_an_unknown_table_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        ComparisonError, match="table2, table3, table4-crop, table4-mushroom, table5, but got 'table6'"
    ):
        paper_table("table6")


def test_the_averages_of_tables_2_and_3_are_those_of_their_rows() -> None:
    assert printed_averages("table2")["cefl(gamma=1)"] == 71.78
    for name in ("table2", "table3"):
        table = paper_table(name)
        assert check(table, "the average").findings == ()
        wrong = check(changed(table, 1, 84.0), "the average").findings
        assert [each.text.split(":")[0] for each in wrong] == ["cross_entropy"]


def test_a_rise_with_the_imbalance_is_found() -> None:
    table = paper_table("table2")
    assert check(table, "falls").findings == ()
    (found,) = check(changed(table, 2, 85.0), "falls").findings
    assert found.cell is not None
    assert (found.cell.arm, found.cell.along) == ("cross_entropy", 20)


def test_the_realised_imbalance_of_cifar_100_at_200_is_250() -> None:
    assert check(paper_table("table2"), "imbalance is").findings == ()
    (found,) = check(paper_table("table3"), "imbalance is").findings
    assert "ratio of 250" in found.text


def test_alpha_matters_in_table_2_and_not_in_table_3() -> None:
    (found,) = check(paper_table("table2"), "alpha").findings
    assert "+0.62 points" in found.text
    assert check(paper_table("table3"), "alpha").findings == ()


@pytest.mark.parametrize(("percent", "images", "possible"), [
    (50.0, 2, True), (33.33, 3, True), (66.67, 3, True), (66.66, 3, True), (66.68, 3, False),
    (62.45, 2700, False), (62.63, 2700, True), (81.44, 4540, False), (80.51, 4540, True),
])  # fmt: skip
def test_a_percentage_is_a_whole_number_of_images_or_not(percent: float, images: int, possible: bool) -> None:
    assert is_share_of(percent, images) == possible


def test_accuracies_that_no_number_of_images_gives_are_found() -> None:
    assert len(check(paper_table("table4-crop"), "whole number").findings) == 4
    assert len(check(paper_table("table4-mushroom"), "whole number").findings) == 12


def test_tables_4_and_5_disagree_about_two_accuracies() -> None:
    for name in ("table4-mushroom", "table5"):
        texts = [each.text for each in check(paper_table(name), "same figures").findings]
        assert texts == [
            "cefl(gamma=2): accuracy is 67.34 in Table 4 and 67.37 by Table 5",
            "cefl2(gamma=2): accuracy is 67.02 in Table 4 and 67.07 by Table 5",
        ]


def test_five_f1_of_table_5_are_not_those_of_their_counts() -> None:
    found = check(paper_table("table5"), "whole numbers").findings
    assert len(found) == 5
    assert {each.cell.metric for each in found if each.cell} == {"f1"}
    assert check(paper_table("table5"), "predicted once").findings == ()
    assert sum(each.support for each in class_counts()) == 4 * 2700


def test_the_lost_cell_is_named_beside_its_other_doubts() -> None:
    found = doubts(paper_table("table4-mushroom"))
    assert found[None, 34, "cefl2(gamma=2)", "accuracy", None] == "lost in the source"
    both = found[None, 101, "cefl(gamma=2)", "accuracy", None]
    assert "1,818.18 images" in both
    assert "Table 5" in both


def test_the_deviation_by_chance_is_that_of_twelve_rows() -> None:
    """0.68 and 0.38 points, from which the standard errors of the printed contrasts follow."""
    assert residual_deviation(paper_table("table2"), "accuracy") == pytest.approx(0.68, abs=0.005)
    assert residual_deviation(paper_table("table3"), "accuracy") == pytest.approx(0.38, abs=0.005)
    assert "2 of 2,700 images" in check(paper_table("table4-mushroom"), "by chance").findings[0].text


def test_every_check_says_its_rule_and_how_it_was_made() -> None:
    for name in NAMES:
        found = checks(paper_table(name))
        assert found
        assert all(each.rule and each.how and "{" not in each.how for each in found)
