"""Sweeps by the in-process executor: real training, real ledger, real MLflow database."""

from __future__ import annotations

import json
from pathlib import Path

import optuna
import pytest
from commands import run, sweeps, told
from small_data import write_stripes

from sweeps.home import Home
from sweeps.snapshot import read_ledger

TRIAL_KEYS = """
    key study number state dataset imbalance order model depth pretrained loss params seed epochs run_id
    metrics
"""
BEST_KEYS = """
    dataset imbalance order model depth pretrained loss params metric split mean std n ci_low ci_high
    baseline difference beats_baseline unique_best ties
"""


def histories(home: Path) -> dict[str, list[dict[str, float]]]:
    """Numbers of every epoch of every trial, but for its timing."""
    timing = {"seconds", "images_per_second"}
    return {
        path.parent.name: [
            {name: value for name, value in json.loads(line)["metrics"].items() if name not in timing}
            for line in path.read_text().splitlines()
        ]
        for path in (home / "trials").glob("*/history.jsonl")
    }


def test_the_same_again_trains_nothing_and_one_gamma_more_trains_that_alone(
    small_spec: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(small_spec, home) == 0
    assert "trained now    3 trials; sweep small is done" in capsys.readouterr().out
    first = histories(home)
    assert len(first) == 3
    assert run(small_spec, home) == 0
    assert "trained now    0 trials" in capsys.readouterr().out
    small_spec.write_text(small_spec.read_text().replace("[1, 2]", "[1, 2, 3]"))
    assert run(small_spec, home) == 0
    assert "trained now    1 trials" in capsys.readouterr().out
    assert first.items() <= histories(home).items(), "what was there has not changed"
    status = told(capsys, "status", "small", "--home", home)
    assert status["trials"] == {
        "total": 4,
        "waiting": 0,
        "running": 0,
        "complete": 4,
        "pruned": 0,
        "failed": 0,
    }


def test_the_ledger_says_what_optuna_says(small_spec: Path, home: Path) -> None:
    small_spec.write_text(small_spec.read_text() + "study: {losses: cefl, gamma: [0, 5], asks: 2}\n")
    assert run(small_spec, home) == 0
    url = Home(home).optuna_url
    rows = read_ledger(url, "small")
    assert len(rows) == 5
    for name in optuna.get_all_study_names(url):
        trials = optuna.load_study(study_name=name, storage=url).trials
        mine = [row for row in rows if row.study == name]
        assert [(row.number, row.state, row.value, row.attrs) for row in mine] == [
            (trial.number, trial.state.name.lower(), trial.value, trial.user_attrs) for trial in trials
        ]
        for trial in trials:
            assert trial.params == trial.user_attrs["params"]
            assert trial.user_attrs["key"]
    asked = [row for row in rows if row.attrs["kind"] == "ask"]
    assert len(asked) == 2
    assert len({row.attrs["params"]["gamma"] for row in asked}) == 2, "a draw is not repeated"


def test_every_trial_is_one_mlflow_run_with_its_epochs(small_spec: Path, home: Path) -> None:
    from trackers.readback import read_mlflow

    assert run(small_spec, home) == 0
    trials = read_mlflow(Home(home).mlflow_uri, "small")
    assert [trial.state for trial in trials] == ["complete"] * 3
    numbers = histories(home)
    for trial in trials:
        assert [row["epoch"] for row in trial.history] == [1, 2]
        for row, mine in zip(trial.history, numbers[trial.key], strict=True):
            assert mine.items() <= row["metrics"].items()


def test_fresh_trains_again_beside_and_finds_the_same_numbers(
    small_spec: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(small_spec, home) == 0
    capsys.readouterr()
    assert run(small_spec, home, "--fresh") == 0
    shown = capsys.readouterr().out
    assert "same to the last bit" in shown
    assert shown.count(" yes") == 3
    assert len(list((home / "trials").glob("*-fresh1"))) == 3
    assert told(capsys, "status", "small", "--home", home)["trials"]["complete"] == 3, "counts are by key"


def test_fresh_trains_again_what_another_sweep_has_trained(
    small_spec: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(small_spec, home) == 0
    capsys.readouterr()
    assert run(home / "sweeps" / "small" / "report" / "best.yaml", home, "--fresh") == 0
    shown = capsys.readouterr().out
    assert "trained now    1 trials; sweep small-best is done" in shown
    assert shown.count(" yes") == 1
    assert len(list((home / "trials").glob("*-fresh1"))) == 1


def test_another_sweep_takes_over_what_is_trained(
    small_spec: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(small_spec, home) == 0
    before = histories(home)
    assert run(small_spec, home, "--name", "second") == 0
    assert histories(home) == before
    rows = read_ledger(Home(home).optuna_url, "second")
    assert [row.attrs["origin"] for row in rows] == ["small"] * 3
    capsys.readouterr()
    assert run(home / "sweeps" / "small" / "report" / "best.yaml", home) == 0
    assert "trained now    0 trials; sweep small-best is done" in capsys.readouterr().out


def test_a_trial_that_was_stopped_early_keeps_its_curve_and_never_wins(
    small_spec: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from trackers.readback import read_mlflow

    small_spec.write_text(small_spec.read_text() + "study: {losses: cefl, asks: 6, grace: 1}\n")
    assert run(small_spec, home) == 0
    found = {trial["key"]: trial for trial in told(capsys, "trials", "small", "--home", home)}
    pruned = {key for key, trial in found.items() if trial["state"] == "pruned"}
    assert pruned, "of eight trials each is compared after its first epoch"
    assert told(capsys, "status", "small", "--home", home)["trials"]["pruned"] == len(pruned)
    assert {key for key, rows in histories(home).items() if len(rows) == 1} == pruned
    shown = {trial.key: trial for trial in read_mlflow(Home(home).mlflow_uri, "small")}
    assert {key for key, trial in shown.items() if trial.state == "pruned"} == pruned
    assert all("stopped early" in (shown[key].reason or "") for key in pruned)
    (best,) = told(capsys, "best", "small", "--home", home)
    assert best["params"] not in [found[key]["params"] for key in pruned]


def test_a_budget_ends_a_sweep_in_order_and_a_larger_one_goes_on_with_more_asks(
    small_spec: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = small_spec.read_text() + "study: {losses: cefl, asks: 1, pruner: none}\n"
    small_spec.write_text(text + "budget: {trials: 2}\n")
    assert run(small_spec, home) == 0
    reason = "trials: 2 of 2 were started"
    assert reason in capsys.readouterr().out
    status = told(capsys, "status", "small", "--home", home)
    assert (status["state"], status["reason"]) == ("budget", reason)
    assert status["trials"] | {"total": 4, "waiting": 2, "complete": 2} == status["trials"]
    page = home / "sweeps" / "small" / "report" / "report.md"
    assert reason in page.read_text()
    assert sweeps("report", "small", "--home", home) == 0
    assert reason in page.read_text(), "also where it is written again"
    small_spec.write_text(text + "budget: {trials: 9}\n")
    assert run(small_spec, home, "--asks", "2") == 0
    status = told(capsys, "status", "small", "--home", home)
    assert (status["state"], status["reason"]) == ("done", None)
    assert status["trials"] | {"total": 5, "waiting": 0, "complete": 5} == status["trials"]
    assert told(capsys, "plan", small_spec, "--home", home)["trials"]["total"] == 5
    assert reason not in page.read_text()


def test_a_diverged_trial_fails_and_is_never_ranked(
    small_spec: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = small_spec.read_text().replace("batch_size: 16", "batch_size: 16, learning_rate: 1.0e+30")
    small_spec.write_text(text)
    assert run(small_spec, home) == 4, "none succeeded"
    assert told(capsys, "best", "small", "--home", home) == []
    found = told(capsys, "trials", "small", "--home", home)
    assert {trial["state"] for trial in found} == {"failed"}


def test_a_sweep_that_another_process_drives_is_refused(
    small_spec: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = Home(home)
    place.create()
    with place.driving("small"):
        assert run(small_spec, home) == 6
    assert "being driven by process" in capsys.readouterr().err


def test_a_change_that_would_mix_what_cannot_be_compared_is_refused(
    small_spec: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(small_spec, home) == 0
    before = read_ledger(Home(home).optuna_url, "small")
    small_spec.write_text(small_spec.read_text().replace("epochs: 2", "epochs: 3"))
    assert run(small_spec, home) == 2
    message = capsys.readouterr().err
    assert "recipe.epochs was 2, now 3" in message
    assert "--name" in message
    assert read_ledger(Home(home).optuna_url, "small") == before


def test_the_documented_keys_are_printed(
    small_spec: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(small_spec, home) == 0
    at = ("--home", home)
    status = told(capsys, "status", "small", *at)
    assert list(status) == ["name", "state", "trials", "cells", "reason"]
    assert list(status["trials"]) == ["total", "waiting", "running", "complete", "pruned", "failed"]
    trial = told(capsys, "trials", "small", *at)[0]
    assert list(trial) == TRIAL_KEYS.split()
    assert trial["run_id"], "the MLflow run is known"
    best = told(capsys, "best", "small", *at)[0]
    assert list(best) == BEST_KEYS.split()
    assert best["split"] == "validation"
    assert best["ci_low"] is best["beats_baseline"] is best["ties"] is None
    assert [row["name"] for row in told(capsys, "list", *at)] == ["small"]


def test_a_class_without_images_is_refused_with_the_largest_ratio(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], small_spec: Path
) -> None:
    home = tmp_path / "new"
    write_stripes(tmp_path / "stripes.npz", per_class=30)
    small_spec.write_text(small_spec.read_text().replace("imbalance: 4", "imbalance: 100"))
    assert run(small_spec, home) == 2
    message = capsys.readouterr().err
    assert "small.yaml:3: data[0].imbalance" in message
    assert "at most 24 will do" in message
    assert not (home / "optuna.db").exists()
