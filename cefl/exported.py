"""A trained model in a folder that stands alone: weights without code, and what using them takes.

``model.json`` says which model it is, how images come to it and what its classes are; ``model.safetensors``
holds the weights. Nothing that carries code is loaded, unless the model itself is one of the user's own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from cefl import augment, plain_json
from cefl.catalog import COSINE_HEAD, LOSSES, MODELS
from cefl.config import TrialConfig
from cefl.data import open_dataset
from cefl.data.scanning import printable
from cefl.disk import write_aside
from cefl.errors import ModelError
from cefl.models import build_model
from cefl.own import TIMM
from cefl.trial import IMAGENET_MEAN, IMAGENET_STD

DESCRIPTION, WEIGHTS = "model.json", "model.safetensors"
FORMAT = 1
MOST_PIXELS = 1 << 16
"""A side of an image, and its channels, have at most so many."""


@dataclass(frozen=True)
class Description:
    """What a model is and how it is fed.

    Attributes:
        image_shape: Height, width and channels of the images that it was trained on.
        image_size: Pixels a side that it sees, cut from the centre; ``None``: the whole image.
        mean: Of each channel, of pixels in [0, 1]; likewise ``std``.
        cosine_scale: Factor of the logits of a model that ends in cosines, ``None`` for others.
        own: What a model of the user's own is known by.
    """

    model: str
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    image_size: int | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    cosine_scale: float | None = None
    own: str | None = None
    format: int = field(default=FORMAT)

    def as_json(self) -> dict[str, Any]:
        """Plain values, every field by its name."""
        return asdict(self)

    @classmethod
    def read(cls, folder: Path) -> Description:
        """What stands in a folder.

        Raises:
            ModelError: If there is none, or it is of a later format.
        """
        path = folder / DESCRIPTION
        try:
            values = plain_json.read(path)
            if values["format"] != FORMAT:
                raise ModelError(f"{path}: is of format {values['format']}, but this program reads {FORMAT}")
            lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
            description = cls(**{**values, **lists})
            description.check()
            return description
        except ModelError:
            raise
        except OSError as error:
            raise ModelError(
                f"{path}: cannot be read ({error.strerror or error}); `sweeps export` writes such folders"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{path}: is not what `sweeps export` writes ({error}); export again") from None

    def check(self) -> None:
        """See that every value is what it says: the folder may come from a stranger.

        Raises:
            ValueError: If one is not; `TypeError` if it is of another type.
        """
        texts = [self.model, *self.classes, *([] if self.own is None else [self.own])]
        sizes = [*self.image_shape, *([] if self.image_size is None else [self.image_size])]
        channels = [*zip(self.mean, self.std, strict=True)]
        scale = 1.0 if self.cosine_scale is None else self.cosine_scale
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("model, classes and own must be texts")
        if len(self.image_shape) != 3 or not all(
            type(size) is int and 0 < size <= MOST_PIXELS for size in sizes
        ):
            raise ValueError(f"image_shape and image_size must be whole numbers from 1 to {MOST_PIXELS}")
        if len(channels) != self.image_shape[2] or not math.isfinite(scale):
            raise ValueError("mean and std must have a number for each channel, and cosine_scale be a number")
        if not all(math.isfinite(mean) and 0 < std < math.inf for mean, std in channels):
            raise ValueError("`0 < std` must hold, and mean and std be finite")


class Classifier(nn.Module):
    """A trained model that takes images as they are: uint8 ``(N, H, W, C)``, or ``(N, H, W)`` of one channel.

    Computes in float32. In evaluation mode from the start.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module, description: Description) -> None:
        super().__init__()
        self.model, self.description = model, description
        shape = (1, -1, 1, 1)
        self.register_buffer("mean", torch.tensor(description.mean).reshape(shape))
        self.register_buffer("std", torch.tensor(description.std).reshape(shape))
        self.eval()

    @property
    def classes(self) -> tuple[str, ...]:
        """Names, in the order of the logits."""
        return self.description.classes

    def forward(self, images: Tensor | NDArray[np.uint8]) -> Tensor:
        """Logits ``(N, classes)``, float32; cosines come with their scale.

        Raises:
            ModelError: If these are no images that the model can see.
        """
        given = torch.as_tensor(images).to(self.mean.device)
        channels = self.description.image_shape[2]
        if given.ndim == 3 and channels == 1:
            given = given.unsqueeze(3)
        if given.dtype != torch.uint8 or given.ndim != 4 or given.shape[3] != channels:
            raise ModelError(
                f"images must be uint8 of shape (N, H, W, {channels}), but are {given.dtype} of shape"
                f" {tuple(given.shape)}"
            )
        floats, size = given.permute(0, 3, 1, 2).to(torch.float32), self.description.image_size
        seen = floats if size is None else augment.centre(floats, size)
        logits: Tensor = self.model((seen / 255 - self.mean) / self.std)
        return logits.float() * (self.description.cosine_scale or 1.0)

    @torch.inference_mode()
    def probabilities(self, images: Tensor | NDArray[np.uint8]) -> Tensor:
        """Softmax of the logits, ``(N, classes)``; as little calibrated as the training left them."""
        logits: Tensor = self(images)
        return logits.softmax(dim=1)

    def predict(self, images: Tensor | NDArray[np.uint8]) -> list[str]:
        """Name of the class of the largest logit, of each image."""
        return [self.classes[index] for index in self.probabilities(images).argmax(dim=1).tolist()]


