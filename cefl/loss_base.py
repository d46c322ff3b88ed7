"""What losses are made of: the margin and functions of it, the checks, the reduction, the base of modules."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Number = float | Tensor
REDUCTIONS = ("none", "mean", "sum")


def true_margin(logits: Tensor, targets: Tensor) -> Tensor:
    """Logit of the true class minus the logsumexp of the others.

    A margin rounded to float32 would cost 1e-5 of ``(1 - p)^5``, so its parts are float64 before they are
    subtracted: they are one number a row, while what runs over the classes keeps its type.

    Args:
        logits: ``(N, C)``, float32 or float64, ``C >= 2``.
        targets: int64 ``(N,)``.

    Returns:
        ``(N,)``, float64; float32 on a device that has no float64 (Apple's).
    """
    wide = torch.float32 if logits.device.type == "mps" else torch.float64
    chosen = targets.unsqueeze(1)
    others = logits.scatter(1, chosen, -math.inf)
    # The largest cancels out, so it carries no gradient. The limits are for -inf in all other classes.
    limits = torch.finfo(logits.dtype)
    largest = others.detach().amax(dim=1, keepdim=True).clamp(min=limits.min)
    total = (others - largest).exp().sum(dim=1).clamp(min=limits.tiny)
    own = logits.gather(1, chosen)
    return (own.to(wide) - largest.to(wide)).squeeze(1) - total.to(wide).log()


def surprise(margin: Tensor) -> Tensor:
    """``-log p``."""
    return -F.logsigmoid(margin)


def focus(margin: Tensor, gamma: Number) -> Tensor:
    """``(1 - p)^gamma``."""
    return torch.exp(gamma * F.logsigmoid(-margin))


def reduced(
    logits: Tensor, targets: Tensor, loss: Callable[[Tensor], Tensor], weight: Tensor | None,
    reduction: str, ignore_index: int, edit: Callable[[Tensor], Tensor] | None = None,
    lowered: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """``loss`` of every margin that counts, weighted and reduced as `F.cross_entropy` does.

    Args:
        edit: Changes the logits ``(N, C)``, float32 or float64, before the margin is taken.
        lowered: What the margin of each true class is lowered by, ``(C,)``.
    """
    classes = check_shapes(logits, targets, weight, reduction)
    exact = logits if logits.dtype == torch.float64 else logits.float()
    with torch.autocast(logits.device.type, enabled=False):
        flat = exact.reshape(1, -1) if exact.ndim == 1 else exact.movedim(1, -1).reshape(-1, classes)
        labels = targets.reshape(-1).long()
        counts = labels != ignore_index
        safe = torch.where(counts, labels, 0)
        margin = true_margin(flat if edit is None else edit(flat), safe)
        values = loss(margin if lowered is None else margin - lowered.to(margin)[safe])
        factors = counts.to(values.dtype)
        if weight is not None:
            factors = factors * weight.to(values)[safe]
        values = torch.where(counts, values * factors, 0.0)
        if reduction == "mean":
            values = values.sum() / factors.sum()
        elif reduction == "sum":
            values = values.sum()
        else:
            values = values.reshape(targets.shape)
        return values.to(exact.dtype)


def check_shapes(logits: Tensor, targets: Tensor, weight: Tensor | None, reduction: str) -> int:
    """Number of classes, once everything fits."""
    if not logits.is_floating_point():
        raise TypeError(f"logits must be of a float type, but got {logits.dtype}")
    if targets.is_floating_point() or targets.is_complex() or targets.dtype == torch.bool:
        raise TypeError(f"targets must be class indices of an integer type, but got {targets.dtype}")
    if logits.ndim == 0:
        raise ValueError("logits must have shape (N, C), (C,) or (N, C, d1, ...), but got ()")
    classes = logits.shape[0 if logits.ndim == 1 else 1]
    expected = () if logits.ndim == 1 else (logits.shape[0], *logits.shape[2:])
    if tuple(targets.shape) != tuple(expected):
        raise ValueError(
            f"targets must have shape {tuple(expected)} for logits of shape {tuple(logits.shape)},"
            f" but got {tuple(targets.shape)}"
        )
    if classes < 2:
        raise ValueError(f"`classes >= 2` must hold, but got {classes}: with one class every loss is 0")
    if weight is not None and tuple(weight.shape) != (classes,):
        raise ValueError(f"weight must have shape ({classes},), but got {tuple(weight.shape)}")
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction must be one of {', '.join(REDUCTIONS)}, but got {reduction!r}")
    return classes


def check_number(name: str, value: Number, low: float, *, strict: bool, below: float = math.inf) -> None:
    """Refuse a number out of range. A tensor's value is not looked at, which would wait for the device."""
    if isinstance(value, Tensor):
        if value.ndim or not value.is_floating_point():
            got = f"{value.dtype} {tuple(value.shape)}"
            raise TypeError(f"{name} must be a number or a float tensor of shape (), but got {got}")
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, but got {value!r}")
    # Comparisons alone, which NaN fails: a compiler that has made the number a symbol can follow them.
    if not (low < value if strict else low <= value) or not value < below:
        raise ValueError(
            f"`{low:g} {'<' if strict else '<='} {name} < {below:g}` must hold, but got {name}={value}"
        )


class Loss(nn.Module):
    """Holds what does not change from batch to batch; the class weights follow ``.to`` and the checkpoint."""

    weight: Tensor | None

    def __init__(
        self, weight: Tensor | None = None, reduction: str = "mean", ignore_index: int = -100
    ) -> None:
        super().__init__()
        if reduction not in REDUCTIONS:
            raise ValueError(f"reduction must be one of {', '.join(REDUCTIONS)}, but got {reduction!r}")
        self.register_buffer("weight", weight)
        self.reduction, self.ignore_index = reduction, ignore_index

    def shared(self) -> dict[str, Any]:
        """Arguments that every loss has."""
        return {"weight": self.weight, "reduction": self.reduction, "ignore_index": self.ignore_index}

    def mass(self, targets: Tensor) -> Tensor | int:
        """What reduction ``mean`` divides by: times it, the means of batches add up to that of all.

        Args:
            targets: Shape ``(N,)``, of which all count.

        Returns:
            ``N``; with class weights their sum over the targets, a float64 scalar.
        """
        weight = self.shared()["weight"]
        return len(targets) if weight is None else weight[targets].double().sum()
