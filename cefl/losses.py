"""Cross-entropy, focal loss, CEFL and CEFL2, in a form that is stable at every margin.

With the margin ``m = z_y - logsumexp(other logits)`` the probability of the true class is ``p = sigmoid(m)``,
and

    cross-entropy   s = -log p = softplus(-m)
    focal           alpha (1 - p)^gamma s
    CEFL            [(1 - p) + p (1 - p)^gamma] s
    CEFL2           [w + (1 - w) (1 - p)^gamma] s    with w = (1 - p)^2 / ((1 - p)^2 + p^2) = sigmoid(-2 m)

No difference of nearly equal numbers and no quotient is left. What runs over all classes is in float32, the
margin and the functions of it in float64 (see `true_margin`), whatever the type of the logits and under
autocast too.

References:
    Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017.
    Wang et al., "Class Balanced Loss for Image Classification", IEEE Access 2020, eq. 6 to 11.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cefl.catalog import LOSSES

Number = float | Tensor
REDUCTIONS = ("none", "mean", "sum")


def cross_entropy_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int = -100,
) -> Tensor:
    """Cross-entropy, as `torch.nn.functional.cross_entropy`, but exact where the model is sure.

    Args:
        logits: Before softmax, ``(N, C)``, ``(C,)`` or ``(N, C, d1, ...)``, of any float type.
        targets: Class indices in ``[0, C)``, or ``ignore_index``, of an integer type; ``(N,)``, ``()`` or
            ``(N, d1, ...)``.
        weight: Factor of each class on the loss, outside the probability, ``(C,)``.
        reduction: ``mean`` divides by the summed weight of the targets that count.
        ignore_index: A target that counts for nothing.

    Returns:
        Nats: a scalar, or the shape of ``targets`` with ``reduction="none"``. Float32, or float64 for float64
        logits.

    Raises:
        ValueError: If shapes do not fit, there is one class only, or the reduction is unknown.
        TypeError: If logits are not of a float type, or targets not integers.
    """
    return _reduced(logits, targets, _surprise, weight, reduction, ignore_index)


def focal_loss(
    logits: Tensor, targets: Tensor, *, gamma: Number = 2.0, alpha: Number = 1.0,
    weight: Tensor | None = None, reduction: str = "mean", ignore_index: int = -100,
) -> Tensor:  # fmt: skip
    """Focal loss ``-alpha (1 - p)^gamma log p``: images that the model has right count less.

    Args:
        logits: As in `cross_entropy_loss`, as is what is not named here.
        gamma: Focusing strength, ``>= 0``; 0 with alpha 1 is cross-entropy. A number, or a tensor ``()`` of a
            float type, whose value is not checked.
        alpha: Scale of all classes alike, ``> 0``. As ``gamma``.

    Raises:
        ValueError: If ``gamma`` is negative or ``alpha`` not positive, or either is not finite.
    """
    _check("gamma", gamma, 0.0, strict=False)
    _check("alpha", alpha, 0.0, strict=True)
    return _reduced(
        logits,
        targets,
        lambda margin: alpha * _focus(margin, gamma) * _surprise(margin),
        weight,
        reduction,
        ignore_index,
    )


def cefl_loss(
    logits: Tensor, targets: Tensor, *, gamma: Number = 2.0, weight: Tensor | None = None,
    reduction: str = "mean", ignore_index: int = -100,
) -> Tensor:  # fmt: skip
    """CEFL ``-[(1 - p) + p (1 - p)^gamma] log p``.

    Cross-entropy where the model is wrong, focal loss where it is right.

    Args:
        logits: As in `cross_entropy_loss`, as is what is not named here.
        gamma: As in `focal_loss`; 0 is cross-entropy.

    Raises:
        ValueError: If ``gamma`` is negative or not finite.

    References:
        Wang et al. 2020, eq. 9.
    """
    _check("gamma", gamma, 0.0, strict=False)

    def loss(margin: Tensor) -> Tensor:
        wrong = torch.sigmoid(-margin)
        return (wrong + torch.sigmoid(margin) * _focus(margin, gamma)) * _surprise(margin)

    return _reduced(logits, targets, loss, weight, reduction, ignore_index)


def cefl2_loss(
    logits: Tensor, targets: Tensor, *, gamma: Number = 2.0, weight: Tensor | None = None,
    reduction: str = "mean", ignore_index: int = -100,
) -> Tensor:  # fmt: skip
    """CEFL2 ``-[w + (1 - w) (1 - p)^gamma] log p`` with ``w = (1 - p)^2 / ((1 - p)^2 + p^2)``.

    As CEFL, but it parts right from wrong more sharply.

    Args:
        logits: As in `cross_entropy_loss`, as is what is not named here.
        gamma: As in `focal_loss`; 0 is cross-entropy.

    Raises:
        ValueError: If ``gamma`` is negative or not finite.

    References:
        Wang et al. 2020, eq. 11.
    """
    _check("gamma", gamma, 0.0, strict=False)

    def loss(margin: Tensor) -> Tensor:
        wrong = torch.sigmoid(-2 * margin)
        return (wrong + torch.sigmoid(2 * margin) * _focus(margin, gamma)) * _surprise(margin)

    return _reduced(logits, targets, loss, weight, reduction, ignore_index)


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


def _surprise(margin: Tensor) -> Tensor:
    """``-log p``."""
    return -F.logsigmoid(margin)


def _focus(margin: Tensor, gamma: Number) -> Tensor:
    """``(1 - p)^gamma``."""
    return torch.exp(gamma * F.logsigmoid(-margin))


def _reduced(
    logits: Tensor, targets: Tensor, loss: Callable[[Tensor], Tensor], weight: Tensor | None,
    reduction: str, ignore_index: int,
) -> Tensor:  # fmt: skip
    """``loss`` of every margin that counts, weighted and reduced as `F.cross_entropy` does."""
    classes = _check_shapes(logits, targets, weight, reduction)
    exact = logits if logits.dtype == torch.float64 else logits.float()
    with torch.autocast(logits.device.type, enabled=False):
        flat = exact.reshape(1, -1) if exact.ndim == 1 else exact.movedim(1, -1).reshape(-1, classes)
        labels = targets.reshape(-1).long()
        counts = labels != ignore_index
        safe = torch.where(counts, labels, 0)
        values = loss(true_margin(flat, safe))
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


def _check_shapes(logits: Tensor, targets: Tensor, weight: Tensor | None, reduction: str) -> int:
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


def _check(name: str, value: Number, low: float, *, strict: bool) -> None:
    """Refuse a number out of range. A tensor's value is not looked at, which would wait for the device."""
    if isinstance(value, Tensor):
        if value.ndim or not value.is_floating_point():
            got = f"{value.dtype} {tuple(value.shape)}"
            raise TypeError(f"{name} must be a number or a float tensor of shape (), but got {got}")
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, but got {value!r}")
    # Comparisons alone, which NaN fails: a compiler that has made the number a symbol can follow them.
    if not (low < value if strict else low <= value) or not value < math.inf:
        raise ValueError(
            f"`{low:g} {'<' if strict else '<='} {name} < inf` must hold, but got {name}={value}"
        )


