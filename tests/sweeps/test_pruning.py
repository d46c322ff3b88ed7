"""Early stopping: the rungs of a schedule, the pruner beside Optuna's own, and whole searches."""

from __future__ import annotations

import logging
import math
import shutil
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.pruners import SuccessiveHalvingPruner
from optuna.trial import FrozenTrial, TrialState
from simulated_training import DriverDied, Simulated, conductor_of, die, planned, row_of

from cefl.config import TrialConfig
from cefl.recipes import PRESETS, Recipe
from sweeps.conductor import Conductor
from sweeps.errors import SpecError
from sweeps.history import read_history
from sweeps.home import Home
from sweeps.pruning import RungHyperband, RungPruner, pruner_of
from sweeps.results import read_results
from sweeps.rungs import Rungs, rungs_of, standing
from sweeps.snapshot import read_ledger
from sweeps.spec.model import Select, Study

SPEC = """
name: searched
data: {source: "npz:stripes.npz", imbalance: 4}
validation: {unused: 5}
depth: 8
losses: [{loss: cefl, gamma: [1, 2]}]
study: {losses: cefl, gamma: [0, 5], asks: 5}
recipe: {preset: digits, batch_size: 16}
"""


def rungs(study: str, recipe: Recipe) -> tuple[int, ...]:
    values = {"losses": ["cefl"], "asks": 1} | dict(part.split("=") for part in study.split())
    numbers = {name: int(value) if str(value).isdigit() else value for name, value in values.items()}
    return rungs_of(Study.model_validate(numbers), recipe).epochs


def test_the_first_comparison_comes_after_the_first_drop() -> None:
    assert rungs("", PRESETS["cifar"]) == (65,)
    assert rungs("", PRESETS["digits"]) == (13,)
    assert rungs("", PRESETS["crop-disease"]) == (33,)
    assert rungs("", Recipe(epochs=30, batch_size=8, learning_rate=0.1)) == (15,), "half without a schedule"
    assert rungs("grace=4", PRESETS["cifar"]) == (4, 12, 36)
    assert rungs("grace=4 reduction=5", PRESETS["cifar"]) == (4, 20)
    assert rungs("", PRESETS["digits"].for_epochs(2)) == (), "too short to stop anyone"
    assert rungs("pruner=none", PRESETS["cifar"]) == ()


def test_the_mean_since_the_last_drop_is_compared_and_before_it_that_of_five_epochs() -> None:
    rows = [{"epoch": n, "metrics": {"val/accuracy": float(n)}} for n in range(1, 21)]
    select = Select(metric="accuracy")
    assert standing(rows, 13, select, (12, 16)) == 13
    assert standing(rows, 16, select, (12, 16)) == 14.5
    assert standing(rows, 18, select, (12, 16)) == 17.5
    assert standing(rows, 12, select, (12, 16)) == 10, "8 to 12"
    assert standing(rows, 3, select, ()) == 2, "all that there are"
    assert standing(rows, 21, select, ()) is None
    assert standing(rows, 13, Select(metric="macro_f1"), (12,)) is None
    assert standing([*rows[:8], *rows[9:]], 12, select, (12, 16)) is None, "a mean of other epochs"


def study_of(pruner: optuna.pruners.BasePruner) -> optuna.Study:
    return optuna.create_study(direction="maximize", pruner=pruner)


def reported(study: optuna.Study, values: dict[int, float]) -> list[bool]:
    """Whether a new trial would be stopped at each of its values."""
    trial = study.ask()
    answers = []
    for epoch, value in values.items():
        trial.report(value, epoch)
        answers.append(trial.should_prune())
    return answers


def test_it_decides_as_optuna_does_where_optuna_is_right() -> None:
    random = np.random.default_rng(0)
    ours, theirs = study_of(RungPruner((3, 9), 3)), study_of(SuccessiveHalvingPruner(3, 3))
    decisions = []
    for number in range(60):
        values = {3: float(random.normal()), 9: float(random.normal())}
        mine, other = reported(ours, values), reported(theirs, values)
        if (
            not other[0] and number >= 14
        ):  # Optuna notes the second rung of those alone that passed the first.
            decisions.append((mine[0], other[0]))
        elif number >= 4:
            decisions.append((mine[0], other[0]))
    assert {mine for mine, _ in decisions} == {True, False}
    assert [mine for mine, _ in decisions] == [other for _, other in decisions]


