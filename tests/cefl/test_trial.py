"""One trial in a folder: its rows, its resume, its key, and that it trains on no image it is judged by."""

from __future__ import annotations

import itertools
import json
import math
import random
import time
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from published_weights import put_weights
from safetensors.torch import load_file

from cefl import trial
from cefl.checkpoint_files import found
from cefl.config import PLACES, TrialConfig
from cefl.data import open_dataset, prepare
from cefl.errors import CeflError, CheckpointError, DataError, ImbalanceError
from cefl.metrics import classification_metrics, confusion, shot_accuracy
from cefl.models import build_model
from cefl.recipes import PRESETS, Recipe
from cefl.training import EpochResult, Fit
from cefl.trial import IMAGENET_MEAN, IMAGENET_STD, assemble, divide, final_facts, run_trial

RECIPE = Recipe(epochs=4, batch_size=16, learning_rate=0.05, augment="crop", crop_padding=1, milestones=(3,))
LABELS = np.random.default_rng(5).permutation(np.repeat(np.arange(3), 60))
Images = NDArray[np.uint8]


def patterns(labels: NDArray[np.int64], seed: int) -> Images:
    """8x8 images with a bright row for their class, under noise."""
    images = np.random.default_rng(seed).integers(0, 120, (len(labels), 8, 8)).astype(np.uint8)
    images[np.arange(len(labels)), 2 * labels + 1] += 100
    return images


TRAIN, TEST_LABELS = patterns(LABELS, 0), np.arange(30) % 3
TEST = patterns(TEST_LABELS, 1)
MakeConfig = Callable[..., TrialConfig]


@pytest.fixture
def configured(tmp_path: Path) -> MakeConfig:
    """Caches the images given and makes a configuration for them."""
    serial = itertools.count()

    def make(train: Images = TRAIN, test: Images = TEST, **changes: Any) -> TrialConfig:
        path = tmp_path / f"data{next(serial)}.npz"
        np.savez(path, train_images=train, train_labels=LABELS, test_images=test, test_labels=TEST_LABELS)
        folder = prepare(f"npz:{path}", tmp_path / "cache")
        config = TrialConfig(
            data=str(folder), digest=open_dataset(folder).digest, imbalance=6.0, order="ascending",
            validation={"unused": 10}, model="resnet8", pretrained=False, loss="cefl", params={"gamma": 1.0},
            seed=0, recipe=RECIPE, precision="float32",
        )  # fmt: skip
        return replace(config, **changes)

    return make


def run(config: TrialConfig, folder: Path) -> list[dict[str, Any]]:
    return list(run_trial(config, folder, "cpu"))


def untimed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows without clock and speed, which no two runs share."""
    timed = {"seconds", "images_per_second"}
    return [
        {
            **{key: value for key, value in row.items() if key != "timestamp"},
            "metrics": {key: value for key, value in row["metrics"].items() if key not in timed},
        }
        for row in rows
    ]


def same_weights(one: Path, other: Path) -> bool:
    mine, yours = (load_file(folder / "weights.safetensors") for folder in (one, other))
    assert mine.keys() == yours.keys()
    return all(torch.equal(mine[name], yours[name]) for name in mine)


def test_a_trial_gives_one_row_an_epoch_and_tests_at_the_end_alone(
    configured: MakeConfig, tmp_path: Path
) -> None:
    rows = run(configured(), tmp_path / "trial")
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    stamps = [row["timestamp"] for row in rows]
    assert stamps == sorted(stamps)
    for row in rows[:3]:
        assert not [name for name in row["metrics"] if name.startswith("test/")]
        assert "final" not in row
        assert {"train/loss", "train/accuracy", "val/balanced_accuracy", "learning_rate"} <= row[
            "metrics"
        ].keys()
    assert {"test/accuracy", "test/macro_f1", "test/recall/0", "val/recall/2"} <= rows[3]["metrics"].keys()
    assert json.loads(json.dumps(rows)) == rows


def test_the_test_set_is_evaluated_every_epoch_where_asked_and_changes_nothing(
    configured: MakeConfig, tmp_path: Path
) -> None:
    config = configured()
    rows = run(replace(config, test_every_epoch=True), tmp_path / "every")
    assert all("test/accuracy" in row["metrics"] for row in rows)
    deciding = next(run_trial(replace(config, test_curve_decides=True), tmp_path / "deciding", "cpu"))
    assert untimed([deciding]) == untimed(rows[:1])
    assert untimed(run(config, tmp_path / "once"))[-1] == untimed(rows)[-1]
    assert same_weights(tmp_path / "every", tmp_path / "once")


def test_the_device_of_the_record_is_the_one_that_trained(
    configured: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only with two GPUs is it another than the current one, so the driver's answer is made up."""
    dataset, division, run = assemble(configured(), "cpu")
    outcome = EpochResult(1, 0.1, 1.0, 0.5, {}, 1.0, 1.0)
    assert final_facts(outcome, dataset, division, run)["device"] == "cpu"
    monkeypatch.setattr("torch.cuda.get_device_name", lambda device=None: f"GPU of {device}")
    run.device = torch.device("cuda:1")
    assert final_facts(outcome, dataset, division, run)["device"] == "GPU of cuda:1"


