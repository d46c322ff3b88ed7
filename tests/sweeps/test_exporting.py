"""Exports of sweeps that were really run: the model, its card, running it again, the registry."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import told

import cefl
import sweeps
from cefl.data import open_dataset
from sweeps import exporting
from sweeps.errors import InputError
from sweeps.home import Home
from sweeps.model_card import model_card
from trackers import connection
from trackers.errors import TrackingRejected
from trackers.registry import alias_of, register


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, empty: Path) -> Path:
    """A sweep of two cells on the digits, one epoch each."""
    folder = shutil.copytree(empty, tmp_path_factory.mktemp("export") / "home")
    spec: dict[str, Any] = {
        "name": "small", "data": {"source": "digits", "imbalance": [10, 20]}, "depth": 8,
        "losses": ["cross_entropy", "balanced_softmax"], "resources": {"gpus": 0},
        "recipe": {"epochs": 1, "precision": "float32"},
    }  # fmt: skip
    sweeps.run(spec, home=folder, executor="inline", progress=False)
    return folder


CELL = "digits-rho20-resnet8"


@pytest.fixture
def exported(home: Path, tmp_path: Path) -> Path:
    return Path(sweeps.export("small", cell=CELL, out=tmp_path / "model", home=home)["folder"])


def test_the_model_says_what_its_trial_said(home: Path, exported: Path) -> None:
    assert {path.name for path in exported.iterdir()} == {
        "README.md", "best.yaml", "expected.json", "model.json", "model.safetensors",
    }  # fmt: skip
    (told,) = json.loads((exported / "expected.json").read_text())["trials"]
    config = json.loads((home / "trials" / told["key"] / "result.json").read_text())["config"]
    predictions = np.load(home / "trials" / told["key"] / "predictions.npz")["test_predictions"]
    dataset = open_dataset(Path(config["data"]))
    classifier = cefl.load(exported)
    assert classifier.predict(np.array(dataset.test.images)) == [
        dataset.classes[each] for each in predictions
    ]


def test_the_card_tells_data_scores_with_intervals_and_limits(home: Path, exported: Path) -> None:
    card = (exported / "README.md").read_text()
    (told,) = json.loads((exported / "expected.json").read_text())["trials"]
    accuracy = told["metrics"]["test/balanced_accuracy"]
    assert re.search(rf"balanced accuracy +\| +{100 * accuracy:.1f}% \| +\d+\.\d to \d+\.\d", card)
    assert "it is not confirmed (`sweeps confirm small`)" in card
    assert "imbalance 20, ascending" in card
    assert "Its probabilities are not calibrated" in card
    assert "8 x 8 px with 1 channel" in card
    assert len(re.findall(r"^\| \d +\|", card, re.MULTILINE)) == 10, "a row for each class"


def test_class_names_stay_text_in_the_card(home: Path, exported: Path) -> None:
    from dataclasses import replace

    place = Home.at(home)
    found = exporting.export(place, "small", CELL, None, exported.with_name("again"), False)
    cell = replace(found.cell, classes=("<script>alert(1)</script>", *found.cell.classes[1:]))
    result = json.loads((home / "trials" / found.trial.key / "result.json").read_text())
    config = exporting.TrialConfig.from_json(result["config"])
    plan = exporting.stored_plan(place, "small")
    text = model_card(exporting.Card(plan, cell, config, found.trial, found.answer, result["final"], None))
    assert "<script>" not in text


def test_running_it_elsewhere_gives_the_same_numbers_and_tells_when_it_does_not(
    exported: Path, tmp_path: Path, empty: Path
) -> None:
    other = shutil.copytree(empty, tmp_path / "other")

    def again(fresh: bool) -> list[tuple[object, bool, list[str]]]:
        spec = exported / "best.yaml"
        found = sweeps.run(spec, home=other, executor="inline", fresh=fresh, progress=False).repeated
        return [(each["repetition"], each["identical"], each["apart"]) for each in found]

    assert again(fresh=False) == [("exported", True, [])]
    path = exported / "expected.json"
    told = json.loads(path.read_text())
    told["trials"][0]["metrics"]["val/loss"] += 1e-9
    told["trials"][0]["conditions"]["threads"] += 1
    path.write_text(json.dumps(told))
    assert again(fresh=True) == [(1, True, []), ("exported", False, ["threads 1, first 2"])]


def test_the_folder_is_replaced_only_when_asked_and_whole(home: Path, exported: Path) -> None:
    (exported / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="is there already; --force replaces it"):
        sweeps.export("small", cell=CELL, out=exported, home=home)
    assert (exported / "mine.txt").exists()
    sweeps.export("small", cell=CELL, out=exported, home=home, force=True)
    assert not (exported / "mine.txt").exists()
    assert [path.name for path in exported.parent.iterdir()] == ["model"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "--cell: small has 2 cells; give one of digits-rho10-resnet8, digits-rho20-resnet8"),
        ({"cell": "digits"}, "--cell: 'digits' is not one of digits-rho10"),
        ({"cell": CELL, "seed": 7}, "--seed: 7 is none of 0, the seeds of"),
    ],
)
def test_what_cannot_be_exported_is_told(
    home: Path, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        sweeps.export("small", out=tmp_path / "model", home=home, **options)
    assert not list(tmp_path.iterdir())


def test_each_registration_is_a_version_and_the_alias_moves_to_it(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--cell", CELL, "--register", "digits", "--force", "--out", tmp_path / "model")
    shown = told(capsys, "export", "small", *options, "--home", home)
    assert shown["registered"] == {"version": "1", "uri": "models:/digits@digits"}
    found = exporting.export(Home.at(home), "small", CELL, None, tmp_path / "model", True)
    assert exporting.registered(Home.at(home), "small", found, "digits")["version"] == "2"
    client = connection.connect(Home.at(home).mlflow_uri)
    version = client.get_model_version_by_alias("digits", "digits")
    assert str(version.version) == "2"
    assert version.tags["sweep.key"] == shown["key"]
    assert version.run_id == shown["run_id"]
    client.download_artifacts(version.run_id, "model", str(tmp_path))
    assert cefl.load(tmp_path / "model").classes == tuple("0123456789")


def test_names_that_the_registry_does_not_take_are_told(home: Path, tmp_path: Path) -> None:
    with pytest.raises(TrackingRejected, match="needs a name without '/' and ':', but got 'a/b'"):
        register(Home.at(home).mlflow_uri, "a/b", "run", tmp_path, "digits", {})


@pytest.mark.parametrize(
    ("dataset", "alias"),
    [
        ("cifar10", "cifar10"),
        ("mine.data", "mine-data"),
        ("v1", "data-v1"),
        ("latest", "data-latest"),
        ("é", "data"),
    ],
)
def test_every_data_set_has_an_alias(dataset: str, alias: str) -> None:
    assert alias_of(dataset) == alias


def test_a_best_arm_without_weights_is_told_and_has_them_after_what_is_told(
    home: Path, tmp_path: Path
) -> None:
    """Last: what it trains stays in the home that these tests share."""
    expected = Path(sweeps.export("small", cell=CELL, out=tmp_path / "first", home=home)["folder"])
    (told,) = json.loads((expected / "expected.json").read_text())["trials"]
    weights = home / "trials" / told["key"] / "weights.safetensors"
    weights.unlink()
    best = home / "sweeps" / "small" / "report" / "best.yaml"
    with pytest.raises(
        InputError, match=rf"no weights were kept; .+: sweeps run {best} --fresh --home {home}"
    ):
        sweeps.export("small", cell=CELL, out=tmp_path / "none", home=home)
    outcome = sweeps.run(best, home=home, executor="inline", progress=False)
    assert [each.rpartition(" ")[2] for each in outcome.unkept] == [CELL]
    assert sweeps.run(best, home=home, executor="inline", fresh=True, progress=False).unkept == ()
    again = Path(sweeps.export("small", cell=CELL, out=tmp_path / "again", home=home)["folder"])
    assert not weights.exists()
    images = np.zeros((2, 8, 8), np.uint8)
    assert cefl.load(again).predict(images) == cefl.load(expected).predict(images)
    assert (again / "README.md").read_text() == (expected / "README.md").read_text()
