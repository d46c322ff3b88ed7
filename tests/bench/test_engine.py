"""What the engine is compared with, on what, and how that is judged."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

import bench_training
import engine
import numpy as np
import pytest
from bench_training import read
from measuring import Bench
from plain_loop import PlainLoop

from cefl.models import build_model
from cefl.recipes import Recipe


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(sys, "argv", ["engine.py"])
    return Bench("engine", "", options=engine.OPTIONS, conditions={"precision": "bf16"})


def test_the_engine_is_judged_by_the_faster_layout_of_the_plain_loop(bench: Bench) -> None:
    options = Namespace(model="resnet18", device="cpu")
    passes = {
        "engine": [1.0, 2.0, 1.0],
        "plain loop": [3.0, 6.0, 3.0],
        "plain loop, channels-last": [2.0] * 3,
    }
    engine.judged(bench, options, passes)
    first, second, last = bench.figures
    assert [first["median"], second["median"], last["median"]] == [3, 2, 2]
    assert [figure["met"] for figure in bench.figures] == [None, None, False]
    assert "channels-last" in last["note"]


def test_data_that_are_not_named_are_cifar_where_it_lies_else_digits_and_the_conditions_say_so(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_training, "FOLDERS", (tmp_path / "none", tmp_path))
    bench_training.choose(bench)
    assert bench.options.data == "digits"
    assert "not CIFAR-10: no --data" in bench.conditions["images from"]
    bench_training.choose(bench)
    assert bench.conditions["images from"] == "digits", "named"
    (tmp_path / "cifar10.npz").touch()
    bench.options.data = ""
    bench_training.choose(bench)
    assert bench.options.data == bench.conditions["images from"] == str(tmp_path / "cifar10.npz")


def test_models_come_in_one_command_and_what_is_not_there_is_refused(bench: Bench) -> None:
    options = bench.options
    options.model = "resnet20, resnet8"
    assert [each.model for each in engine.checked(options)] == ["resnet20", "resnet8"]
    assert options.workers == "2"
    for name, value in (("model", "resnet9"), ("workers", "-1"), ("device", "tpu")):
        with pytest.raises(SystemExit, match=f"^--{name}: .*{value}"):
            engine.checked(Namespace(**vars(options) | {name: value}))


def test_the_plain_loop_learns_and_is_judged_on_all_test_images() -> None:
    options = Namespace(data="digits", images=120, imbalance=1.0, test=60)
    data = read(options)
    bright = np.arange(120) % 2
    images = np.full((120, 16, 16, 3), 40, np.uint8) + (150 * bright).astype(np.uint8)[:, None, None, None]
    recipe = Recipe(epochs=3, batch_size=12, learning_rate=0.05, crop_padding=1)
    loop = PlainLoop(
        build_model("resnet8", 2, 3, 16), (images, bright), (images[:30], bright[:30]), recipe,
        seed=0, device="cpu", workers=0, channels_last=True, **data.statistics,
    )  # fmt: skip
    assert all(loop.epoch() > 0 for _ in range(recipe.epochs))
    assert loop.accuracy() == 1
    assert loop.optimizer.param_groups[0]["lr"] == recipe.learning_rate
    assert len(data.labels) == 120
    assert len(data.test_labels) == 60
