"""A loss of the user's own: a `torch.nn.Module` class, or a function of logits and targets."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from cefl.errors import CeflError
from cefl.own import load

PROBE = 4  # Images of the batch that a loss is tried on.


class FunctionLoss(nn.Module):
    """A function as a module; the class sizes that it takes are a buffer."""

    train_counts: Tensor | None

    def __init__(self, function: Callable[..., Tensor], train_counts: Tensor | None) -> None:
        super().__init__()
        self.function = function
        self.register_buffer("train_counts", train_counts)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The function of a batch."""
        sizes = {} if self.train_counts is None else {"train_counts": self.train_counts}
        return self.function(logits, targets, **sizes)


def build_own_loss(
    path: str, params: Mapping[str, float], *, train_counts: Sequence[int] | Tensor, epochs: int,
    folders: Iterable[str] = (), digest: str | None = None,
) -> nn.Module:  # fmt: skip
    """The loss at an import path.

    A class is called with the parameters and its objects with ``(logits, targets)``: float32 ``(N, C)`` and
    int64 ``(N,)``; a function with ``(logits, targets)`` and the parameters. Whoever names ``train_counts``
    (int64 ``(C,)``, training images of each class) or ``epochs`` gets them too. What comes back is a scalar,
    the mean over the batch. A module with ``set_epoch`` is told every epoch, from 0, before it begins.

    Args:
        params: Of the loss, by name.
        folders: As in `cefl.own.find`.
        digest: What it must be known by.

    Raises:
        CeflError: If it cannot be imported or does not take the parameters.
    """
    target = load(path, folders, digest)
    is_class = inspect.isclass(target) and issubclass(target, nn.Module)
    if not is_class and not inspect.isfunction(target):
        raise CeflError(f"{path}: must be a class of torch.nn.Module or a function, but is {target!r}")
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError) as error:
        raise CeflError(f"{path}: its signature cannot be read ({error})") from None
    counts = torch.as_tensor(train_counts)
    known: dict[str, Any] = {"train_counts": counts, "epochs": epochs}
    given = {
        name: value for name, value in known.items() if name in signature.parameters and name not in params
    }
    try:
        signature.bind(*([] if is_class else [None, None]), **params, **given)
    except TypeError as error:
        raise CeflError(f"{path}: does not take these parameters: {error}; it is {path}{signature}") from None
    if is_class:
        try:
            module: nn.Module = target(**params, **given)
        except Exception as error:
            raise CeflError(f"{path}: cannot be made of {dict(params)}: {_said(error)}") from error
        return module
    sizes = given.pop("train_counts", None)
    return FunctionLoss(partial(target, **params, **given), sizes)


def check_own_loss(
    path: str, params: Mapping[str, float], *, train_counts: Sequence[int], epochs: int,
    folders: Iterable[str] = (), digest: str | None = None,
) -> None:  # fmt: skip
    """Try a loss on a few made-up logits.

    Raises:
        CeflError: If it fails there, or gives no finite scalar with a finite gradient.
    """
    loss: Any = build_own_loss(
        path, params, train_counts=train_counts, epochs=epochs, folders=folders, digest=digest
    )
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(PROBE, len(train_counts), generator=generator).requires_grad_()
    targets = torch.arange(PROBE) % len(train_counts)
    try:
        if hasattr(loss, "set_epoch"):
            loss.set_epoch(0)
        value: Any = loss(logits, targets)
        told = f"with {dict(params)} on logits {tuple(logits.shape)}"
        if not isinstance(value, Tensor) or value.ndim or not torch.isfinite(value):
            shown = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) and value.ndim else repr(value)
            raise CeflError(f"{path}: must give a finite scalar, but gives {shown} {told}")
        torch.autograd.backward(value)
    except CeflError:
        raise
    except Exception as error:
        raise CeflError(f"{path}: fails on logits {tuple(logits.shape)}: {_said(error)}") from error
    if logits.grad is None or not bool(torch.isfinite(logits.grad).all()):
        raise CeflError(f"{path}: must have a finite gradient in the logits, but has {logits.grad} {told}")


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
