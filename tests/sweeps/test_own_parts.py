"""Sweeps with losses, models and data of the user's own, from Python and from a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import sweeps as command
from commands import told

import sweeps
from sweeps.errors import InputError, SpecError
from sweeps.home import Home
from sweeps.own_parts import check_parts
from sweeps.plan import build_plan
from sweeps.spec import Spec, load_spec

LOSSES = """
import torch.nn.functional as F

def cold(logits, targets, temperature=1.0):
    return F.cross_entropy(logits / temperature, targets)
"""
MODELS = """
from torch import nn

def build(num_classes, channels, image_size):
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * image_size**2, num_classes))
"""
DATA = """
import numpy as np

def load():
    labels = np.arange(90) % 3
    images = np.full((90, 8, 8), 20, np.uint8) + 70 * labels[:, None, None].astype(np.uint8)
    return {"train_images": images, "train_labels": labels}
"""


def write_parts(folder: Path, name: str) -> dict[str, Any]:
    """A package with a loss, a model and data, and a specification that names them."""
    package = folder / name
    package.mkdir()
    for file, source in {"__init__": "", "losses": LOSSES, "models": MODELS, "data": DATA}.items():
        (package / f"{file}.py").write_text(source)
    return {
        "name": name,
        "data": {"source": f"{name}.data:load", "imbalance": 2},
        "validation": {"unused": 3},
        "model": f"{name}.models:build",
        "losses": ["cross_entropy", {"loss": f"{name}.losses:cold", "temperature": [1, 2]}],
        "recipe": {"epochs": 1, "batch_size": 8, "precision": "float32"},
        "resources": {"gpus": 0},
    }


def run(spec: Any, home: Path) -> Any:
    return sweeps.run(spec, home=home, executor="inline", progress=False)


def test_own_parts_run_whole_and_the_best_runs_again(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    spec = write_parts(tmp_path, "own_whole")
    outcome = run(spec, home)
    assert (outcome.state, outcome.exit_code, outcome.trained) == ("done", 0, 3)
    found = {trial["loss"]: trial for trial in sweeps.trials("own_whole", home=home)}
    assert found.keys() == {"cross_entropy", "own_whole.losses:cold"}
    assert [cell["model"] for cell in sweeps.best("own_whole", home=home)] == ["own_whole.models:build"]
    page = outcome.report.read_text()
    assert "own_whole.losses:cold" in page
    assert "own parts" in page
    assert "sweeps run specification" not in page
    best = outcome.report.with_name("best.yaml")
    monkeypatch.chdir(tmp_path.parent)
    again = sweeps.run(str(best), home=home, executor="inline", progress=False)
    assert (again.state, again.trained) == ("done", 0), "its folder of code is in the file"


def test_a_changed_source_is_another_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump(write_parts(tmp_path, "own_changed")))

    def keys() -> list[str]:
        plan = build_plan(load_spec(str(path)), tmp_path / "data")
        return [point.key for point in plan.points]

    before = keys()
    losses = tmp_path / "own_changed" / "losses.py"
    losses.write_text(losses.read_text() + "# changed\n")
    after = keys()
    assert before[0] == after[0], "cross-entropy does not use it"
    assert not set(before[1:]) & set(after[1:])
    models = tmp_path / "own_changed" / "models.py"
    models.write_text(models.read_text() + "# changed\n")
    assert not set(after) & set(keys())


def test_what_does_not_work_is_told_with_its_line_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    spec = write_parts(tmp_path, "own_wrong")
    spec["losses"] = ["cross_entropy", {"loss": "own_wrong.losses:cold", "temprature": 1}]
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump(spec, sort_keys=False))
    assert command("run", path, "--executor", "inline", "--home", tmp_path / "home") == 2
    said = capsys.readouterr().err
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if "own_wrong.losses" in text)
    (message,) = [text for text in said.splitlines() if "spec.yaml:" in text]
    assert f"spec.yaml:{line}: losses[1]: own_wrong.losses:cold: does not take these parameters" in message
    assert "Traceback" not in said
    assert not (tmp_path / "home" / "sweeps").exists()


def test_parts_that_are_not_there_are_told_all_at_once(tmp_path: Path) -> None:
    spec = write_parts(tmp_path, "own_missing")
    spec |= {"model": "nowhere_m:build", "losses": ["nowhere_l:cold", "cefl"]}
    spec["data"]["source"] = "nowhere_d:load"
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump(spec))
    with pytest.raises(SpecError) as caught:
        build_plan(load_spec(str(path)), tmp_path / "data")
    text = str(caught.value)
    for name in ("nowhere_m", "nowhere_l", "nowhere_d"):
        assert f"there is no module {name}" in text


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return 3", "must return a dict of arrays by name, but returned"),
        ("return {'train_images': [1]}", "these keys must be there, but are missing: train_labels"),
        ("raise OSError('no disk')", "fails: OSError: no disk"),
        (
            "import numpy as np; return {'train_images': np.zeros((2, 8, 8)), 'train_labels': np.arange(2)}",
            "train_images must be uint8, from 0 to 255, but is float64",
        ),
    ],
)
def test_data_that_do_not_fit_are_told(
    tmp_path: Path, body: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    name = f"own_data_{abs(hash(body))}"
    spec = write_parts(tmp_path, name)
    (tmp_path / name / "data.py").write_text(f"def load():\n    {body}\n")
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump(spec))
    with pytest.raises(SpecError, match=said):
        build_plan(load_spec(str(path)), tmp_path / "cache")


def test_ours_alone_need_no_check(tmp_path: Path, small_spec: Path) -> None:
    loaded = load_spec(str(small_spec))
    plan = build_plan(loaded, tmp_path / "data")
    check_parts(plan, loaded)
    assert plan.points[0].config.parts == {}
    assert "parts" not in plan.points[0].config.as_json()
    assert plan.points[0].config.code == ()


def test_python_gives_what_the_commands_print(
    small_spec: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = run(small_spec, home)
    assert outcome.exit_code == 0
    for verb in ("best", "trials", "status"):
        assert getattr(sweeps, verb)("small", home=home) == told(capsys, verb, "small", "--home", home)
    values = yaml.safe_load(small_spec.read_text())
    values["data"]["source"] = f"npz:{small_spec.with_name('stripes.npz')}"
    assert run(values, home).trained == 0, "the same trials"
    assert run(Spec.model_validate(values), home).trained == 0


def test_python_refuses_what_the_commands_refuse(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="specification: losses: is required"):
        run({"name": "s", "data": "digits", "depth": 8}, tmp_path)
    with pytest.raises(InputError, match="holds text, numbers, lists and mappings, but got"):
        run({"name": object()}, tmp_path)
    with pytest.raises(InputError, match="'local' is not one of ray, inline"):
        sweeps.run("quickstart", home=tmp_path, executor="local")
    with pytest.raises(InputError, match="no such sweep"):
        sweeps.best("nothing", home=tmp_path)
    assert not Home.at(tmp_path).sweeps()