def test_the_final_row_agrees_with_the_files_and_the_weights_with_the_predictions(
    configured: MakeConfig, tmp_path: Path
) -> None:
    config, folder = configured(), tmp_path / "trial"
    final = run(config, folder)[-1]
    division = divide(config)
    assert final["final"]["train_counts"] == list(division.train_counts) == [10, 24, 50]
    assert final["final"]["validation_counts"] == [10, 10, 10]
    assert final["final"]["classes"] == ["0", "1", "2"]
    assert final["final"]["precision"] == "float32"
    with np.load(folder / "predictions.npz", allow_pickle=False) as arrays:
        saved = dict(arrays)
    assert saved["test_targets"].tolist() == TEST_LABELS.tolist()
    assert saved["val_targets"].tolist() == LABELS[division.validation].tolist()
    for name in ("val", "test"):
        targets, predictions = saved[f"{name}_targets"], saved[f"{name}_predictions"]
        assert final["final"]["confusion"][name] == confusion(targets, predictions, 3).tolist()
        expected = classification_metrics(targets, predictions, 3)
        expected |= {
            f"{group}_shot_accuracy": value
            for group, value in shot_accuracy(targets, predictions, division.train_counts).items()
        }
        assert {key: final["metrics"][f"{name}/{key}"] for key in expected} == expected
    model = build_model("resnet8", 3, 1, 8)
    model.load_state_dict(load_file(folder / "weights.safetensors"))
    dataset = open_dataset(Path(config.data))
    inputs = (torch.from_numpy(TEST)[:, None] / 255 - dataset.mean[0]) / dataset.std[0]
    with torch.no_grad():
        guesses = model.eval()(inputs).argmax(dim=1)
    assert guesses.tolist() == saved["test_predictions"].tolist()


def test_weights_are_left_out_where_they_are_not_kept(configured: MakeConfig, tmp_path: Path) -> None:
    run(configured(keep_weights=False), tmp_path / "trial")
    names = sorted(path.name for path in (tmp_path / "trial").iterdir() if "checkpoint" not in path.name)
    assert names == ["predictions.npz"]


@pytest.mark.parametrize("share", [1e-12, math.inf], ids=["seldom", "always"])
@pytest.mark.parametrize("stop", [1, 3])
def test_a_stopped_trial_repeats_its_rows_and_goes_on_to_the_same_weights(
    configured: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int, share: float
) -> None:
    monkeypatch.setattr(trial, "CHECKPOINT_SHARE", share)
    config = configured()
    whole = run(config, tmp_path / "whole")
    stopped = list(itertools.islice(run_trial(config, tmp_path / "stopped", "cpu"), stop))
    known = 0 if share < 1 else stop
    assert [epoch for epoch, _ in found(tmp_path / "stopped")][:1] == ([known] if known else [])
    resumed = run(config, tmp_path / "stopped")
    assert resumed[:known] == stopped[:known], "timestamps and seconds too"
    assert untimed(resumed) == untimed(whole)
    assert same_weights(tmp_path / "whole", tmp_path / "stopped")


