"""One trial: a configuration and a folder in, one row an epoch out.

The folder holds checkpoints while the trial runs, and weights and predictions when it is done. A trial that
is started again in the same folder first gives the rows that its checkpoint knows, then goes on.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save

from cefl.catalog import COSINE_HEAD, LOSSES, PRETRAINED
from cefl.checkpoints import LOG, load_checkpoint, save_checkpoint
from cefl.config import TrialConfig
from cefl.data import Dataset, TrialSplit, open_dataset, split, validation_rule
from cefl.disk import storing, write_aside
from cefl.errors import CheckpointError, DataError
from cefl.losses import build_loss
from cefl.metrics import confusion, per_class, shot_accuracy
from cefl.models import build_model
from cefl.own_loss import build_own_loss
from cefl.training import WEIGHTS, EpochResult, Fit, ImageSet, SplitResult, fit, pick_device, stream

CHECKPOINT_SHARE = 0.01
"""Part of the training time that writing checkpoints may take: not every short epoch has one."""

CHECKPOINT_SPEED = 250e6
"""Bytes a second at which a checkpoint is taken to be written before the first one shows what it takes."""

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
Row = dict[str, Any]


def run_trial(
    config: TrialConfig, folder: Path, device: str | None = None, warn: Callable[[str], None] = LOG.warning
) -> Iterator[Row]:
    """Train one model in ``folder``, going on from its checkpoint if it has one.

    What is wrong with the input shows in the call, before anything is written; the training is in the
    iteration.

    Args:
        config: What to train, and on what.
        folder: Made if it is not there; belongs to this trial alone.
        device: Such as ``cpu`` or ``cuda:1``; by default a GPU where there is one.
        warn: Told of damaged checkpoints.

    Returns:
        An iterator of one row an epoch: ``epoch`` from 1, ``timestamp`` in ms since 1970, ``metrics``; the
        last one also has ``final``: confusion matrices, counts and precision. Rows that a checkpoint knows
        come again with their first timestamp.

    Raises:
        CeflError: If data, recipe, device or checkpoint do not fit together.
        StorageError: In the iteration, if the disk does not take what is written.
    """
    dataset, division, run = assemble(config, pick_device(device))
    state = load_checkpoint(folder, warn)
    if state is None:
        return _rows(config, folder, dataset, division, run, [])
    if state.get("key") != config.key():
        raise CheckpointError(
            f"{folder}: its checkpoint is of trial {state.get('key')}, but this is trial {config.key()};"
            " choose another folder, or delete this one"
        )
    if "model" in state:
        run.load_state_dict(state)
    else:
        run.epoch = state["epoch"]
    return _rows(config, folder, dataset, division, run, json.loads(state["rows"]))


def _rows(
    config: TrialConfig, folder: Path, dataset: Dataset, division: TrialSplit, run: Fit, rows: list[Row]
) -> Iterator[Row]:
    """``rows``, which are done, and then those of the epochs that are left."""
    yield from list(rows)
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    written, cost = time.monotonic(), run.size / CHECKPOINT_SPEED
    for result in run:
        row: Row = {
            "epoch": result.epoch,
            "timestamp": time.time_ns() // 1_000_000,
            "metrics": result.metrics(),
        }
        last = result.epoch == config.recipe.epochs
        if last:
            row["metrics"] |= final_metrics(result, dataset, division)
            row["final"] = final_facts(result, dataset, division, run)
            if config.pretrained:
                row["final"]["weights"] = PRETRAINED[config.model]
            write_results(folder, result, run, config.keep_weights)
        rows.append(row)
        if last or time.monotonic() - written > cost / CHECKPOINT_SHARE:
            begin = time.monotonic()
            facts = {"key": config.key(), "rows": json.dumps(rows)}
            # From the last one nothing goes on.
            state = {"epoch": result.epoch} if last else run.state_dict()
            save_checkpoint(folder, result.epoch, {**state, **facts})
            written = time.monotonic()
            cost = written - begin
        yield row


def assemble(config: TrialConfig, device: str) -> tuple[Dataset, TrialSplit, Fit]:
    """Data set, its division and the training for a configuration.

    Raises:
        DataError: If the data cache is not the one that the configuration was made for.
    """
    dataset = open_dataset(Path(config.data))
    if dataset.digest != config.digest:
        raise DataError(
            f"{config.data}: the digest of the data is {dataset.digest[:12]}, but this trial was planned for"
            f" {config.digest[:12]}; plan again, or restore the data"
        )
    division = divide(config)
    height, width, channels = dataset.image_shape
    seen = config.recipe.image_size or max(height, width)
    model = build_model(
        config.model, dataset.num_classes, channels, seen, config.pretrained,
        stream(config.draws_training, WEIGHTS), cosine_head=config.loss in COSINE_HEAD, folders=config.code,
        digest=config.parts.get("model"),
    )  # fmt: skip
    known: dict[str, Any] = {"train_counts": division.train_counts, "epochs": config.recipe.epochs}
    if config.loss in LOSSES:
        loss = build_loss(config.loss, config.params, **known)
    else:
        own: dict[str, Any] = {"folders": config.code, "digest": config.parts.get("loss")}
        loss = build_own_loss(config.loss, config.params, **known, **own)
    train, validation, test = image_sets(dataset, device, division)
    each: dict[str, ImageSet] = {}
    last: dict[str, ImageSet] = {}
    if validation is not None:
        each["val"] = validation
    (each if config.test_every_epoch or config.test_curve_decides else last)["test"] = test
    mean, std = (IMAGENET_MEAN, IMAGENET_STD) if config.pretrained else (dataset.mean, dataset.std)
    run = fit(
        model, loss, train, config.recipe,
        seed=config.draws_training, mean=torch.tensor(mean), std=torch.tensor(std),
        each_epoch=each, last_epoch=last, device=device, precision=config.precision,
    )  # fmt: skip
    return dataset, division, run


def divide(config: TrialConfig) -> TrialSplit:
    """Which images a configuration trains on and which it validates on."""
    rule = validation_rule(config.validation)
    return split(open_dataset(Path(config.data)), config.imbalance, config.order, rule, config.draws_data)


def image_sets(
    dataset: Dataset, device: str, division: TrialSplit
) -> tuple[ImageSet, ImageSet | None, ImageSet]:
    """Training, validation and test images on the device; the pixels are loaded once in a process."""

    def tensors(name: str) -> tuple[torch.Tensor, torch.Tensor]:
        return split_tensors(str(dataset.folder), dataset.digest, name, device)

    images, labels = tensors("train")
    train = ImageSet(images, labels, torch.tensor(division.train, device=device))
    if division.validation is None:
        validation = whole(*tensors("val"))
    else:
        validation = ImageSet(images, labels, torch.tensor(division.validation, device=device))
    return train, validation if len(validation) else None, whole(*tensors("test"))


def whole(images: torch.Tensor, labels: torch.Tensor) -> ImageSet:
    """All images of a split."""
    return ImageSet(images, labels, torch.arange(len(labels), device=labels.device))


@lru_cache(maxsize=8)  # A warm worker trains many trials on the same few splits.
def split_tensors(folder: str, digest: str, name: str, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Images uint8 ``(N, H, W, C)`` and labels int64 ``(N,)`` of a split.

    On the CPU the pixels stay on disk, mapped. The digest is there for the cache of this function alone: data
    that were prepared anew in the same folder are other data.
    """
    # Copy-on-write, so that torch takes the mapping as writable while the file cannot change.
    images: NDArray[np.uint8] = np.load(Path(folder) / name / "images.npy", mmap_mode="c", allow_pickle=False)
    labels: NDArray[np.int64] = np.load(Path(folder) / name / "labels.npy", allow_pickle=False)
    return torch.from_numpy(images).to(device), torch.from_numpy(labels).to(device)