def test_nobody_is_stopped_before_five_values_stand_at_a_rung() -> None:
    study = study_of(RungPruner((2,), 3))
    falling = [reported(study, {2: value})[0] for value in (0.9, 0.8, 0.7, 0.6, 0.5, 0.95, 0.85, 0.92)]
    assert falling == [False] * 4 + [True, False, True, False]
    theirs = study_of(SuccessiveHalvingPruner(2, 3, bootstrap_count=4))
    assert reported(theirs, {2: 0.9})[0], "Optuna stops the first instead of sparing it"


def test_what_is_no_number_or_comes_late_counts_at_no_rung() -> None:
    study = study_of(RungPruner((2, 6), 3))
    for value in (0.1, 0.2, 0.3, 0.4):
        reported(study, {2: value})
    assert reported(study, {2: math.nan}) == [False], "the conductor tells it FAIL"
    assert reported(study, {5: 0.0}) == [False], "not a rung"
    assert reported(study, {2: 0.5}) == [False], "the best of five numbers"
    assert [trial.system_attrs for trial in study.trials] == [{}] * 7


def test_hyperband_compares_brackets_apart_and_each_from_its_own_rung() -> None:
    pruner = pruner_of(Rungs((1, 3, 9), 3, "hyperband", last=27))
    assert isinstance(pruner, RungHyperband)
    study = study_of(pruner)
    stopped: dict[int, set[int]] = {}
    for number in range(150):
        trial = study.ask()
        bracket = pruner._get_bracket_id(study, trial._cached_frozen_trial)
        for epoch in (1, 3, 9):
            trial.report(-float(number), epoch)
            if trial.should_prune():
                stopped.setdefault(bracket, set()).add(epoch)
                study.tell(trial, state=TrialState.PRUNED)
                break
    assert stopped == {0: {1}, 1: {3}, 2: {9}}, "every trial is worse than those before it"


@pytest.fixture
def home(home: Path) -> Home:
    return Home(home)


def by_gamma(config: TrialConfig, epoch: int) -> float:
    """Best at gamma 3; jumps at the drop in epoch 13."""
    return 0.9 - 0.05 * abs(config.params["gamma"] - 3) - (0.2 if epoch <= 12 else 0.0) + 0.001 * epoch


def falling(config: TrialConfig, epoch: int) -> float:
    """Every trial is worse than those before it: gamma decides nothing, the order of the first calls does."""
    return 0.9 - 0.01 * ORDER.setdefault(config.key(), len(ORDER))


ORDER: dict[str, int] = {}


def optuna_trials(home: Home) -> list[FrozenTrial]:
    (name,) = optuna.get_all_study_names(home.optuna_url)
    return optuna.load_study(study_name=name, storage=home.optuna_url).trials


def test_a_search_stops_asks_that_fall_behind_and_keeps_their_curves(home: Home, stripes: Path) -> None:
    ORDER.clear()
    plan = planned(home, SPEC, stripes.parent)
    conductor = conductor_of(home, plan)
    Simulated(falling).run(conductor)
    trials = optuna_trials(home)
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 4 + ["PRUNED"] * 3
    assert conductor.states == {"complete": 4, "pruned": 3}
    for trial in trials:
        assert list(trial.intermediate_values) == [13], "values at the rung alone stand in the database"
        assert len(read_history(home.trial(trial.user_attrs["key"]))) == (20 if trial.value else 13)
        assert trial.value is not None or "stopped early: at epoch 13" in trial.user_attrs["reason"]
    shown = {each.number: each for each in read_results(home, plan) if each.state == "pruned"}
    assert all(shown[t.number].score == t.intermediate_values[13] for t in trials if t.number in shown)
    folder = home.trial(trials[-1].user_attrs["key"])
    (folder / "history.jsonl").write_text("{}\n")
    again = Conductor(plan, conductor.ledger, home, retry=True)
    Simulated(falling).run(again)
    assert (len(again.states), again.states["complete"] + again.states["pruned"]) == (2, 7)
    assert len(read_history(folder)) in (13, 20), "a damaged one is trained again by a retry"
    assert len(optuna_trials(home)) == 8


@pytest.mark.parametrize(("who", "pruned"), [("asks", 0), ("all", 3)])
def test_listed_points_are_stopped_only_if_asked_for(
    home: Home, stripes: Path, who: str, pruned: int
) -> None:
    ORDER.clear()
    text = SPEC.replace("[1, 2]", "[0.1, 0.2, 0.3, 1, 2, 3, 4]").replace("asks: 5", f"asks: 1, prune: {who}")
    conductor = conductor_of(home, planned(home, text, stripes.parent))
    Simulated(falling).run(conductor)
    points = [row for row in read_ledger(home.optuna_url, "searched") if row.attrs["kind"] == "point"]
    assert sum(row.state == "pruned" for row in points) == pruned
    (ask,) = [row for row in read_ledger(home.optuna_url, "searched") if row.attrs["kind"] == "ask"]
    assert ask.state == "pruned", "points stand at the rung in any case"