def test_checkpoints_take_a_hundredth_of_the_time_however_short_the_epochs(
    configured: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a checkpoint takes a second and an epoch 30, every fourth has one, from the first on."""
    clock, written = SimpleNamespace(now=0.0, time_ns=time.time_ns), list[int]()
    clock.monotonic = lambda: clock.now

    def write(folder: Path, epoch: int, state: dict[str, Any]) -> None:
        clock.now += 1.0
        written.append(epoch)

    class Run(Fit):
        size = int(trial.CHECKPOINT_SPEED)  # Taken to need a second.

        def __next__(self) -> EpochResult:
            clock.now += 30.0
            self.epoch += 1
            return EpochResult(self.epoch, 0.1, 1.0, 0.5, {}, 30.0, 1.0)

    monkeypatch.setattr(trial, "time", clock)
    monkeypatch.setattr(trial, "save_checkpoint", write)
    dataset, division, run = assemble(configured(), "cpu")
    run.__class__ = Run
    config = configured(recipe=replace(RECIPE, epochs=101))
    list(itertools.islice(trial._rows(config, tmp_path, dataset, division, run, []), 100))
    assert written == list(range(4, 101, 4))


def test_a_finished_trial_gives_its_rows_again_and_trains_nothing(
    configured: MakeConfig, tmp_path: Path
) -> None:
    config, folder = configured(), tmp_path / "trial"
    rows = run(config, folder)
    written = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert run(config, folder) == rows
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == written


def test_a_damaged_checkpoint_costs_epochs_and_changes_no_number(
    configured: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "CHECKPOINT_SHARE", math.inf)
    config = configured()
    whole = run(config, tmp_path / "whole")
    list(itertools.islice(run_trial(config, tmp_path / "stopped", "cpu"), 3))
    newest = found(tmp_path / "stopped")[0][1]
    newest.write_bytes(newest.read_bytes()[:-9])
    assert untimed(run(config, tmp_path / "stopped")) == untimed(whole)
    assert same_weights(tmp_path / "whole", tmp_path / "stopped")


def shuffled(images: Images, which: NDArray[np.int64]) -> Images:
    """The pixels of some images in another order, which leaves mean and deviation of all as they are."""
    changed, random = images.copy(), np.random.default_rng(9)
    for index in which:
        changed[index] = random.permuted(images[index].ravel()).reshape(images.shape[1:])
    return changed


@pytest.mark.parametrize("rule", [{"unused": 10}, {"holdout": 0.2}])
def test_no_validation_unused_or_test_image_reaches_the_weights(
    configured: MakeConfig, tmp_path: Path, rule: dict[str, float]
) -> None:
    """Other pixels in all images but the training images give the same weights, to the last bit."""
    config = configured(validation=rule)
    division = divide(config)
    assert division.validation is not None
    assert not set(division.train) & set(division.validation)
    others = np.setdiff1d(np.arange(len(LABELS)), division.train)
    assert set(division.validation) <= set(others)
    changed = configured(shuffled(TRAIN, others), 255 - TEST, validation=rule)
    assert changed.digest != config.digest
    rows, changed_rows = run(config, tmp_path / "a"), run(changed, tmp_path / "b")
    assert same_weights(tmp_path / "a", tmp_path / "b")
    losses = [[row["metrics"]["train/loss"] for row in each] for each in (rows, changed_rows)]
    assert losses[0] == losses[1]
    for name in ("val/loss", "test/loss"):
        assert rows[-1]["metrics"][name] != changed_rows[-1]["metrics"][name]
    one = configured(shuffled(TRAIN, division.train[:1]), validation=rule)
    run(one, tmp_path / "c")
    assert not same_weights(tmp_path / "a", tmp_path / "c"), "this test could not see a training image"


def test_pretrained_weights_see_the_statistics_of_imagenet_and_are_named_in_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, published = put_weights(tmp_path / "torch", monkeypatch)
    drawn = np.random.default_rng(0)
    images, labels = drawn.integers(0, 256, (12, 70, 70, 3), dtype=np.uint8), np.arange(12) % 2
    path = tmp_path / "data.npz"
    np.savez(path, train_images=images, train_labels=labels, test_images=images, test_labels=labels)
    folder = prepare(f"npz:{path}", tmp_path / "cache")
    recipe = Recipe(epochs=1, batch_size=12, learning_rate=1e-9, augment="imagenet", image_size=66)
    config = TrialConfig(
        data=str(folder), digest=open_dataset(folder).digest, imbalance=None, order="ascending",
        validation="none", model="resnet18", pretrained=True, loss="cross_entropy", params={}, seed=0,
        recipe=recipe, precision="float32",
    )  # fmt: skip
    fit = assemble(config, "cpu")[2]
    assert torch.equal(fit.model.state_dict()["layer4.1.conv2.weight"], published["layer4.1.conv2.weight"])
    for channel, (mean, std) in enumerate(zip(IMAGENET_MEAN, IMAGENET_STD, strict=True)):
        assert float(fit.scale[0, channel] * 255 * mean + fit.shift[0, channel]) == pytest.approx(0, abs=1e-6)
        white = float(fit.scale[0, channel] * 255 + fit.shift[0, channel])
        assert white == pytest.approx((1 - mean) / std, rel=1e-6)
    (row,) = run(config, tmp_path / "trial")
    assert row["final"]["weights"] == file
    own = assemble(replace(config, pretrained=False), "cpu")[2]
    assert not torch.allclose(own.shift, fit.shift), "without them the statistics are those of the data"


def test_without_validation_every_image_of_the_tail_trains(configured: MakeConfig, tmp_path: Path) -> None:
    rows = run(configured(validation="none"), tmp_path / "trial")
    assert rows[-1]["final"]["train_counts"] == [10, 24, 60]
    assert not [name for row in rows for name in row["metrics"] if name.startswith("val/")]


def test_seeds_give_other_subsets_and_other_weights(configured: MakeConfig, tmp_path: Path) -> None:
    config = configured()
    for seed in (0, 1):
        run(replace(config, seed=seed), tmp_path / str(seed))
    assert not same_weights(tmp_path / "0", tmp_path / "1")
    assert divide(config).train.tolist() != divide(replace(config, seed=1)).train.tolist()


def test_data_and_training_have_seeds_that_work_alone(configured: MakeConfig) -> None:
    def drawn(**seeds: int) -> tuple[list[int], list[float]]:
        config = configured(**seeds)
        _, division, fit = assemble(config, "cpu")
        return division.train.tolist(), fit.model.state_dict()["conv1.weight"].flatten().tolist()

    images, weights = drawn(seed=0)
    assert drawn(seed=5, data_seed=0, train_seed=0) == (images, weights)
    same_images, other_weights = drawn(seed=0, train_seed=1)
    assert same_images == images
    assert other_weights != weights
    other_images, same_weights_ = drawn(seed=0, data_seed=1)
    assert other_images != images
    assert same_weights_ == weights


def test_the_training_seed_orders_and_the_data_seed_does_not(configured: MakeConfig, tmp_path: Path) -> None:
    """All images train, so that the data seed draws nothing."""
    whole = {"imbalance": None, "validation": "none"}
    first, data, training = (
        untimed(run(configured(**whole, **seeds), tmp_path / str(index)))
        for index, seeds in enumerate(({}, {"data_seed": 1}, {"train_seed": 1}))
    )
    assert data == first
    assert training != first


def test_a_run_repeats_to_the_last_bit_and_leaves_the_global_generators_alone(
    configured: MakeConfig, tmp_path: Path
) -> None:
    config = configured()
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    first = run(config, tmp_path / "first")
    after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    assert before[:2] == after[:2]
    assert torch.equal(before[2], after[2])
    random.seed(2)
    np.random.seed(2)
    torch.manual_seed(2)
    assert untimed(run(config, tmp_path / "again")) == untimed(first)
    assert same_weights(tmp_path / "first", tmp_path / "again")


@pytest.mark.parametrize(
    ("loss", "params"), [("logit_adjustment", {"tau": 1.0}), ("ldam_drw", {"beta": 0.99, "defer": 0.5})]
)
def test_losses_that_know_class_sizes_or_epochs_go_on_to_the_same_numbers(
    configured: MakeConfig, tmp_path: Path, loss: str, params: dict[str, float]
) -> None:
    config = configured(loss=loss, params=params)
    whole = run(config, tmp_path / "whole")
    rows = run_trial(config, tmp_path / "stopped", "cpu")
    next(rows)
    rows.close()
    assert untimed(run(config, tmp_path / "stopped")) == untimed(whole)
    assert same_weights(tmp_path / "whole", tmp_path / "stopped")


def test_deferred_weights_change_the_training_from_their_epoch_on(
    configured: MakeConfig, tmp_path: Path
) -> None:
    config = configured(loss="cross_entropy_drw", params={"beta": 0.999, "defer": 0.5})
    deferred = untimed(run(config, tmp_path / "drw"))
    plain = untimed(run(replace(config, loss="cross_entropy", params={}), tmp_path / "ce"))
    assert deferred[:2] == plain[:2]
    assert deferred[2] != plain[2]


def test_ldam_trains_cosines(configured: MakeConfig, tmp_path: Path) -> None:
    config = configured(loss="ldam", params={})
    run(config, tmp_path / "ldam")
    run(replace(config, loss="cross_entropy"), tmp_path / "ce")
    cosines, linear = (load_file(tmp_path / name / "weights.safetensors") for name in ("ldam", "ce"))
    assert linear.keys() - cosines.keys() == {"fc.bias"}


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"digest": "0" * 64}, DataError, "digest"),
        ({"imbalance": 61.0}, ImbalanceError, "at most 60"),
        ({"recipe": replace(RECIPE, batch_size=85)}, CeflError, "got 85 > 84"),
        ({"data": "/nowhere"}, DataError, "nowhere"),
    ],
)
def test_what_does_not_fit_is_refused_in_the_call_and_nothing_is_written(
    configured: MakeConfig, tmp_path: Path, changes: dict[str, Any], error: type[CeflError], said: str
) -> None:
    with pytest.raises(error, match=said):
        run_trial(configured(**changes), tmp_path / "trial", "cpu")
    assert not (tmp_path / "trial").exists()


def test_a_folder_of_another_trial_is_refused(configured: MakeConfig, tmp_path: Path) -> None:
    config = configured()
    run(config, tmp_path / "trial")
    with pytest.raises(CheckpointError, match=config.key()):
        run_trial(replace(config, seed=1), tmp_path / "trial", "cpu")


DECISIVE: dict[str, Any] = {
    "digest": "other", "imbalance": 7.0, "order": "descending", "validation": {"unused": 9},
    "model": "resnet14", "pretrained": True, "loss": "cefl2", "params": {"gamma": 1.5}, "seed": 1,
    "precision": "bf16", "recipe": replace(RECIPE, epochs=5), "data_seed": 3, "train_seed": 4,
    "parts": {"loss": "3f5a"}, "test_curve_decides": True,
}  # fmt: skip
RECIPES: dict[str, Any] = {
    "epochs": 5, "batch_size": 17, "learning_rate": 0.06, "momentum": 0.8, "weight_decay": 0.0,
    "milestones": (2,), "decay": 0.2, "warmup_epochs": 1, "augment": "none", "crop_padding": 2,
    "image_size": 16,
}  # fmt: skip
CONFIG = TrialConfig(
    data="here", digest="some", imbalance=6.0, order="ascending", validation={"unused": 10}, model="resnet8",
    pretrained=False, loss="cefl", params={"gamma": 1.0}, seed=0, recipe=RECIPE,
)  # fmt: skip


def test_the_key_changes_with_everything_that_decides_and_with_nothing_else() -> None:
    assert DECISIVE.keys() | set(PLACES) == {field.name for field in fields(TrialConfig)}
    assert RECIPES.keys() == {field.name for field in fields(Recipe)}
    variants = [replace(CONFIG, **{name: value}) for name, value in DECISIVE.items() if name != "recipe"]
    variants += [replace(CONFIG, recipe=replace(RECIPE, **{name: value})) for name, value in RECIPES.items()]
    keys = [CONFIG.key(), *(variant.key() for variant in variants)]
    assert len(set(keys)) == len(keys) == len(DECISIVE) + len(RECIPES)
    assert all(len(key) == 12 and int(key, 16) >= 0 for key in keys)
    elsewhere = replace(CONFIG, data="there", test_every_epoch=True, keep_weights=False)
    assert elsewhere.key() == CONFIG.key()


def test_the_key_is_of_values_not_of_how_they_are_written() -> None:
    whole = replace(CONFIG, imbalance=6, params={"gamma": 1}, recipe=replace(RECIPE, weight_decay=0))
    assert whole.key() == replace(CONFIG, recipe=replace(RECIPE, weight_decay=-0.0)).key()
    assert TrialConfig.from_json(json.loads(json.dumps(CONFIG.as_json()))) == CONFIG
    own = replace(CONFIG, loss="mine:cold", params={"t": -1.0}, parts={"loss": "3f5a"}, code=("/here",))
    assert TrialConfig.from_json(json.loads(json.dumps(own.as_json()))) == own
    assert replace(own, code=("/there",)).key() == own.key()
    curve = replace(CONFIG, test_curve_decides=True)
    assert TrialConfig.from_json(json.loads(json.dumps(curve.as_json()))) == curve
    assert "test_curve_decides" not in CONFIG.as_json(), "what is there reads as before"
    natural = replace(CONFIG, imbalance=None)
    assert natural.key() == replace(natural, order="descending").key() != CONFIG.key()


def test_the_key_of_a_configuration_stays_what_it_was() -> None:
    """Results are found again by their keys: raise `NUMERICS` when they must not be, and this with it."""
    assert CONFIG.key() == "114f8f99e8b8"
    assert replace(CONFIG, recipe=PRESETS["cifar"], model="resnet18").key() == "ea7c23de3e11"


def test_the_key_is_of_the_seeds_that_draw_not_of_how_they_are_given() -> None:
    assert replace(CONFIG, seed=7, data_seed=0, train_seed=0).key() == CONFIG.key()
    assert replace(CONFIG, seed=7, data_seed=0).key() == replace(CONFIG, train_seed=7).key()
    assert replace(CONFIG, data_seed=7).key() != replace(CONFIG, train_seed=7).key()


def test_the_key_holds_the_file_of_pretrained_weights_and_the_version_of_an_augmentation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pretrained = replace(CONFIG, model="resnet50", pretrained=True)
    cropped = replace(CONFIG, recipe=replace(RECIPE, augment="imagenet"))
    before = pretrained.key(), cropped.key(), CONFIG.key()
    monkeypatch.setattr("cefl.config.PRETRAINED", {"resnet50": "resnet50-11ad3fa6.pth"})
    monkeypatch.setattr("cefl.config.AUGMENT_NUMERICS", {"imagenet": 3})
    assert pretrained.key() != before[0]
    assert cropped.key() != before[1]
    assert CONFIG.key() == before[2]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"loss": "cefl3"}, "loss is one of cross_entropy"),
        ({"params": {"gamma": -1.0}}, r"0 <= params.gamma < inf.*-1.0"),
        ({"params": {"gamma": math.nan}}, "nan"),
        ({"params": {"gamma": "2"}}, "'2'"),
        ({"params": {"alpha": 1.0}}, "params of cefl are gamma"),
        ({"loss": "cb_focal", "params": {"beta": 1.0}}, r"0 <= params.beta < 1.*'beta': 1.0"),
        ({"loss": "ldam", "params": {"scale": True}}, r"0 < params.scale < inf"),
        ({"loss": "mine:cold", "params": {"t": math.nan}}, "params are finite numbers"),
        ({"model": "resnet19"}, "resnet19"),
        ({"order": "random"}, "random"),
        ({"precision": "fp16"}, "fp16"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_a_configuration_that_breaks_a_rule_cannot_exist(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(CeflError, match=said):
        replace(CONFIG, **changes)


def test_all_broken_rules_are_named_at_once() -> None:
    with pytest.raises(CeflError, match=r"model is.*order is.*seed is.*seed=-1"):
        replace(CONFIG, model="resnet19", order="sideways", seed=-1)
