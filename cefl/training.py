"""Training one model: an iterator of epochs that logs nothing and can stop and go on to the same numbers.

Every random draw of an epoch comes from (seed, epoch), those of layers such as dropout too, so a resumed run
needs no generator state. On the CPU it repeats the uninterrupted one to the last bit, given the same machine
and number of threads; on a GPU, kernels that add in no fixed order may differ in the last digits. The images
stay on the device as uint8; augmentation works on whole batches; nothing waits for the device inside an
epoch.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cefl import augment
from cefl.catalog import PRECISIONS
from cefl.errors import CeflError
from cefl.imagenet import imagenet, imagenet_draws
from cefl.loss_base import Loss
from cefl.memory import keep_freed_memory
from cefl.metrics import classification_metrics
from cefl.optimizer import SGD
from cefl.recipes import Recipe

EVALUATION_BATCH = 1000
EVALUATION_PIXELS = EVALUATION_BATCH * 64 * 64  # In one batch: larger images come in smaller batches.
WEIGHTS, ORDER, LAYERS = 0, 1, 2  # Streams of random numbers below a trial's seed.


@dataclass(frozen=True)
class ImageSet:
    """Some images of a split.

    Attributes:
        images: The whole split, uint8 ``(M, H, W, C)``; shared by everybody who trains on it.
        labels: The whole split's classes, int64 ``(M,)``.
        indices: Which of them belong to this set, int64 ``(N,)``.
    """

    images: Tensor
    labels: Tensor
    indices: Tensor

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def targets(self) -> NDArray[np.int64]:
        """Classes of the set in its own order, ``(N,)``."""
        chosen: NDArray[np.int64] = self.labels[self.indices].cpu().numpy()
        return chosen


@dataclass(frozen=True)
class SplitResult:
    """What a model does on one set.

    Attributes:
        loss: Mean over the images, in nats, whatever their order and batches; with class weights that the
            loss divides by (a deferred one does), the weighted mean. Of a loss of one's own, that of its
            batches by their size.
        targets: True classes in the set's order, ``(N,)``.
        predictions: Classes of the largest logit, ``(N,)``.
        metrics: As `cefl.metrics.classification_metrics` names them.
    """

    loss: float
    targets: NDArray[np.int64]
    predictions: NDArray[np.int64]
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class EpochResult:
    """One epoch.

    Attributes:
        epoch: Counted from 1.
        learning_rate: Of the whole epoch.
        train_loss: Likewise a mean, over the augmented images as they came, in nats.
        train_accuracy: Likewise, in [0, 1].
        splits: The evaluated sets by name.
        seconds: For training and evaluation.
        images_per_second: Of the training pass alone.
    """

    epoch: int
    learning_rate: float
    train_loss: float
    train_accuracy: float
    splits: Mapping[str, SplitResult]
    seconds: float
    images_per_second: float

    def metrics(self) -> dict[str, float]:
        """Everything as one flat table row, by the names that a tracker shows."""
        row = {
            "train/loss": self.train_loss,
            "train/accuracy": self.train_accuracy,
            "learning_rate": self.learning_rate,
            "seconds": self.seconds,
            "images_per_second": self.images_per_second,
        }
        for name, split in self.splits.items():
            row |= {
                f"{name}/loss": split.loss,
                **{f"{name}/{key}": value for key, value in split.metrics.items()},
            }
        return row


class Fit:
    """A training in progress: iterate it for epochs, ask it for its state between them. Made by `fit`."""

    def __init__(
        self, model: nn.Module, loss: nn.Module, train: ImageSet, recipe: Recipe, *, seed: int, mean: Tensor,
        std: Tensor, each_epoch: Mapping[str, ImageSet], last_epoch: Mapping[str, ImageSet],
        device: torch.device, precision: str,
    ) -> None:  # fmt: skip
        self.device, self.precision = device, precision
        self.recipe, self.seed, self.epoch = recipe, seed, 0
        self.train, self.each_epoch, self.last_epoch = train, dict(each_epoch), dict(last_epoch)
        self.model = model.to(device).to(memory_format=torch.channels_last)
        self.loss = loss.to(device)
        # (x / 255 - mean) / std as one multiplication and one addition.
        shape = (1, -1, 1, 1)
        self.scale = (1 / (255 * std)).reshape(shape).to(device, torch.float32)
        self.shift = (-mean / std).reshape(shape).to(device, torch.float32)
        self.optimizer = SGD(
            self.model.parameters(), lr=recipe.learning_rate, momentum=recipe.momentum,
            weight_decay=recipe.weight_decay, fused=True,
        )  # fmt: skip

    def __iter__(self) -> Iterator[EpochResult]:
        return self

    def __next__(self) -> EpochResult:
        if self.epoch >= self.recipe.epochs:
            raise StopIteration
        begin = time.perf_counter()
        learning_rate = self.recipe.learning_rate_at(self.epoch)
        with seeded(stream(self.seed, LAYERS, self.epoch), self.device):
            loss, accuracy = self._train_epoch(learning_rate)
        trained = time.perf_counter() - begin
        self.epoch += 1
        last = self.epoch == self.recipe.epochs
        sets = self.each_epoch | (self.last_epoch if last else {})
        splits = {name: self.evaluate(images) for name, images in sets.items()}
        return EpochResult(
            epoch=self.epoch,
            learning_rate=learning_rate,
            train_loss=loss,
            train_accuracy=accuracy,
            splits=splits,
            seconds=time.perf_counter() - begin,
            images_per_second=len(self.train) / trained,
        )

    def state_dict(self) -> dict[str, Any]:
        """Everything that going on needs, as a copy; holds tensors and plain values only."""
        return {
            "epoch": self.epoch,
            "model": {name: tensor.clone() for name, tensor in self.model.state_dict().items()},
            "optimizer": deepcopy(self.optimizer.state_dict()),
        }

    @property
    def size(self) -> int:
        """Bytes of `state_dict`: weights and momentum."""
        return 2 * sum(int(tensor.nbytes) for tensor in self.model.state_dict().values())

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave, which stays as it is."""
        self.epoch = state["epoch"]
        self.model.load_state_dict(state["model"])
        # A copy, since the optimizer would train on in the tensors that it is given.
        self.optimizer.load_state_dict(deepcopy(state["optimizer"]))

    @torch.inference_mode()
    def evaluate(self, images: ImageSet) -> SplitResult:
        """Loss, predictions and metrics of the model as it stands on a set."""
        self.model.eval()
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        mass: Tensor | int = 0
        predictions = []
        for batch in torch.split(images.indices, self._evaluation_batch(images)):
            inputs, targets = self._batch(images, batch)
            with self._autocast():
                logits = self.model(self._normalise(self._floats(inputs)))
            share = mass_of(self.loss, targets)
            total += self.loss(logits.float(), targets).double() * share
            mass = mass + share
            predictions.append(logits.argmax(dim=1))
        targets_all, predicted = images.targets, torch.cat(predictions).cpu().numpy()
        metrics = classification_metrics(targets_all, predicted, logits.shape[1])
        return SplitResult(float(total) / float(mass), targets_all, predicted, metrics)

    def _train_epoch(self, learning_rate: float) -> tuple[float, float]:
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.model.train()
        set_epoch = getattr(self.loss, "set_epoch", None)
        if set_epoch is not None:
            set_epoch(self.epoch)
        generator = torch.Generator().manual_seed(stream(self.seed, ORDER, self.epoch))
        order = self.train.indices[
            torch.randperm(len(self.train), generator=generator).to(self.train.indices.device)
        ]
        draws = self._draws(len(order), generator)
        loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        mass: Tensor | int = 0
        correct = torch.zeros((), dtype=torch.int64, device=self.device)
        for batch, draw in zip(
            batches(order, self.recipe.batch_size), batches(draws, self.recipe.batch_size), strict=True
        ):
            images, targets = self._batch(self.train, batch)
            with self._autocast():
                logits = self.model(self._normalise(self._augment(images, draw)))
            loss = self.loss(logits.float(), targets)
            loss.backward()
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            # Weighted by batch size: the last batch is usually smaller.
            share = mass_of(self.loss, targets)
            loss_sum += loss.detach().double() * share
            mass = mass + share
            correct += (logits.detach().argmax(dim=1) == targets).sum()
        return float(loss_sum) / float(mass), int(correct) / len(order)

    def _evaluation_batch(self, images: ImageSet) -> int:
        height, width = images.images.shape[1:3]
        pixels = self.recipe.image_size**2 if self.recipe.image_size else height * width
        return max(1, min(EVALUATION_BATCH, EVALUATION_PIXELS // pixels))

    def _batch(self, images: ImageSet, indices: Tensor) -> tuple[Tensor, Tensor]:
        return (
            images.images.index_select(0, indices).to(self.device, non_blocking=True),
            images.labels.index_select(0, indices).to(self.device, non_blocking=True),
        )

    def _draws(self, count: int, generator: torch.Generator) -> Tensor:
        recipe = self.recipe
        if recipe.augment == "imagenet":
            return imagenet_draws(count, generator)
        padding = 0 if recipe.augment == "none" else recipe.crop_padding
        draws = augment.crop_draws(count, padding, recipe.augment == "crop-flip", generator)
        return draws.to(self.device, non_blocking=True)

    def _augment(self, images: Tensor, draws: Tensor) -> Tensor:
        """uint8 ``(N, H, W, C)`` to float32 ``(N, C, h, w)`` in [0, 255]."""
        if self.recipe.augment == "imagenet":
            size = self.recipe.image_size or min(images.shape[1:3])
            shrunk = augment.shrink(images.permute(0, 3, 1, 2), size)
            return imagenet(shrunk, draws, size).contiguous(memory_format=torch.channels_last)
        if self.recipe.augment != "none":
            images = augment.crop_and_flip(images, draws, self.recipe.crop_padding)
        return self._floats(images)

    def _floats(self, images: Tensor) -> Tensor:
        """uint8 ``(N, H, W, C)`` to float32 ``(N, C, h, w)`` in [0, 255]: the centre, or the whole."""
        floats, size = images.permute(0, 3, 1, 2).to(torch.float32), self.recipe.image_size
        return floats if size is None else augment.centre(floats, size)

    def _normalise(self, images: Tensor) -> Tensor:
        return torch.addcmul(self.shift, images, self.scale)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")


def fit(
    model: nn.Module, loss: nn.Module, train: ImageSet, recipe: Recipe, *, seed: int, mean: Tensor,
    std: Tensor, each_epoch: Mapping[str, ImageSet] | None = None,
    last_epoch: Mapping[str, ImageSet] | None = None, device: str | torch.device = "cpu",
    precision: str = "auto", state: Mapping[str, Any] | None = None,
) -> Fit:  # fmt: skip
    """Train ``model`` by ``recipe``; nothing happens until the result is iterated.

    On a CPU the process keeps freed memory from then on, see `cefl.memory`.

    Args:
        model: Maps float32 ``(N, C, H, W)`` to logits ``(N, classes)``.
        loss: Called with float32 logits and int64 targets; returns the mean over the batch in nats, which one
            of `cefl.losses` may have weighted (`Loss.mass`). One with a schedule has ``set_epoch``, called
            with the epoch, from 0, before it begins.
        train: The images to train on, at least ``recipe.batch_size`` of them.
        seed: Decides order and augmentation of every epoch.
        mean: Per channel, of pixels in [0, 1].
        std: As ``mean``.
        each_epoch: Sets evaluated after every epoch, by the name that their metrics carry.
        last_epoch: Sets evaluated after the last epoch only.
        precision: ``auto``, ``bf16`` or ``float32``; bf16 is autocast, the weights stay float32.
        state: What `Fit.state_dict` gave, to go on from there.

    Returns:
        An iterator of one `EpochResult` an epoch.

    Raises:
        CeflError: If the batch is larger than the training set, or the precision unknown.
    """
    if recipe.batch_size > len(train):
        raise CeflError(
            f"recipe: `batch_size <= training images` must hold, but got {recipe.batch_size} > {len(train)};"
            " choose a smaller batch_size or a smaller imbalance"
        )
    device = torch.device(device)
    if device.type == "cpu":
        keep_freed_memory()
    run = Fit(
        model, loss, train, recipe, seed=seed, mean=mean, std=std, each_epoch=each_epoch or {},
        last_epoch=last_epoch or {}, device=device, precision=resolve_precision(precision, device),
    )  # fmt: skip
    if state is not None:
        run.load_state_dict(state)
    return run


def mass_of(loss: nn.Module, targets: Tensor) -> Tensor | int:
    """What the mean of a batch was divided by: the number of images, or what a loss of ours says."""
    return loss.mass(targets) if isinstance(loss, Loss) else len(targets)


def stream(seed: int, *path: int) -> int:
    """Seed of an independent stream of random numbers below ``seed``, a 63-bit integer."""
    return int(np.random.SeedSequence([seed, *path]).generate_state(1, np.uint64)[0] >> np.uint64(1))


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Set the global generators, which layers such as dropout use, to ``seed``, and back afterwards."""
    on_gpu = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if on_gpu else []):
        torch.default_generator.manual_seed(seed)
        if on_gpu:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def batches(values: Tensor, size: int) -> list[Tensor]:
    """Pieces of ``size``; a last one alone joins its neighbour, since batch norm needs two images."""
    pieces = list(torch.split(values, size))
    if len(pieces) > 1 and len(pieces[-1]) == 1:
        pieces[-2:] = [torch.cat(pieces[-2:])]
    return pieces


def resolve_precision(precision: str, device: torch.device) -> str:
    """``bf16`` or ``float32`` for what was asked: ``auto`` is bf16 where the processor computes it natively.

    Raises:
        CeflError: If it is none of these three.
    """
    if precision not in PRECISIONS:
        raise CeflError(f"precision must be one of {', '.join(PRECISIONS)}, but got {precision!r}")
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    features = torch.cpu.get_capabilities()
    return "bf16" if features.get("avx512_bf16") or features.get("amx_bf16") else "float32"


def pick_device(asked: str | None = None) -> str:
    """The device that was asked for; by default ``cuda`` where there is a GPU, else ``cpu``.

    Raises:
        CeflError: If there is no such device here.
    """
    if asked is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    gpus = torch.cuda.device_count()
    there = ["cpu", *(["cuda"] if gpus else []), *(f"cuda:{index}" for index in range(gpus))]
    if asked not in there:
        raise CeflError(f"device must be one of {', '.join(there)} on this machine, but got {asked!r}")
    return asked
