"""What benchmarks train by the engine: a long tail of an NPZ, which is CIFAR-10's, or of digits."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import ROOT, Bench
from numpy.typing import NDArray

from cefl.errors import CeflError
from cefl.longtail import longtail_indices
from cefl.losses import build_loss
from cefl.models import build_model
from cefl.recipes import PRESETS, Recipe
from cefl.training import Fit, ImageSet, fit, pick_device

NAMES = ("train_images", "train_labels", "test_images", "test_labels")
DIGITS = "digits"  # scikit-learn's.
CIFAR = "cifar10.npz"
FOLDERS = (Path(), ROOT.parent / "shared" / "data")
"""Where `CIFAR` is looked for when no data are named."""

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Data:
    """Images ``(N, H, W, 3)`` and labels ``(N,)`` of both splits."""

    images: Images
    labels: Labels
    test_images: Images
    test_labels: Labels

    @property
    def statistics(self) -> dict[str, torch.Tensor]:
        """Mean and deviation of each channel, of the training images' pixels in [0, 1]."""
        mean, std = (of(self.images / 255.0, axis=(0, 1, 2)) for of in (np.mean, np.std))
        return {
            "mean": torch.tensor(mean, dtype=torch.float32),
            "std": torch.tensor(std, dtype=torch.float32),
        }

    @property
    def digest(self) -> str:
        """Of all pixels."""
        return hashlib.sha256(self.images.tobytes() + self.test_images.tobytes()).hexdigest()[:12]

    def sets(self, device: str) -> tuple[ImageSet, dict[str, ImageSet]]:
        """For the engine: the training images on a device, and the test images where there are any."""

        def of(pixels: Images, labels: Labels) -> ImageSet:
            tensors = torch.from_numpy(pixels), torch.from_numpy(labels), torch.arange(len(labels))
            return ImageSet(*(tensor.to(device) for tensor in tensors))

        tests = {"test": of(self.test_images, self.test_labels)} if len(self.test_labels) else {}
        return of(self.images, self.labels), tests


def choose(bench: Bench) -> None:
    """Settle ``--data``, and say so: what was named, else CIFAR-10 where it lies unpacked, else digits."""
    options = bench.options
    bench.conditions["images from"] = options.data
    if not options.data:
        found = (folder / CIFAR for folder in FOLDERS if (folder / CIFAR).is_file() and not bench.quick)
        options.data = bench.conditions["images from"] = str(next(found, DIGITS))
        if options.data == DIGITS:
            bench.conditions["images from"] += (
                f", enlarged to 32 px, not CIFAR-10: no --data, and no {CIFAR} here or in ../shared/data"
            )


def known(model: str) -> None:
    """Exits with what is wrong where no network has that name."""
    try:
        build_model(model, 10, 3, 32)
    except CeflError as error:
        sys.exit(f"--model: {error}")


def device_of(asked: str) -> str:
    """A device of this machine, ``auto`` its GPU if it has one; exits with what is wrong."""
    try:
        return pick_device(None if asked == "auto" else asked)
    except CeflError as error:
        sys.exit(f"--device: {error}")


def read(options: Any, seed: int = 0) -> Data:
    """The long tail of the training images, at most ``--images`` of it, and ``--test`` test images."""
    images, labels, test_images, test_labels = digits() if options.data == DIGITS else npz(options.data)
    chosen = longtail_indices(labels, options.imbalance, seed)
    random = np.random.default_rng(seed)
    if options.images:
        chosen = random.permutation(chosen)[: options.images]
    shown = np.random.default_rng(0).permutation(len(test_images))[: options.test]
    return Data(images[chosen], labels[chosen], test_images[shown], test_labels[shown])


def engine(options: Any, data: Data, recipe: Recipe, seed: int = 0, tested: str = "each_epoch") -> Fit:
    """The training by the engine, of ``options.model`` on ``options.device``; ``last_epoch`` tests once."""
    classes, size = int(data.labels.max()) + 1, data.images.shape[1]
    train, tests = data.sets(options.device)
    return fit(
        build_model(options.model, classes, 3, size, seed=seed), build_loss("cross_entropy", {}), train,
        recipe, seed=seed, device=options.device, precision=options.precision, **{tested: tests},
        **data.statistics,
    )  # fmt: skip


def recipe_of(options: Any, epochs: int) -> Recipe:
    """The paper's recipe for CIFAR, shortened, with the batch asked for."""
    return replace(PRESETS["cifar"].for_epochs(epochs), batch_size=options.batch)


def digits() -> tuple[NDArray[Any], ...]:
    """scikit-learn's 1,797 digits as 32 px RGB."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    large = (pixels.reshape(-1, 8, 8) * 15.9375).astype(np.uint8).repeat(4, axis=1).repeat(4, axis=2)
    colour, labels = np.repeat(large[..., None], 3, axis=3), labels.astype(np.int64)
    return colour[:1400], labels[:1400], colour[1400:], labels[1400:]


def npz(path: str) -> tuple[NDArray[Any], ...]:
    """Both splits of a file; exits with what is wrong."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            images, labels, test_images, test_labels = (arrays[name] for name in NAMES)
    except (OSError, KeyError, ValueError) as error:
        sys.exit(f"--data {path}: cannot be read ({error}); it must be an NPZ with {', '.join(NAMES)}")
    if images.ndim != 4 or images.shape[3] != 3:
        sys.exit(f"--data {path}: train_images must be (N, H, W, 3), but got {images.shape}")
    return images, labels.reshape(-1).astype(np.int64), test_images, test_labels.reshape(-1).astype(np.int64)
