"""``sweeps report --paper``: a small real sweep beside Table 2, in the terminal, as JSON and as files."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commands import sweeps, told
from small_data import write_stripes

from cefl.recipes import PRESETS
from sweeps.beside_paper import differences, recipe_conditions
from sweeps.plan import build_plan
from sweeps.spec import load_text

SPEC = """
name: beside
data: {source: "npz:ten.npz", name: cifar10, imbalance: 10}
validation: none
depth: 8
losses: [cross_entropy, {loss: cefl, gamma: 2}]
recipe: {preset: cifar, epochs: 1, batch_size: 16, precision: float32}
select: {metric: accuracy, split: test}
resources: {gpus: 0}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, empty: Path) -> Path:
    folder = tmp_path_factory.mktemp("beside")
    shutil.copytree(empty, folder / "home")
    write_stripes(folder / "ten.npz", per_class=14, classes=10)
    (folder / "beside.yaml").write_text(SPEC)
    assert sweeps("run", folder / "beside.yaml", "--home", folder / "home", "--executor", "inline") == 0
    return folder / "home"


def test_the_comparison_is_told_and_written(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = told(capsys, "report", "beside", "--paper", "table2", "--model", "resnet8", "--home", home)
    assert (found["table"], found["run"], len(found["cells"])) == ("table2", 2, 105)
    assert "The model is resnet8, in the paper ResNet-18." in found["conditions"]
    assert "Recipe: batch_size 16, in the paper 128." in found["conditions"]
    (trial,) = (t for t in told(capsys, "trials", "beside", "--home", home) if t["loss"] == "cefl")
    (cell,) = (c for c in found["cells"] if c["n"] and c["loss"] == "cefl")
    assert cell["mean"] == pytest.approx(100 * trial["metrics"]["test/accuracy"])
    assert cell["printed"] == 85.73
    names = {Path(path).name for path in found["files"]}
    assert {"paper-table2.html", "paper-table2.tex", "paper-table2-contrasts.csv"} <= names
    assert all(Path(path).is_file() for path in found["files"])


def test_the_terminal_shows_the_same(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweeps("report", "beside", "--paper", "table2", "--model", "resnet8", "--home", home) == 0
    text = capsys.readouterr().out
    assert "2 of 105 cells run" in text
    assert "partial: not run are imbalance 20, 50, 100, 200, 500" in text
    assert "alpha 0.75 is +0.62 points from alpha 1" in text
    assert text.rstrip().endswith("paper-table2-contrasts.csv")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--paper", "table6"], "the paper's tables are table2"),
        (["--paper", "table3"], "cifar10 (10 classes)"),
        (["--paper", "table2", "--model", "resnet20"], "there are resnet8"),
        (["--model", "resnet8"], "--model: is for --paper"),
    ],
)
def test_what_does_not_fit_is_refused_and_writes_nothing(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    before = sorted(home.rglob("paper-*"))
    assert sweeps("report", "beside", *arguments, "--home", home) == 2
    assert message in capsys.readouterr().err
    assert sorted(home.rglob("paper-*")) == before


def test_the_recipe_of_a_data_set_that_is_not_compared_does_not_count(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (400, 32, 32, 3), dtype=np.uint8)
    np.savez(tmp_path / "cifar10.npz", train_images=images, train_labels=np.arange(400) % 10)
    text = "name: two\ndata: [{source: 'npz:cifar10.npz'}, {source: digits}]\ndepth: 8\n"
    text += "losses: [cross_entropy]\nresources: {gpus: 0}\n"
    plan = build_plan(load_text(text, "s.yaml", tmp_path), tmp_path / "data")
    assert {len(cell.classes) for cell in plan.cells} == {10}
    assert recipe_conditions(plan, "table2", "cifar10") == []
    assert "batch_size 64, in the paper 128" in recipe_conditions(plan, "table2", "digits")[0]


def test_a_shortened_schedule_is_the_papers_and_another_rate_is_not() -> None:
    paper = PRESETS["cifar"]
    assert differences(paper.for_epochs(30), paper) == []
    assert differences(replace(paper, learning_rate=0.1), paper) == ["learning_rate 0.1, in the paper 0.05"]
