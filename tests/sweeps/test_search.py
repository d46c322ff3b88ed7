"""What a search asks for, in which order, and what ends it."""

from __future__ import annotations

from pathlib import Path

import pytest
from simulated_training import DriverDied, Simulated, conductor_of, planned

from cefl.config import TrialConfig
from sweeps.budget import in_vain
from sweeps.conductor import Conductor
from sweeps.errors import InputError, SpecError
from sweeps.home import Home
from sweeps.ledger import Ledger
from sweeps.plan import Plan, interleaved
from sweeps.results import count_states
from sweeps.snapshot import LedgerRow, read_ledger
from sweeps.spec import load_text
from sweeps.spec.budget import Patience
from sweeps.state import Clock, extend, extended, read_state

SPEC = """
name: searched
data: {source: "npz:stripes.npz", imbalance: [4, 2]}
validation: {unused: 5}
depth: 8
losses: [cross_entropy, {loss: cefl, gamma: [1, 2]}]
study: {losses: cefl, gamma: [0, 5], asks: 4}
recipe: {preset: digits, batch_size: 16}
"""


@pytest.fixture
def home(home: Path) -> Home:
    return Home(home)


def test_of_seeds_given_apart_one_varies_and_shared_trials_keep_their_key(home: Home, stripes: Path) -> None:
    def points(seeds: str) -> list[tuple[int, int, str]]:
        plan = planned(home, SPEC + f"seeds: {seeds}\n", stripes.parent)
        return [
            (point.config.draws_data, point.config.draws_training, point.key)
            for point in plan.points
            if point.cell is plan.cells[0] and point.config.loss == "cross_entropy"
        ]

    assert [pair[:2] for pair in points("{data: [7], training: 2}")] == [(7, 0), (7, 1)]
    assert [pair[:2] for pair in points("{data: 2, training: [7]}")] == [(0, 7), (1, 7)]
    assert points("{data: [1], training: 2}")[1] == points("2")[1], "the same trial, trained once"


def by_gamma(config: TrialConfig, epoch: int) -> float:
    return 0.9 - 0.05 * abs(config.params.get("gamma", 0.0) - 3) + 0.001 * epoch


def train(home: Home, plan: Plan, slots: int = 1, seconds: float = 0.0) -> tuple[Simulated, str | None]:
    """Train what is left; the executor, and what ended it."""
    executor, conductor = Simulated(by_gamma, slots), conductor_of(home, plan, seconds)
    executor.run(conductor)
    assert conductor.exhausted
    return executor, conductor.ended_by


def rows_of(home: Home) -> list[LedgerRow]:
    return read_ledger(home.optuna_url, "searched")


def test_cells_take_turns_in_points_and_in_asks(home: Home, stripes: Path) -> None:
    executor, _ = train(home, planned(home, SPEC, stripes.parent))
    ratios = [config.imbalance for config in executor.order]
    assert ratios == [4, 2] * 7
    kinds = [row.attrs["kind"] for row in rows_of(home)]
    assert kinds == ["point"] * 6 + ["ask"] * 8, "points before asks"
    assert list(interleaved([[1, 2, 3], [], [4]])) == [1, 4, 2, 3]


def test_several_at_a_time_are_of_several_cells(home: Home, stripes: Path) -> None:
    conductor = conductor_of(home, planned(home, SPEC, stripes.parent))
    live = [conductor.next() for _ in range(14)]
    assert all(live), "asks do not wait for points to end: every slot is filled"
    assert [each.config.imbalance for each in live if each] == [4, 2] * 7


def test_trials_end_a_search_and_a_larger_budget_goes_on(home: Home, stripes: Path) -> None:
    def ended(budget: str) -> str | None:
        return train(home, planned(home, SPEC + f"budget: {budget}\n", stripes.parent), slots=3)[1]

    assert ended("{trials: 5}") == "trials: 5 of 5 were started"
    assert [row.state for row in rows_of(home)] == ["complete"] * 5, "what runs is finished"
    assert ended("{trials: 5}") is not None
    assert len(rows_of(home)) == 5
    assert ended("{trials: 9}") is not None
    assert len(rows_of(home)) == 9
    assert ended("{trials: 14}") is None, "all that was planned is done"
    assert len(rows_of(home)) == 14


def test_epochs_are_never_exceeded_and_what_stopped_trials_leave_is_used(home: Home, stripes: Path) -> None:
    text = SPEC.replace("asks: 4", "asks: 30").replace("[4, 2]", "4") + "budget: {epochs: 333}\n"
    executor, why = train(home, planned(home, text, stripes.parent), slots=4)
    spent = sum(13 if row.state == "pruned" else 20 for row in rows_of(home))
    assert 333 - 20 < spent <= 333
    assert spent < 20 * len(executor.order), "some were stopped early"
    assert why == f"epochs: {spent} of 333 were trained, and no trial of 20 fits"
    assert train(home, planned(home, text, stripes.parent))[1] == why, "counted from the ledger"


def test_epochs_of_a_dead_driver_count_once(home: Home, stripes: Path) -> None:
    plan = planned(home, SPEC + "budget: {epochs: 60}\n", stripes.parent)
    with pytest.raises(DriverDied):
        Simulated(by_gamma, slots=2, rows=25).run(conductor_of(home, plan))
    conductor = conductor_of(home, plan)
    assert conductor.account.epochs == 25
    Simulated(by_gamma).run(conductor)
    assert conductor.account.epochs == 60
    assert [row.state for row in rows_of(home)] == ["complete"] * 3


