"""Confirmations of real sweeps: who is nominated, what is trained, what is said, and what stays as it was."""

from __future__ import annotations

import json
import shutil
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from commands import run, sweeps, told
from small_data import SMALL, write_stripes

from sweeps import confirm as confirm_from_python
from sweeps.confirming import Asked, begin, check_ready
from sweeps.confirming import test_predictions as predictions_of
from sweeps.display import TerminalDisplay
from sweeps.driver import run_sweep
from sweeps.errors import InputError
from sweeps.home import Home
from sweeps.live import Live
from sweeps.options import Options
from sweeps.protocol import read_confirming
from sweeps.snapshot import LedgerRow, read_ledger, read_looks
from sweeps.spec import Spec, load_spec
from sweeps.state import stored_plan
from trackers.readback import read_mlflow
from trackers.table import arm_label

STUDY = "small/stripes-rho4-resnet8/confirm"
CONFIRM = "confirm: {top: 1, seeds: 5}\n"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, empty: Path) -> Path:
    """A folder with the small sweep, run to the end of its confirmation, once for all."""
    folder = tmp_path_factory.mktemp("finished")
    shutil.copytree(empty, folder / "home")
    write_stripes(folder / "stripes.npz")
    (folder / "small.yaml").write_text(textwrap.dedent(SMALL) + CONFIRM)
    assert run(folder / "small.yaml", folder / "home") == 0
    return folder


@pytest.fixture
def confirmed_spec(finished: Path, tmp_path: Path, home: Path) -> Path:
    """A copy of that sweep, whose home is ``home``."""
    shutil.rmtree(home)
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return tmp_path / "small.yaml"


def confirm(home: Path, *more: object) -> int:
    return sweeps("confirm", "small", "--home", home, "--executor", "inline", *more)


def rows_of(home: Path, kind: str) -> list[LedgerRow]:
    return [row for row in read_ledger(Home(home).optuna_url, "small") if row.attrs["kind"] == kind]


