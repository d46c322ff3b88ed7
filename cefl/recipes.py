"""Training recipes as frozen values; importing this needs no torch."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from cefl.errors import CeflError

AUGMENTATIONS = ("none", "crop-flip", "crop", "imagenet")


def named(value: Any, rules: Sequence[str]) -> str:
    """The fields of a dataclass that rules speak of, as ``name=value, ...``."""
    spoken = (field.name for field in fields(value) if any(field.name in rule for rule in rules))
    return ", ".join(f"{name}={getattr(value, name)!r}" for name in spoken)


@dataclass(frozen=True)
class Recipe:
    """How a model is trained: SGD with a step schedule, as in Wang et al. 2020.

    Attributes:
        epochs: Passes over the training images, at least 1.
        batch_size: Images a step; the last, smaller batch of an epoch is kept.
        learning_rate: Of the first epoch, above 0.
        milestones: Epochs (counted from 0) at which the learning rate is multiplied by ``decay``.
        warmup_epochs: Epochs over which the learning rate rises linearly to ``learning_rate``.
        augment: ``none``, ``crop`` (zero-pad and crop), ``crop-flip`` (and mirror), or ``imagenet`` (random
            resized crop, mirror, colour jitter, rotation: `cefl.imagenet`).
        crop_padding: Pixels of zero padding before a random crop.
        image_size: Pixels a side that the model sees; ``None`` keeps the size of the cache. Where nothing is
            drawn at random it sees the centre, as `cefl.augment.centre` takes it.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    momentum: float = 0.9
    weight_decay: float = 1e-4
    milestones: tuple[int, ...] = ()
    decay: float = 0.1
    warmup_epochs: int = 0
    augment: str = "crop-flip"
    crop_padding: int = 4
    image_size: int | None = None

    def __post_init__(self) -> None:
        rules = {
            "epochs >= 1": self.epochs >= 1,
            "batch_size >= 1": self.batch_size >= 1,
            "0 < learning_rate < inf": 0 < self.learning_rate < float("inf"),
            "0 <= momentum < 1": 0 <= self.momentum < 1,
            "0 <= weight_decay < inf": 0 <= self.weight_decay < float("inf"),
            "0 < decay <= 1": 0 < self.decay <= 1,
            "0 <= warmup_epochs <= epochs": 0 <= self.warmup_epochs <= self.epochs,
            "milestones rise and lie in [1, epochs)": list(self.milestones) == sorted(set(self.milestones))
            and all(1 <= milestone < self.epochs for milestone in self.milestones),
            f"augment is one of {', '.join(AUGMENTATIONS)}": self.augment in AUGMENTATIONS,
            "crop_padding >= 0": self.crop_padding >= 0,
            "image_size >= 8": self.image_size is None or self.image_size >= 8,
        }
        broken = [rule for rule, holds in rules.items() if not holds]
        if broken:
            raise CeflError(f"recipe: `{'` and `'.join(broken)}` must hold, but got {named(self, broken)}")

    def learning_rate_at(self, epoch: int) -> float:
        """Learning rate of an epoch counted from 0."""
        warm = min(1.0, (epoch + 1) / self.warmup_epochs) if self.warmup_epochs else 1.0
        return self.learning_rate * warm * self.decay ** bisect_right(self.milestones, epoch)

    def for_epochs(self, epochs: int) -> Recipe:
        """The same schedule stretched or shortened to another number of epochs."""
        moved = {max(1, round(milestone * epochs / self.epochs)) for milestone in self.milestones}
        warmup = round(self.warmup_epochs * epochs / self.epochs)
        return replace(
            self,
            epochs=epochs,
            milestones=tuple(sorted(milestone for milestone in moved if milestone < epochs)),
            warmup_epochs=warmup,
        )

    def as_json(self) -> dict[str, Any]:
        """Plain values, every field by its name."""
        return {**vars(self), "milestones": list(self.milestones)}


PRESETS: Mapping[str, Recipe] = {
    # Wang et al. 2020, section IV; padding of 4 is the field's habit, the paper gives none.
    "cifar": Recipe(epochs=100, batch_size=128, learning_rate=0.05, milestones=(60, 80)),
    "crop-disease": Recipe(
        epochs=60, batch_size=64, learning_rate=0.01, milestones=(30, 50), augment="imagenet", image_size=224
    ),
    "mushroom": Recipe(
        epochs=100, batch_size=64, learning_rate=0.01, milestones=(60, 80), augment="imagenet", image_size=224
    ),
    # Cao et al. 2019 (LDAM), by their published code: a hundredth from the 161st epoch on, a ten-thousandth
    # from the 181st; the first five epochs rise to 0.1. Theirs is ResNet-32, the last class the rarest.
    "ldam": Recipe(
        epochs=200,
        batch_size=128,
        learning_rate=0.1,
        weight_decay=2e-4,
        milestones=(160, 180),
        decay=0.01,
        warmup_epochs=5,
    ),
    # Ours, for 8x8 images: one pixel of padding, and no mirror, since a mirrored digit is another sign.
    "digits": Recipe(
        epochs=20, batch_size=64, learning_rate=0.05, milestones=(12, 16), augment="crop", crop_padding=1
    ),
}


def preset_for(image_size: int, source: str = "") -> str:
    """Name of the preset that fits: that of a published set, else by the size of the images.

    Args:
        image_size: Pixels a side.
        source: Where the images come from, such as ``mushroom:/data/mushroom``.
    """
    kind = source.partition(":")[0]
    if kind in ("crop-disease", "mushroom"):
        return kind
    if image_size <= 16:
        return "digits"
    return "cifar" if image_size <= 64 else "mushroom"