def test_a_trial_that_another_sweep_has_trained_since_its_driver_died_is_not_trained_again(
    home: Home, stripes: Path
) -> None:
    first = planned(home, SPEC, stripes.parent)
    second = planned(home, SPEC.replace("searched", "other"), stripes.parent)
    with pytest.raises(DriverDied):
        Simulated(by_gamma, rows=3).run(conductor_of(home, first))
    (begun,) = read_ledger(home.optuna_url, "searched")
    train(home, second)
    executor, _ = train(home, first)
    assert begun.attrs["key"] not in {config.key() for config in executor.order}
    row = next(row for row in read_ledger(home.optuna_url, "searched") if row.number == begun.number)
    assert (row.state, row.attrs["origin"]) == ("complete", "other")


def test_hours_of_all_drivers_count(home: Home, stripes: Path) -> None:
    plan = planned(home, SPEC + "budget: {hours: 2}\n", stripes.parent)
    assert train(home, plan, seconds=2 * 3600)[1] == "hours: it ran for 2.00 of 2"
    assert not rows_of(home)
    assert train(home, plan, seconds=1.9 * 3600)[1] is None


def test_the_time_of_a_driver_is_written_while_it_runs(
    home: Home, stripes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.create()
    clock = Clock(home, "searched", load_text(SPEC, "simulated.yaml", stripes.parent))
    clock.row(None, None)
    assert read_state(home, "searched").seconds == 0, "not after every epoch"
    monkeypatch.setattr("sweeps.state.BEAT_SECONDS", 0.0)
    clock.row(None, None)
    written = read_state(home, "searched").seconds
    assert written > 0
    clock.write("budget", "enough")
    state = read_state(home, "searched")
    assert (state.state, state.reason) == ("budget", "enough")
    assert written < state.seconds < 60


@pytest.mark.parametrize(
    ("ended", "over"),
    [
        ("p.5 a.6", False),
        ("p.5 a.6 a.6", False),
        ("p.5 a.6 a.6 a.6", True),
        ("p.5 a.4 a.4", True),
        ("p.5 a.4 a.52", False),
        ("p.5 a.4 a.51", True),
        ("p.6 p.4 p.4 p.5", False),
        ("p.6 p.4 p.4 a.5", False),
        ("p.5 a- a-", True),
        ("a- a-", False),
        ("p.3 a.4 a.4 p.5", True),
    ],
)
def test_two_asks_in_a_row_that_are_not_better_by_more_than_1_5_points_end_a_study(
    ended: str, over: bool
) -> None:
    """a: asked for, p: listed, -: stopped early or failed."""
    values = [(each[0] == "a", None if each[1] == "-" else float(each[1:])) for each in ended.split()]
    assert in_vain(values, Patience(trials=2, by=0.015)) == over


def test_a_study_without_patience_ends_alone(home: Home, stripes: Path) -> None:
    text = SPEC.replace("asks: 4", "asks: 40, pruner: none") + "budget: {patience: {trials: 6, by: 0.001}}\n"
    plan = planned(home, text, stripes.parent)
    _, why = train(home, plan)
    assert why == (
        "patience: the last 6 asks were not better by more than 0.1 points in"
        " stripes-rho4-resnet8/cefl, stripes-rho2-resnet8/cefl"
    )
    asked = [row for row in rows_of(home) if row.attrs["kind"] == "ask"]
    assert 12 <= len(asked) < 80
    again, _ = train(home, plan)
    assert not again.order, "patience is judged by the ledger"


def test_repetitions_are_free(home: Home, stripes: Path) -> None:
    plan = planned(home, SPEC + "budget: {trials: 1}\n", stripes.parent)
    train(home, plan)
    repeating = Conductor(plan, Ledger(home, "searched"), home, fresh=True)
    assert repeating.refusal() is not None
    assert repeating.next() is not None
    assert repeating.next() is None
    assert repeating.account.trials == 1


def test_more_asks_continue_the_studies(home: Home, stripes: Path) -> None:
    plan = planned(home, SPEC, stripes.parent)
    train(home, plan)
    more = extend(home, plan, 3)
    assert more.total == plan.total + 2 * 3
    train(home, more)
    asked = [row for row in rows_of(home) if row.attrs["kind"] == "ask"]
    assert len(asked) == 2 * 7
    draws = [(row.study, row.attrs["params"]["gamma"]) for row in asked]
    assert len(set(draws)) == len(draws), "no draw is repeated"
    again = extended(home, planned(home, SPEC, stripes.parent))
    assert [search.asks for search in again.searches] == [7, 7], "remembered without being asked for again"
    assert count_states(again, rows_of(home))["waiting"] == 0
    assert [search.asks for search in extend(home, plan, 1).searches] == [8, 8]


def test_more_asks_need_a_study(home: Home, stripes: Path) -> None:
    plan = planned(home, SPEC.replace("study:", "#"), stripes.parent)
    with pytest.raises(InputError, match=r"--asks: the specification has no `study`"):
        extend(home, plan, 3)


def test_a_budget_that_no_trial_fits_into_is_refused_with_its_line(home: Home, stripes: Path) -> None:
    with pytest.raises(SpecError, match=r"simulated.yaml:9: budget.epochs: .* 19 < 20"):
        planned(home, SPEC + "budget: {epochs: 19}\n", stripes.parent)