def final_metrics(result: EpochResult, dataset: Dataset, division: TrialSplit) -> dict[str, float]:
    """What only the last epoch shows: recall by class, and accuracy of classes with many or few images."""
    row: dict[str, float] = {}
    for name, outcome in result.splits.items():
        recall = per_class(outcome.targets, outcome.predictions, dataset.num_classes)[1]
        row |= {
            f"{name}/recall/{label}": float(value)
            for label, value in zip(dataset.classes, recall, strict=True)
            if not np.isnan(value)
        }
        shots = shot_accuracy(outcome.targets, outcome.predictions, division.train_counts)
        row |= {f"{name}/{group}_shot_accuracy": value for group, value in shots.items()}
    return row


def final_facts(result: EpochResult, dataset: Dataset, division: TrialSplit, run: Fit) -> dict[str, Any]:
    """Confusion matrices (rows are the true class), images by class, and how the numbers were computed."""

    def matrix(outcome: SplitResult) -> list[list[int]]:
        table: list[list[int]] = confusion(outcome.targets, outcome.predictions, dataset.num_classes).tolist()
        return table

    return {
        "confusion": {name: matrix(outcome) for name, outcome in result.splits.items()},
        "classes": list(dataset.classes),
        "train_counts": [int(count) for count in division.train_counts],
        "validation_counts": [int(count) for count in division.validation_counts],
        "train_only": [dataset.classes[index] for index in division.train_only],
        "precision": run.precision,
        "device": torch.cuda.get_device_name(run.device) if run.device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
    }


def write_results(folder: Path, result: EpochResult, run: Fit, keep_weights: bool) -> None:
    """Predictions of every evaluated set, and the weights, both without code in them."""
    arrays: dict[str, NDArray[np.int64]] = {}
    for name, outcome in result.splits.items():
        arrays |= {f"{name}_targets": outcome.targets, f"{name}_predictions": outcome.predictions}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_aside(folder / "predictions.npz", buffer.getvalue())
    if keep_weights:
        tensors = {name: tensor.contiguous().cpu() for name, tensor in run.model.state_dict().items()}
        write_aside(folder / "weights.safetensors", save(tensors))
