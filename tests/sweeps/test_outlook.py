"""How large a difference a confirmation can show, by the spread that was seen."""

from __future__ import annotations

import math
import statistics
from pathlib import Path
from typing import Any

import pytest

from sweeps.outlook import outlook, pooled_deviation
from sweeps.plan import Plan, build_plan
from sweeps.protocol import Arm, Confirming, Fixed, confirming_seeds
from sweeps.snapshot import LedgerRow
from sweeps.spec import load_spec, load_text
from trackers.power import USUAL_DEVIATION, detectable_difference

BASE, ARM = ("cross_entropy",), ("cefl", ("gamma", 1.0))


@pytest.fixture
def plan(small_spec: Path, tmp_path: Path) -> Plan:
    small_spec.write_text(small_spec.read_text() + "confirm: {top: 2, seeds: 4}\n")
    return build_plan(load_spec(str(small_spec)), tmp_path / "data")


def row(plan: Plan, loss: str, seed: int, value: float, kind: str = "point", **params: float) -> LedgerRow:
    attrs: dict[str, Any] = {"key": "k", "kind": kind, "loss": loss, "params": params, "seed": seed}
    return LedgerRow(0, f"small/{plan.cells[0].name}/{loss}", 0, "complete", attrs, value)


def test_the_spread_is_pooled_over_the_paired_differences_of_all_arms() -> None:
    scores = {
        BASE: {0: 0.60, 1: 0.61, 2: 0.59},
        ARM: {0: 0.63, 1: 0.62, 2: 0.63},
        ("focal",): {0: 0.61, 1: 0.64},
    }
    variances = [statistics.variance([0.03, 0.01, 0.04]), statistics.variance([0.01, 0.03])]
    assert pooled_deviation(scores) == pytest.approx(math.sqrt(statistics.fmean(variances)))
    assert pooled_deviation({BASE: {0: 0.6}, ARM: {0: 0.7}}) is None
    assert pooled_deviation({ARM: {0: 0.6, 1: 0.7}}) is None, "no cross-entropy"
    assert pooled_deviation({BASE: {0: 0.6, 1: 0.6}, ARM: {0: 0.7, 1: 0.7}}) is None, "no deviation"


def test_where_nothing_was_seen_the_usual_spread_is_taken_and_named(plan: Plan) -> None:
    view = outlook(plan, [], None)
    assert view is not None
    (cell,) = view["cells"]
    assert (cell["arms"], cell["trials"], view["seeds"]) == (2, 12, 4)
    assert cell["source"] == "usual on imbalanced CIFAR-10"
    assert list(cell["detectable"]) == ["4", "5", "10", "20"]
    expected = 100 * USUAL_DEVIATION * detectable_difference(5, 2)
    assert cell["detectable"]["5"] == pytest.approx(expected, abs=0.01)


def test_what_the_search_and_then_the_confirmation_saw_counts(plan: Plan) -> None:
    search = [
        row(plan, "cross_entropy", 0, 0.60), row(plan, "cross_entropy", 1, 0.60),
        row(plan, "cefl", 0, 0.61, gamma=1.0), row(plan, "cefl", 1, 0.63, gamma=1.0),
    ]  # fmt: skip
    view = outlook(plan, search, None)
    assert view is not None
    assert view["cells"][0]["source"] == "search"
    assert view["cells"][0]["spread"] == pytest.approx(100 * statistics.stdev([0.01, 0.03]), abs=1e-3)
    more = [
        row(plan, loss, seed, value, "confirm", **params)
        for loss, seed, value, params in (
            ("cross_entropy", 1000, 0.6, {}), ("cross_entropy", 1001, 0.6, {}),
            ("cefl", 1000, 0.61, {"gamma": 1.0}), ("cefl", 1001, 0.615, {"gamma": 1.0}),
        )
    ]  # fmt: skip
    begun = Confirming(
        (1000, 1001), {plan.cells[0].name: Fixed((Arm("cefl", {"gamma": 1.0}), Arm("c", {})), None)}
    )
    view = outlook(plan, [*search, *more], begun)
    assert view is not None
    assert (view["cells"][0]["source"], view["cells"][0]["arms"], view["started"]) == ("confirmation", 1, 4)
    assert view["cells"][0]["spread"] == pytest.approx(100 * statistics.stdev([0.01, 0.015]), abs=1e-3)


def test_without_a_confirmation_there_is_no_outlook(small_spec: Path, tmp_path: Path) -> None:
    assert outlook(build_plan(load_spec(str(small_spec)), tmp_path / "data"), [], None) is None


@pytest.mark.parametrize(
    ("more", "count", "before", "expected"),
    [
        ("", 3, (), (1000, 1001, 1002)),
        ("", 5, (1000, 1001), (1000, 1001, 1002, 1003, 1004)),
        ("", 2, (1000, 1001, 1002), (1000, 1001, 1002)),
        ("seeds: [0, 1001]\n", 3, (), (1000, 1002, 1003)),
        ("confirm: {validation: {folds: 3}}\n", 3, (), (1002, 1003, 1004)),
        ("confirm: {validation: {folds: 3}}\nseeds: [1003]\n", 4, (), (1005, 1006, 1007, 1008)),
    ],
)
def test_seeds_are_those_that_the_search_does_not_use_and_folds_come_in_whole_rounds(
    more: str,
    count: int,
    before: tuple[int, ...],
    expected: tuple[int, ...],
    small_spec: Path,
    tmp_path: Path,
) -> None:
    text = small_spec.read_text().replace("imbalance: 4", "imbalance: natural") + more
    plan = build_plan(load_text(text, "s.yaml", small_spec.parent), tmp_path / "data")
    assert confirming_seeds(count, before, plan) == expected
