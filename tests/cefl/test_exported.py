"""An exported model gives the predictions of its trial, without code; what is wrong with a folder is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_data import write_stripes

import cefl
from cefl.config import TrialConfig
from cefl.data import open_dataset, prepare
from cefl.errors import ModelError
from cefl.exported import write_model
from cefl.recipes import Recipe
from cefl.trial import run_trial

RECIPE = Recipe(epochs=1, batch_size=32, learning_rate=0.05, augment="crop", crop_padding=1)


def trained(folder: Path, **changes: Any) -> TrialConfig:
    """A trial of one epoch, its weights and predictions in ``folder / "trial"``, exported to ``model``."""
    data = prepare(f"npz:{write_stripes(folder / 'stripes.npz')}", folder / "cache")
    values: dict[str, Any] = {
        "data": str(data), "digest": open_dataset(data).digest, "imbalance": 2.0, "order": "ascending",
        "validation": {"unused": 3}, "model": "resnet8", "pretrained": False, "loss": "cefl",
        "params": {"gamma": 1.0}, "seed": 0, "recipe": RECIPE, "precision": "float32",
    }  # fmt: skip
    config = TrialConfig(**(values | changes))
    list(run_trial(config, folder / "trial", "cpu"))
    (folder / "model").mkdir()
    write_model(folder / "model", config, folder / "trial" / "weights.safetensors")
    return config


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"loss": "ldam", "params": {"scale": 20.0}},
        {"recipe": Recipe(epochs=1, batch_size=32, learning_rate=0.05, augment="none", image_size=12)},
    ],
    ids=["linear", "cosines", "resized"],
)
def test_it_predicts_what_its_trial_predicted(tmp_path: Path, changes: dict[str, Any]) -> None:
    config = trained(tmp_path, **changes)
    classifier = cefl.load(tmp_path / "model")
    dataset = open_dataset(Path(config.data))
    images = np.array(dataset.test.images)
    told = np.load(tmp_path / "trial" / "predictions.npz")["test_predictions"]
    assert classifier.predict(images) == [dataset.classes[index] for index in told]
    assert classifier.predict(images[..., 0]) == classifier.predict(torch.from_numpy(images))
    shares = classifier.probabilities(images)
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(len(images)))
    assert not classifier.training
    if config.loss == "ldam":
        with torch.inference_mode():
            largest = float(classifier(images).abs().max())
        assert 1 < largest <= 20 * (1 + 1e-6)


def test_images_that_it_cannot_see_are_refused(tmp_path: Path) -> None:
    trained(tmp_path)
    classifier = cefl.load(tmp_path / "model")
    for images in (torch.zeros(2, 8, 8, 1), torch.zeros(2, 8, 8, 3, dtype=torch.uint8)):
        with pytest.raises(ModelError, match=r"images must be uint8 of shape \(N, H, W, 1\), but are torch"):
            classifier(images)


def test_a_folder_that_is_none_or_damaged_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="model.json: cannot be read .*`sweeps export` writes such folders"):
        cefl.load(tmp_path)
    trained(tmp_path)
    folder = tmp_path / "model"
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="are no weights of this model"):
        cefl.load(folder)
    described = json.loads((folder / "model.json").read_text())
    (folder / "model.safetensors").write_bytes(whole)
    (folder / "model.json").write_text(json.dumps({**described, "classes": ["a", "b"]}))
    with pytest.raises(ModelError, match="are no weights of this model"):
        cefl.load(folder)
    (folder / "model.json").write_text(json.dumps({**described, "format": 2}))
    with pytest.raises(ModelError, match="is of format 2, but this program reads 1"):
        cefl.load(folder)
    (folder / "model.json").write_text("{}")
    with pytest.raises(ModelError, match="is not what `sweeps export` writes"):
        cefl.load(folder)