def load_classifier(
    folder: str | Path, device: str | torch.device = "cpu", code: Iterable[str] = ()
) -> Classifier:
    """The model that `sweeps export` wrote into a folder.

    Args:
        code: Folders that a model of the user's own is imported from, whose source must be what it was. Who
            gives them trusts the export, which says what is imported; without them no such model is built.

    Raises:
        CeflError: If the folder does not hold what it should.
    """
    place, code = Path(folder), tuple(code)
    description = Description.read(place)
    if description.model not in MODELS and not description.model.startswith(f"{TIMM}:") and not code:
        raise ModelError(
            f"{place}: its model is the code {printable(description.model)}, which is not run unasked; if you"
            " trust it, name the folder that it is imported from: cefl.load(..., code=[FOLDER])"
        )
    height, width, channels = description.image_shape
    model = build_model(
        description.model, len(description.classes), channels, description.image_size or max(height, width),
        cosine_head=description.cosine_scale is not None, folders=code,
        digest=description.own,
    )  # fmt: skip
    try:
        if (place / WEIGHTS).exists() and not (place / WEIGHTS).is_file():
            raise OSError("no ordinary file")  # Reading a pipe would wait for its other end.
        model.load_state_dict(load_file(place / WEIGHTS))
    except (OSError, SafetensorError, RuntimeError) as error:
        said = str(error).splitlines()[0]
        raise ModelError(f"{place / WEIGHTS}: are no weights of this model ({said}); export again") from None
    return Classifier(model, description).to(device)


def describe(config: TrialConfig) -> Description:
    """What the model of a trial is; its data must still be where they were.

    Raises:
        CeflError: If they are not.
    """
    dataset = open_dataset(Path(config.data))
    mean, std = (IMAGENET_MEAN, IMAGENET_STD) if config.pretrained else (dataset.mean, dataset.std)
    scale = {**LOSSES[config.loss], **config.params}["scale"] if config.loss in COSINE_HEAD else None
    return Description(
        config.model, dataset.classes, dataset.image_shape, config.recipe.image_size, tuple(mean), tuple(std),
        scale, config.parts.get("model"),
    )  # fmt: skip


def write_model(folder: Path, config: TrialConfig, weights: Path) -> None:
    """Write what `load_classifier` reads into a folder that is there.

    Args:
        weights: What the trial kept.
    """
    text = json.dumps(describe(config).as_json(), indent=2, ensure_ascii=False)
    write_aside(folder / DESCRIPTION, f"{text}\n".encode())
    write_aside(folder / WEIGHTS, weights.read_bytes())
