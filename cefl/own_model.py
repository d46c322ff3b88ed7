"""A model of the user's own: a function that builds it, or a name of timm's."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from cefl.errors import CeflError, ModelError
from cefl.own import TIMM, load

PROBE = 2  # Images of the batch that a model is tried on; batch norm needs two.


def build_own_model(
    path: str, num_classes: int, channels: int, image_size: int, *, folders: Iterable[str] = (),
    digest: str | None = None,
) -> nn.Module:  # fmt: skip
    """The model at an import path, its weights drawn from torch's global generator.

    ``package.module:build`` is called with ``num_classes``, ``channels`` and ``image_size`` and returns a
    module that maps float32 ``(N, channels, image_size, image_size)`` to logits ``(N, num_classes)``.
    ``timm:NAME`` is what ``timm.create_model`` makes of that name, without published weights: a function of
    your own can load them.

    Args:
        folders: As in `cefl.own.find`.
        digest: What it must be known by.

    Raises:
        CeflError: If it cannot be imported; `ModelError` if it cannot be built.
    """
    target = load(path, folders, digest)
    name = path.partition(":")[2]
    build: Callable[[], Any]
    if path.startswith(f"{TIMM}:"):
        if not target.is_model(name):
            near = ", ".join(target.list_models(f"*{name[:6]}*")[:8]) or "resnet18"
            raise ModelError(f"{path}: timm has no model {name}; it has, say, {near}")
        arguments: dict[str, Any] = {"num_classes": num_classes, "in_chans": channels}
        build = partial(target.create_model, name, pretrained=False, **arguments)
    else:
        arguments = {"num_classes": num_classes, "channels": channels, "image_size": image_size}
        _check_signature(path, target, arguments)
        build = partial(target, **arguments)
    try:
        model = build()
    except Exception as error:
        told = f"{type(error).__name__}: {error}"
        raise ModelError(f"{path}: cannot be built of {arguments}: {told}") from error
    if not isinstance(model, nn.Module):
        raise ModelError(f"{path}: must return a torch.nn.Module, but returned {model!r}")
    return model


def _check_signature(path: str, target: Any, arguments: dict[str, Any]) -> None:
    if not callable(target):
        raise ModelError(f"{path}: must be a function that builds a model, but is {target!r}")
    try:
        inspect.signature(target).bind(**arguments)
    except (TypeError, ValueError) as error:
        raise ModelError(f"{path}: must take {', '.join(arguments)}: {error}") from None


def replace_classifier(path: str, model: nn.Module, num_classes: int, head: Any) -> None:
    """Put ``head(features, num_classes)`` in the place of the last linear layer with that many outputs.

    Raises:
        ModelError: If there is none.
    """
    linear = [
        (place, module)
        for place, module in model.named_modules()
        if isinstance(module, nn.Linear) and module.out_features == num_classes
    ]
    if not linear:
        raise ModelError(
            f"{path}: losses of cosines replace the last linear layer with {num_classes} outputs, but there"
            " is none; leave ldam and ldam_drw out"
        )
    place, last = linear[-1]
    around, _, name = place.rpartition(".")
    setattr(model.get_submodule(around), name, head(last.in_features, num_classes))


@torch.no_grad()
def check_model(path: str, model: nn.Module, num_classes: int, channels: int, image_size: int) -> None:
    """Try a model on two made-up images.

    Raises:
        CeflError: If it fails there, or gives other than finite logits of that many classes.
    """
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(PROBE, channels, image_size, image_size, generator=generator)
    try:
        logits: Any = model(images)
    except Exception as error:
        told = f"{type(error).__name__}: {error}"
        raise CeflError(f"{path}: fails on images {tuple(images.shape)}: {told}") from error
    expected = (PROBE, num_classes)
    if not isinstance(logits, Tensor) or tuple(logits.shape) != expected:
        shown = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise CeflError(f"{path}: must give logits of shape {expected}, but gives {shown}")
    if not bool(torch.isfinite(logits).all()):
        raise CeflError(f"{path}: must give finite logits, but gives {logits.tolist()}")