@pytest.mark.parametrize("more", ["alpha: [0.25, 4]", "pruner: hyperband, grace: 2, reduction: 2"])
def test_two_parameters_and_hyperband_are_searched_without_a_word(
    home: Home, stripes: Path, more: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A listed point outside the range, and one without the searched alpha, must not make Optuna warn."""
    text = SPEC.replace("cefl, gamma: [1, 2]", "focal, gamma: [1, 7]").replace(
        "losses: cefl", "losses: focal"
    )
    conductor = conductor_of(home, planned(home, text.replace("asks: 5", f"asks: 9, {more}"), stripes.parent))
    logging.getLogger("optuna").addHandler(caplog.handler)
    Simulated(by_gamma, slots=3).run(conductor)
    logging.getLogger("optuna").removeHandler(caplog.handler)
    asked = [trial for trial in optuna_trials(home) if trial.user_attrs["kind"] == "ask"]
    assert len(asked) == 9
    assert any(trial.state == TrialState.PRUNED for trial in asked)
    assert len({tuple(sorted(trial.params.items())) for trial in asked}) == 9
    if "alpha" in more:
        assert all(0.25 <= trial.params["alpha"] <= 4 for trial in asked)
    assert caplog.messages == []


def test_a_search_that_dies_again_and_again_decides_as_an_undisturbed_one(
    home: Home, stripes: Path, tmp_path: Path
) -> None:
    other = Home(shutil.copytree(home.root, tmp_path / "other"))
    plan = planned(home, SPEC, stripes.parent)
    Simulated(by_gamma).run(conductor_of(home, plan))
    expected = [
        (row.attrs["params"], row.state, row.value) for row in read_ledger(home.optuna_url, "searched")
    ]
    assert {"pruned", "complete"} == {state for _, state, _ in expected}
    plan, deaths = planned(other, SPEC, stripes.parent), 0
    while True:
        try:
            Simulated(by_gamma, rows=45).run(conductor_of(other, plan))
            break
        except DriverDied:
            deaths += 1
    assert deaths >= 2
    found = [(row.attrs["params"], row.state, row.value) for row in read_ledger(other.optuna_url, "searched")]
    assert found == expected


def test_a_decision_outlives_a_driver_that_dies_before_the_trial_has_ended(home: Home, stripes: Path) -> None:
    plan = planned(home, SPEC, stripes.parent)
    conductor = conductor_of(home, plan)
    for value in (0.9, 0.8, 0.7, 0.6):
        trial = conductor.next()
        assert trial is not None
        assert not any(conductor.row(trial.ref, row_of(value, epoch)) for epoch in range(1, 21))
        conductor.ended(trial.ref)
    beaten = conductor.next()
    assert beaten is not None
    assert [conductor.row(beaten.ref, row_of(0.5, epoch)) for epoch in range(1, 14)] == [False] * 12 + [True]
    with pytest.raises(DriverDied):
        die(conductor)
    assert [row.state for row in read_ledger(home.optuna_url, "searched")][4:] == ["running"]
    following = conductor_of(home, plan).next()
    assert following is not None
    assert following.config != beaten.config
    assert [row.state for row in read_ledger(home.optuna_url, "searched")][4:] == ["pruned", "running"]


def test_a_trial_taken_over_from_another_sweep_stands_at_the_rungs_too(home: Home, stripes: Path) -> None:
    Simulated(by_gamma).run(
        conductor_of(home, planned(home, SPEC.replace("asks: 5", "asks: 1"), stripes.parent))
    )
    plan = planned(home, SPEC.replace("searched", "second").replace("asks: 5", "asks: 1"), stripes.parent)
    assert conductor_of(home, plan).next() is not None, "an ask of its own"
    trials = optuna.load_study(study_name=plan.searches[0].study, storage=home.optuna_url).trials
    assert [list(trial.intermediate_values) for trial in trials] == [[13], [13], []]


def test_a_grace_period_without_end_is_refused_with_its_line(home: Home, stripes: Path) -> None:
    with pytest.raises(SpecError, match=r"simulated.yaml:7: study.grace: `grace < epochs` .* 20 >= 20; or"):
        planned(home, SPEC.replace("asks: 5", "asks: 5, grace: 20"), stripes.parent)
