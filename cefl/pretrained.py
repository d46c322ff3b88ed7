"""torchvision's ImageNet weights: which models they fit, and where their files come from."""

from __future__ import annotations

import hashlib
from http.client import HTTPException
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING

from cefl.catalog import PRETRAINED, STANDARD_RESNETS
from cefl.errors import ModelError
from cefl.network import patience

if TYPE_CHECKING:
    from torch import Tensor

DOWNLOADS = "https://download.pytorch.org/models"
"""Where they are published."""

SMALL_IMAGE = 64
"""Pixels a side up to which the stem of a standard ResNet keeps the resolution."""


def check_fit(name: str, channels: int, image_size: int) -> None:
    """Refuse a model, or images, that they are not for.

    Args:
        channels: Of an image.
        image_size: Pixels a side that the model will see.

    Raises:
        ModelError: If they do not fit.
    """
    if name not in STANDARD_RESNETS or channels != 3 or image_size <= SMALL_IMAGE:
        raise ModelError(
            f"pretrained weights are for {', '.join(STANDARD_RESNETS)} with 3 channels above"
            f" {SMALL_IMAGE} px, but got {name} with {channels} channels at {image_size} px;"
            " leave `pretrained` out"
        )


def weights_file(name: str) -> Path:
    """The file of a model's weights in the folder of torch's hub, downloaded unless it lies there.

    A file that somebody put there is compared with the hash in its name too, which torch does for downloads
    alone: the key of a trial holds that name and must mean these weights.

    Raises:
        ModelError: If it cannot be had, or is another one: with what to put where.
    """
    import torch

    file, folder = PRETRAINED[name], Path(torch.hub.get_dir()) / "checkpoints"
    url, path, expected = f"{DOWNLOADS}/{file}", folder / file, Path(file).stem.rpartition("-")[2]
    try:
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            with patience():
                torch.hub.download_url_to_file(url, str(path), expected, progress=False)
        with path.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        if not digest.startswith(expected):
            raise RuntimeError(f"the file there has the SHA-256 {digest[:8]}..., not that of its name")
    except (OSError, HTTPException, RuntimeError) as error:  # No network, or a transfer cut short.
        raise _not_had(name, error, file, folder) from error
    return path


def published_weights(name: str) -> dict[str, Tensor]:
    """The weights of a model by their names in its state.

    Raises:
        ModelError: As `weights_file`.
    """
    import torch

    path = weights_file(name)
    try:
        state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, UnpicklingError) as error:
        raise _not_had(name, error, path.name, path.parent) from error
    return state


def _not_had(name: str, error: Exception, file: str, folder: Path) -> ModelError:
    return ModelError(
        f"pretrained weights of {name} cannot be downloaded or read ({error});"
        f" put {file} into {folder}, from {DOWNLOADS}/{file}"
    )