def test_a_search_ends_with_a_confirmation_and_the_same_again_adds_nothing(
    confirmed_spec: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = rows_of(home, "confirm")
    assert {row.study for row in rows} == {STUDY}
    assert {row.state for row in rows} == {"complete"}
    assert sorted({row.attrs["seed"] for row in rows}) == [1000, 1001, 1002, 1003, 1004]
    assert {row.attrs["loss"] for row in rows} == {"cross_entropy", "cefl"}
    by_arm = {loss: sorted(r.attrs["seed"] for r in rows if r.attrs["loss"] == loss) for loss in ("cefl",)}
    assert by_arm == {"cefl": [1000, 1001, 1002, 1003, 1004]}, "the same seeds for every arm"
    assert read_looks(Home(home).optuna_url, "small") == {STUDY: (5,)}
    record = told(capsys, "best", "small", "--home", home)[0]
    tests = [
        json.loads((home / "trials" / row.attrs["key"] / "result.json").read_text())["metrics"]
        for row in rows
        if row.attrs["loss"] == record["loss"]
    ]
    assert (record["split"], record["n"]) == ("test", 5)
    assert record["mean"] == pytest.approx(np.mean([each["test/balanced_accuracy"] for each in tests]))
    assert run(confirmed_spec, home) == 0
    assert "trained now    0 trials" in capsys.readouterr().out
    assert read_looks(Home(home).optuna_url, "small") == {STUDY: (5,)}, "the same results are no new look"


def test_more_seeds_are_added_without_repeating_and_every_look_counts(
    confirmed_spec: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {row.attrs["key"] for row in rows_of(home, "confirm")}
    capsys.readouterr()
    assert confirm(home, "--seeds", 7) == 0
    assert "trained now    4 trials" in capsys.readouterr().out
    after = {row.attrs["key"] for row in rows_of(home, "confirm")}
    assert before < after
    assert len(after) == 14
    assert read_looks(Home(home).optuna_url, "small") == {STUDY: (5, 7)}
    assert told(capsys, "best", "small", "--home", home)[0]["n"] == 7
    assert run(confirmed_spec, home) == 0, "the specification still says 5: none is taken away"
    assert len(rows_of(home, "confirm")) == 14
    outcome = confirm_from_python("small", seeds=8, home=home, executor="inline", progress=False)
    assert (outcome.trained, outcome.exit_code) == (2, 0), "the same from Python"


def test_best_yaml_holds_the_confirmed_arm_and_gives_the_same_numbers_again(
    confirmed_spec: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = told(capsys, "best", "small", "--home", home)[0]
    path = home / "sweeps" / "small" / "report" / "best.yaml"
    best = yaml.safe_load(path.read_text())
    assert best["seeds"] == [1000, 1001, 1002, 1003, 1004]
    (loss,) = best["cells"][0]["losses"]
    assert loss["loss"] == record["loss"]
    assert ", confirmed" in path.read_text()
    attrs = next(row.attrs for row in rows_of(home, "confirm") if row.attrs["loss"] != "cross_entropy")
    arm = arm_label(attrs["loss"], attrs["params"])
    compared = told(capsys, "compare", "small:cross_entropy", f"small:{arm}", "--home", home)
    assert compared["split"] == "test", "confirmed arms are compared where they are reported"
    assert compared["rows"][0]["first_mean"] == pytest.approx(record["baseline"])
    assert run(path, home) == 0
    assert "trained now    0 trials; sweep small-best is done" in capsys.readouterr().out
    assert run(path, home, "--fresh") == 0
    shown = capsys.readouterr().out
    assert shown.count(" yes") == 5, "the same to the last bit"


def test_what_was_nominated_stays_whatever_the_search_finds_later(
    confirmed_spec: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fixed = read_confirming(Home(home), "small")
    confirmed_spec.write_text(confirmed_spec.read_text().replace("[1, 2]", "[0.5, 1, 2, 4]"))
    assert run(confirmed_spec, home) == 0
    assert "trained now    2 trials" in capsys.readouterr().out
    assert read_confirming(Home(home), "small") == fixed


class Stopping(TerminalDisplay):
    """Stops a sweep in the first epoch of its ``nth`` trial of a kind."""

    def __init__(self, spec: Spec, kind: str, nth: int) -> None:
        super().__init__(spec)
        self.kind, self.left = kind, nth

    def started(self, live: Live) -> None:
        self.left -= live.entry.kind == self.kind

    def row(self, live: Live, row: Any) -> None:
        super().row(live, row)
        if self.left == 0 and self.conductor is not None:
            self.conductor.stopping = True


def test_a_confirmation_waits_for_its_search_goes_on_after_a_stop_and_validates_natural_data_in_folds(
    small_spec: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = small_spec.read_text().replace("imbalance: 4", "imbalance: natural")
    small_spec.write_text(text.replace("validation: {unused: 5}\n", "") + CONFIRM)
    loaded, study = load_spec(str(small_spec)), STUDY.replace("rho4", "natural")

    run_sweep(loaded, Home(home), Options(executor="inline"), Stopping(loaded.spec, "point", 1))
    capsys.readouterr()
    assert confirm(home) == 2
    assert "3 of the 3 trials of its search have not ended" in capsys.readouterr().err
    assert read_confirming(Home(home), "small") is None

    run_sweep(loaded, Home(home), Options(executor="inline"), Stopping(loaded.spec, "confirm", 4))
    assert "10 trials confirm its leading arms, 5 seeds each" in capsys.readouterr().err
    assert [row.state for row in rows_of(home, "confirm")] == ["complete"] * 3 + ["running"]
    assert read_looks(Home(home).optuna_url, "small") == {}
    assert told(capsys, "best", "small", "--home", home)[0]["split"] == "validation", "not looked at yet"

    assert run(small_spec, home) == 0
    assert "pooled validation folds" in capsys.readouterr().out
    assert [row.state for row in rows_of(home, "confirm")] == ["complete"] * 10
    assert read_looks(Home(home).optuna_url, "small") == {study: (5,)}
    validated: dict[str, set[str]] = {"point": set(), "confirm": set()}
    for kind, rules in validated.items():
        for row in rows_of(home, kind):
            result = json.loads((home / "trials" / row.attrs["key"] / "result.json").read_text())
            rules.add(json.dumps(result["config"]["validation"]))
    assert validated == {"point": {'{"holdout": 0.1}'}, "confirm": {'{"folds": 5}'}}
    assert run(home / "sweeps" / "small" / "report" / "best.yaml", home) == 0
    assert "trained now    0 trials" in capsys.readouterr().out


def test_the_runs_of_a_confirmation_say_what_they_are(confirmed_spec: Path, home: Path) -> None:
    import mlflow

    runs = mlflow.MlflowClient(Home(home).mlflow_uri).search_runs(["1"], "tags.`sweep.kind` = 'confirm'")
    assert len(runs) == 10
    groups = {each.data.tags["sweep.seed_group"] for each in runs}
    assert len(groups) == 2
    assert all(group.endswith(", confirmation") for group in groups)
    assert len({each.data.tags["mlflow.parentRunId"] for each in runs}) == 1
    kinds = [trial.kind for trial in read_mlflow(Home(home).mlflow_uri, "small")]
    assert kinds.count("confirm") == 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--top", 2), "began with `top: 1`, and arms are not changed"),
        (("--seeds", 1), "greater than or equal to 2"),
        (("--executor", "cluster"), "'cluster' is not one of ray, inline"),
    ],
)
def test_what_is_fixed_or_wrong_is_refused(
    arguments: tuple[object, ...], message: str, confirmed_spec: Path, home: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert confirm(home, *arguments) == 2
    assert message in capsys.readouterr().err


def test_the_command_that_began_a_confirmation_is_taken_again_where_fewer_arms_were_nominated(
    confirmed_spec: Path, home: Path
) -> None:
    place = Home(home)
    plan = replace(stored_plan(place, "small"), confirmations=())
    path = place.sweep("small") / "confirmation.json"
    path.unlink()
    begun = begin(place, plan, Asked(top=9, seeds=2))
    assert len(begun.confirmations) == 3 * 2, "there are two arms beside cross-entropy, no nine"
    check_ready(place, plan, "done", Asked(top=9, seeds=3))
    assert len(begin(place, plan, Asked(top=9, seeds=3)).confirmations) == 3 * 3
    with pytest.raises(InputError, match="began with `top: 9`"):
        check_ready(place, plan, "done", Asked(top=2))

    older = {name: value for name, value in json.loads(path.read_text()).items() if name != "top"}
    path.write_text(json.dumps(older))
    check_ready(place, plan, "done", Asked(top=2))
    with pytest.raises(InputError, match="began with `top: 2`"):
        check_ready(place, plan, "done", Asked(top=9))
    path.write_text(json.dumps({**older, "top": "many"}))
    with pytest.raises(InputError, match="is damaged"):
        read_confirming(place, "small")


def test_seeds_and_validation_that_do_not_fit_the_confirmation_are_refused(
    confirmed_spec: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = confirmed_spec.read_text()
    confirmed_spec.write_text(text + "seeds: [0, 1001]\n")
    assert run(confirmed_spec, home) == 2
    assert "the seeds 1001 confirm its winners" in capsys.readouterr().err
    confirmed_spec.write_text(text.replace("seeds: 5", "seeds: 5, validation: {unused: 4}"))
    assert run(confirmed_spec, home) == 2
    assert "began with validation {'unused': 5}, now {'unused': 4}" in capsys.readouterr().err


def test_predictions_that_cannot_be_read_are_not_there(home: Path) -> None:
    place = Home(home)
    folder = place.trial("abc")
    assert predictions_of(place, folder) is None
    folder.mkdir(parents=True)
    (folder / "predictions.npz").write_bytes(b"torn")
    assert predictions_of(place, folder) is None


def test_a_budget_ends_the_search_and_pays_for_no_confirmation(
    small_spec: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = small_spec.read_text().replace("epochs: 2", "epochs: 1") + "budget: {trials: 2}\n"
    small_spec.write_text(text + "confirm: {top: 1, seeds: 2}\n")
    for trained in (6, 0):
        assert run(small_spec, home) == 0
        assert f"trained now    {trained} trials; sweep small is budget" in capsys.readouterr().out
    assert (len(rows_of(home, "point")), len(rows_of(home, "confirm"))) == (2, 4)
    record = told(capsys, "best", "small", "--home", home)[0]
    assert (record["split"], record["n"], record["beats_baseline"], record["ties"]) == ("test", 2, None, None)
    assert confirm(home, "--seeds", 3) == 0, "although its search has not ended by itself"
    assert "trained now    2 trials; sweep small is budget" in capsys.readouterr().out