class _Loss(nn.Module):
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


class CrossEntropyLoss(_Loss):
    """Module of `cross_entropy_loss`."""

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of a batch, see `cross_entropy_loss`."""
        return cross_entropy_loss(logits, targets, **self.shared())


class _GammaLoss(_Loss):
    def __init__(
        self,
        gamma: Number = 2.0,
        weight: Tensor | None = None,
        reduction: str = "mean",
        ignore_index: int = -100,
    ) -> None:
        super().__init__(weight, reduction, ignore_index)
        _check("gamma", gamma, 0.0, strict=False)
        self.gamma = gamma

    def extra_repr(self) -> str:
        """Shown in the parentheses of ``repr``."""
        return f"gamma={self.gamma}"


class FocalLoss(_GammaLoss):
    """Module of `focal_loss`."""

    def __init__(
        self, gamma: Number = 2.0, alpha: Number = 1.0, weight: Tensor | None = None,
        reduction: str = "mean", ignore_index: int = -100,
    ) -> None:  # fmt: skip
        super().__init__(gamma, weight, reduction, ignore_index)
        _check("alpha", alpha, 0.0, strict=True)
        self.alpha = alpha

    def extra_repr(self) -> str:
        """Shown in the parentheses of ``repr``."""
        return f"gamma={self.gamma}, alpha={self.alpha}"

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of a batch, see `focal_loss`."""
        return focal_loss(logits, targets, gamma=self.gamma, alpha=self.alpha, **self.shared())


class CEFLLoss(_GammaLoss):
    """Module of `cefl_loss`."""

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of a batch, see `cefl_loss`."""
        return cefl_loss(logits, targets, gamma=self.gamma, **self.shared())


class CEFL2Loss(_GammaLoss):
    """Module of `cefl2_loss`."""

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of a batch, see `cefl2_loss`."""
        return cefl2_loss(logits, targets, gamma=self.gamma, **self.shared())


MODULES: Mapping[str, type[_Loss]] = {
    "cross_entropy": CrossEntropyLoss,
    "focal": FocalLoss,
    "cefl": CEFLLoss,
    "cefl2": CEFL2Loss,
}


def build_loss(name: str, params: Mapping[str, float], weight: Tensor | None = None) -> nn.Module:
    """The module of a loss by its name, such as ``build_loss("cefl", {"gamma": 2.0})``.

    Raises:
        ValueError: If there is no such loss, or it has no such parameter.
    """
    if name not in MODULES:
        raise ValueError(f"loss must be one of {', '.join(MODULES)}, but got {name!r}")
    unknown = sorted(params.keys() - LOSSES[name].keys())
    if unknown:
        raise ValueError(f"{name} has no parameter {unknown[0]}; it has {', '.join(LOSSES[name]) or 'none'}")
    arguments: dict[str, Any] = dict(params)
    return MODULES[name](**arguments, weight=weight)
