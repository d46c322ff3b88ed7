"""By what a trial is scored, and which trials of another sweep can be scored so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from simulated_training import DriverDied, conductor_of, die, planned, row_of

from cefl.config import TrialConfig
from sweeps.conductor import Conductor
from sweeps.errors import InputError
from sweeps.files import read_json, write_json
from sweeps.history import score
from sweeps.home import Home
from sweeps.results import read_results
from sweeps.spec import load_text
from sweeps.state import CONDITIONS, check_comparable, write_spec

SPEC = """
name: first
data: {source: "npz:stripes.npz", imbalance: 4}
validation: {unused: 5}
depth: 8
losses: [cross_entropy]
recipe: {preset: digits, epochs: 5, milestones: [2, 3], batch_size: 16}
select: {split: validation, epoch: last}
"""
BY_TEST = SPEC.replace("first", "second").replace("split: validation", "split: test")
BY_TEST_CURVE = BY_TEST.replace("second", "curve").replace("epoch: last", "epoch: since_last_drop")
TESTED = {1: 0.1, 2: 0.2, 3: 0.3, 4: 0.4, 5: 0.6}


def row(config: TrialConfig, epoch: int) -> dict[str, Any]:
    """An epoch as a worker reports it, with the test metrics where it has evaluated them."""
    whole = row_of(0.5, epoch)
    if config.test_every_epoch or epoch == config.recipe.epochs:
        whole["metrics"]["test/balanced_accuracy"] = TESTED[epoch]
    return whole


def train(conductor: Conductor, until: int = 5) -> int:
    """Number of trials that were trained; with less than 5 epochs the driver dies in the first of them."""
    trained = 0
    while (trial := conductor.next()) is not None:
        trained += 1
        for epoch in range(1, until + 1):
            conductor.row(trial.ref, row(trial.config, epoch))
        if until < trial.config.recipe.epochs:
            die(conductor)
        conductor.ended(trial.ref)
    return trained


def test_the_mean_since_the_last_drop_needs_every_epoch_since() -> None:
    rows = [{"epoch": epoch, "metrics": {"test/accuracy": value}} for epoch, value in TESTED.items()]
    last: dict[str, Any] = {"metrics": {}, "epoch": 4}
    for_test = ("accuracy", "test")
    assert score(rows, *for_test, "last", (2, 3)) == 0.6
    assert score(rows, *for_test, "since_last_drop", (2, 3)) == 0.5
    assert score(rows, *for_test, "since_last_drop", ()) == 0.6, "nothing dropped"
    assert score([*rows[:3], last, rows[4]], *for_test, "since_last_drop", (2, 3)) is None
    assert score([*rows[:3], last, rows[4]], *for_test, "last", (2, 3)) == 0.6
    assert score(rows[4:], *for_test, "since_last_drop", (2, 3)) is None
    assert score(rows, "accuracy", "validation", "last", (2, 3)) is None


@pytest.fixture
def place(home: Path) -> Home:
    return Home(home)


def test_a_trial_that_was_tested_once_serves_the_last_epoch_alone(place: Home, stripes: Path) -> None:
    plans = [planned(place, text, stripes.parent) for text in (SPEC, BY_TEST, BY_TEST_CURVE)]
    assert [train(conductor_of(place, plan)) for plan in plans] == [1, 0, 1]
    found = [trial for plan in plans for trial in read_results(place, plan)]
    assert [(trial.state, trial.score, trial.origin) for trial in found] == [
        ("complete", 0.5, None), ("complete", 0.6, "first"), ("complete", 0.5, None),
    ]  # fmt: skip
    assert "test/balanced_accuracy" not in found[0].history[3]["metrics"], "what was there has not changed"
    again = planned(place, BY_TEST_CURVE.replace("curve", "again"), stripes.parent)
    assert train(conductor_of(place, again)) == 0
    assert [trial.score for trial in read_results(place, again)] == [0.5]


def test_epochs_without_test_metrics_of_an_interrupted_trial_are_not_gone_on_from(
    place: Home, stripes: Path
) -> None:
    with pytest.raises(DriverDied):
        train(conductor_of(place, planned(place, SPEC, stripes.parent)), until=4)
    plan = planned(place, BY_TEST_CURVE, stripes.parent)
    assert train(conductor_of(place, plan)) == 1
    assert [trial.score for trial in read_results(place, plan)] == [0.5]


def test_without_a_drop_there_is_no_mean_and_trials_are_shared(place: Home, stripes: Path) -> None:
    keys = {
        planned(place, text.replace("[2, 3]", "[]"), stripes.parent).points[0].key
        for text in (SPEC, BY_TEST_CURVE)
    }
    assert len(keys) == 1


def test_a_sweep_begun_when_such_trials_were_shared_is_not_gone_on_with(place: Home, stripes: Path) -> None:
    plan = planned(place, BY_TEST_CURVE, stripes.parent)
    write_spec(place, plan, load_text(BY_TEST_CURVE, "curve.yaml", stripes.parent))
    check_comparable(place, plan)
    path = place.sweep("curve") / CONDITIONS
    conditions = read_json(path)
    assert conditions["stripes-rho4-resnet8"].pop("test_curve_decides") is True
    write_json(path, conditions)
    with pytest.raises(InputError, match="test metrics of every epoch decide, which trials begun before"):
        check_comparable(place, plan)
