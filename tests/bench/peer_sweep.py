"""A sweep as the documentation of Ray Tune, OptunaSearch and MLflowLoggerCallback teaches to write one.

    python peer_sweep.py SETUP.json

The trainable follows Tune's PyTorch tutorial (data set, loader and model made in the function, a checkpoint
with every report, `get_checkpoint` to go on), the search OptunaSearch's docstring, tracking Tune's page on
MLflow, and going on its guide to fault tolerance (`Tuner.can_restore`, then `Tuner.restore`). Network, loss,
images, transforms and recipe are those of our trials.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import ray
import torch
from numpy.typing import NDArray
from PIL import Image
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback
from ray.tune.search.optuna import OptunaSearch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from cefl.config import TrialConfig
from cefl.data import open_dataset
from cefl.losses import build_loss
from cefl.metrics import classification_metrics
from cefl.models import build_model
from cefl.trial import divide

NAME = "peer"
METRIC = "val/balanced_accuracy"
STATE = "state.pt"


class Photos(Dataset[tuple[Tensor, int]]):
    """Some images of a split, as `torchvision.datasets` gives them."""

    def __init__(
        self, images: NDArray[np.uint8], labels: NDArray[np.int64], indices: NDArray[np.int64], transform: Any
    ) -> None:
        self.images, self.labels = images[indices], labels[indices]
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index].squeeze())), int(self.labels[index])


def loaders(config: TrialConfig) -> tuple[DataLoader[Any], DataLoader[Any], DataLoader[Any]]:
    """Training, validation and test."""
    dataset, division, recipe = open_dataset(Path(config.data)), divide(config), config.recipe
    size = dataset.image_shape[0]
    final = [transforms.ToTensor(), transforms.Normalize(dataset.mean, dataset.std)]
    drawn = [transforms.RandomCrop(size, padding=recipe.crop_padding)]
    drawn += [transforms.RandomHorizontalFlip()] if recipe.augment == "crop-flip" else []
    train, test = dataset.train, dataset.test
    plain = transforms.Compose(final)
    return (
        DataLoader(
            Photos(train.images, train.labels, division.train, transforms.Compose(drawn + final)),
            batch_size=recipe.batch_size, shuffle=True,
        ),
        DataLoader(Photos(train.images, train.labels, division.validation, plain), batch_size=1000),
        DataLoader(Photos(test.images, test.labels, np.arange(len(test.labels)), plain), batch_size=1000),
    )  # fmt: skip


def evaluate(model: nn.Module, loss: nn.Module, loader: DataLoader[Any], name: str) -> dict[str, float]:
    """The metrics that our trials report."""
    model.eval()
    targets, predictions, total = [], [], 0.0
    with torch.no_grad():
        for images, labels in loader:
            logits = model(images)
            total += loss(logits, labels).item() * len(labels)
            targets.append(labels)
            predictions.append(logits.argmax(dim=1))
    truth, guess = torch.cat(targets).numpy(), torch.cat(predictions).numpy()
    values = {"loss": total / len(truth), **classification_metrics(truth, guess, logits.shape[1])}
    return {f"{name}/{key}": value for key, value in values.items()}


def train(config: dict[str, Any], base: dict[str, Any]) -> None:
    """The trainable."""
    trial = TrialConfig.from_json({**base, "params": {"gamma": config["gamma"]}})
    recipe = trial.recipe
    torch.manual_seed(trial.seed)
    train_loader, validation, test = loaders(trial)
    dataset = open_dataset(Path(trial.data))
    size, _, channels = dataset.image_shape
    model = build_model(trial.model, dataset.num_classes, channels, size, seed=trial.seed)
    loss = build_loss(trial.loss, trial.params)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=recipe.learning_rate, momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
    )  # fmt: skip
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, list(recipe.milestones), recipe.decay)
    start = 0
    checkpoint = tune.get_checkpoint()
    if checkpoint:
        with checkpoint.as_directory() as folder:
            state = torch.load(Path(folder) / STATE)
        start = state["epoch"]
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
    for epoch in range(start + 1, recipe.epochs + 1):
        begin = time.perf_counter()
        model.train()
        total, correct = 0.0, 0
        for images, labels in train_loader:
            optimizer.zero_grad()
            logits = model(images)
            value = loss(logits, labels)
            value.backward()
            optimizer.step()
            total += value.item() * len(labels)
            correct += (logits.argmax(dim=1) == labels).sum().item()
        count = len(train_loader.dataset)  # type: ignore[arg-type]
        metrics = {
            "train/loss": total / count, "train/accuracy": correct / count,
            "learning_rate": schedule.get_last_lr()[0],
            "images_per_second": count / (time.perf_counter() - begin),
        }  # fmt: skip
        schedule.step()
        metrics |= evaluate(model, loss, validation, "val")
        if epoch == recipe.epochs:
            metrics |= evaluate(model, loss, test, "test")
        metrics["seconds"] = time.perf_counter() - begin
        with tempfile.TemporaryDirectory() as folder:
            state = {
                "epoch": epoch, "model": model.state_dict(), "optimizer": optimizer.state_dict(),
                "schedule": schedule.state_dict(),
            }  # fmt: skip
            torch.save(state, Path(folder) / STATE)
            tune.report(metrics, checkpoint=tune.Checkpoint.from_directory(folder))


def tuner(setup: dict[str, Any]) -> tune.Tuner:
    """A new sweep, or the one that was interrupted."""
    trainable = tune.with_resources(
        tune.with_parameters(train, base=setup["base"]), {"cpu": setup["threads"]}
    )
    path = Path(setup["folder"]) / NAME
    if tune.Tuner.can_restore(str(path)):
        return tune.Tuner.restore(str(path), trainable=trainable, resume_errored=True)
    storage = optuna.storages.RDBStorage(setup["optuna"]) if setup["optuna"] else None
    search = OptunaSearch(
        points_to_evaluate=[{"gamma": gamma} for gamma in setup["gammas"]], storage=storage, study_name=NAME
    )
    return tune.Tuner(
        trainable,
        param_space={"gamma": tune.uniform(0, 5)},
        tune_config=tune.TuneConfig(
            metric=METRIC, mode="max", search_alg=search, num_samples=len(setup["gammas"]),
            max_concurrent_trials=setup["slots"],
        ),
        run_config=tune.RunConfig(
            name=NAME, storage_path=setup["folder"],
            callbacks=[
                MLflowLoggerCallback(
                    tracking_uri=setup["mlflow"], experiment_name=NAME, save_artifact=setup["artifacts"]
                )
            ],
        ),
    )  # fmt: skip


def main() -> None:
    """Run, and write down what this process took."""
    begin = time.time()
    setup = json.loads(Path(sys.argv[1]).read_text())
    ray.init(address="local", include_dashboard=False)
    results = tuner(setup).fit()
    ray.shutdown()
    took = {"begin": begin, "end": time.time(), "cpu": time.process_time(), "errors": results.num_errors}
    Path(setup["took"]).write_text(json.dumps(took))


if __name__ == "__main__":
    main()
