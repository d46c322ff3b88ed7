"""``sweeps compare`` on sweeps that were really run."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from commands import sweeps as command
from commands import told

import sweeps
from sweeps import comparing
from sweeps.errors import InputError
from sweeps.home import Home
from trackers.errors import ComparisonError


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, empty: Path) -> Path:
    """Two sweeps of one cell, which differ in their batch size."""
    folder = shutil.copytree(empty, tmp_path_factory.mktemp("compare") / "home")
    spec: dict[str, Any] = {
        "name": "one", "data": {"source": "digits", "imbalance": 20}, "depth": 8,
        "losses": ["cross_entropy", "cefl"], "resources": {"gpus": 0},
        "recipe": {"epochs": 1, "batch_size": 64, "precision": "float32"},
    }  # fmt: skip
    sweeps.run(spec, home=folder, executor="inline", progress=False)
    two = {**spec, "name": "two", "losses": ["cefl"], "recipe": {**spec["recipe"], "batch_size": 32}}
    sweeps.run(two, home=folder, executor="inline", progress=False)
    return folder


def test_two_arms_of_a_sweep_stand_side_by_side(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = told(capsys, "compare", "one:cross_entropy", "one:cefl(gamma=2)", "--home", home)
    (row,) = found["rows"]
    scores = {trial["loss"]: trial["metrics"] for trial in sweeps.trials("one", home=home)}
    assert row["first_mean"] == scores["cross_entropy"]["val/balanced_accuracy"]
    assert row["second_mean"] == scores["cefl"]["val/balanced_accuracy"]
    assert found["conditions"] == []
    assert sweeps.compare("one:cross_entropy", "one:cefl(gamma=2)", home=home)["rows"] == [row]
    page = next(path for path in found["files"] if path.endswith(".html"))
    assert Path(page).parent.name == "one-cross_entropy--one-cefl-gamma-2"
    assert "cefl(gamma=2)" in Path(page).read_text()


def test_two_sweeps_stand_side_by_side_with_what_they_do_otherwise(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    options = ("--split", "test", "--metric", "accuracy", "--out", tmp_path)
    assert command("compare", "one", "two", "--home", home, *options) == 0
    shown = capsys.readouterr().out
    assert "recipe.batch_size is 64 in one, 32 in two" in shown
    assert "cefl(gamma=2)" in shown
    assert (tmp_path / "comparison.html").exists()


@pytest.mark.parametrize(
    ("first", "second", "options", "said"),
    [
        ("one", "three", {}, "three: no such sweep"),
        ("one", "two:cefl(gamma=2)", {}, "give two sweeps, or an arm of each"),
        (
            "one:cefl",
            "two:cefl(gamma=2)",
            {},
            "the sweep one has no arm cefl; it has cross",
        ),
        ("one", "two", {"metric": "acuracy"}, "--metric: 'acuracy' is not one of balanced_accuracy"),
        ("one", "two", {"split": "train"}, "--split: 'train' is not one of validation, test"),
    ],
)
def test_what_cannot_be_compared_is_told(
    home: Path, first: str, second: str, options: dict[str, str], said: str
) -> None:
    with pytest.raises((InputError, ComparisonError), match=re.escape(said)):
        comparing.compare(Home(home), first, second, options.get("metric"), options.get("split"))


def test_what_is_wrong_is_one_line_and_code_2(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert command("compare", "one", "two:cefl(gamma=2)", "--home", home) == 2
    assert capsys.readouterr().err.count("\n") == 1
