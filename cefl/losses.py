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

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cefl.catalog import LOSSES
from cefl.loss_base import Loss, Number, check_number, focus, reduced, surprise
from cefl.prior_modules import (
    BalancedSoftmaxLoss,
    CBCrossEntropyLoss,
    CBFocalLoss,
    CrossEntropyDRWLoss,
    DeferredLoss,
    LDAMDRWLoss,
    LDAMLoss,
    LogitAdjustmentLoss,
    PriorLoss,
)


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
    return reduced(logits, targets, surprise, weight, reduction, ignore_index)


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
    check_number("gamma", gamma, 0.0, strict=False)
    check_number("alpha", alpha, 0.0, strict=True)
    return reduced(
        logits,
        targets,
        lambda margin: alpha * focus(margin, gamma) * surprise(margin),
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
    return _cefl(1, logits, targets, gamma, weight, reduction, ignore_index)


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
    return _cefl(2, logits, targets, gamma, weight, reduction, ignore_index)


def _cefl(
    sharpness: int, logits: Tensor, targets: Tensor, gamma: Number, weight: Tensor | None, reduction: str,
    ignore_index: int,
) -> Tensor:  # fmt: skip
    """CEFL at sharpness 1, CEFL2 at 2: the weight of cross-entropy is ``sigmoid(-sharpness m)``."""
    check_number("gamma", gamma, 0.0, strict=False)

    def loss(margin: Tensor) -> Tensor:
        # Two products, since a shared one would add the gradients in another order, and round them so.
        wrong = torch.sigmoid(-sharpness * margin)
        return (wrong + torch.sigmoid(sharpness * margin) * focus(margin, gamma)) * surprise(margin)

    return reduced(logits, targets, loss, weight, reduction, ignore_index)


class CrossEntropyLoss(Loss):
    """Module of `cross_entropy_loss`."""

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of a batch, see `cross_entropy_loss`."""
        return cross_entropy_loss(logits, targets, **self.shared())


class _GammaLoss(Loss):
    def __init__(
        self,
        gamma: Number = 2.0,
        weight: Tensor | None = None,
        reduction: str = "mean",
        ignore_index: int = -100,
    ) -> None:
        super().__init__(weight, reduction, ignore_index)
        check_number("gamma", gamma, 0.0, strict=False)
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
        check_number("alpha", alpha, 0.0, strict=True)
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


MODULES: Mapping[str, type[Loss]] = {
    "cross_entropy": CrossEntropyLoss,
    "focal": FocalLoss,
    "cefl": CEFLLoss,
    "cefl2": CEFL2Loss,
    "balanced_softmax": BalancedSoftmaxLoss,
    "logit_adjustment": LogitAdjustmentLoss,
    "cb_cross_entropy": CBCrossEntropyLoss,
    "cb_focal": CBFocalLoss,
    "cross_entropy_drw": CrossEntropyDRWLoss,
    "ldam": LDAMLoss,
    "ldam_drw": LDAMDRWLoss,
}


def build_loss(
    name: str,
    params: Mapping[str, float],
    weight: Tensor | None = None,
    *,
    train_counts: Sequence[int] | Tensor | None = None,
    epochs: int | None = None,
) -> nn.Module:
    """The module of a loss by its name, such as ``build_loss("cefl", {"gamma": 2.0})``.

    Args:
        train_counts: Training images of each class, for losses that know the class sizes.
        epochs: Of the whole training, for losses with a schedule.

    Raises:
        ValueError: If there is no such loss, it has no such parameter, or what it needs is missing.
    """
    if name not in MODULES:
        raise ValueError(f"loss must be one of {', '.join(MODULES)}, but got {name!r}")
    unknown = sorted(params.keys() - LOSSES[name].keys())
    if unknown:
        raise ValueError(f"{name} has no parameter {unknown[0]}; it has {', '.join(LOSSES[name]) or 'none'}")
    arguments: dict[str, Any] = dict(params)
    module = MODULES[name]
    if issubclass(module, PriorLoss):
        if weight is not None:
            raise ValueError(f"{name} makes its class weights of train_counts itself; leave `weight` out")
        arguments["train_counts"] = train_counts
    else:
        arguments["weight"] = weight
    if issubclass(module, DeferredLoss):
        arguments["epochs"] = epochs
    missing = [needed for needed in ("train_counts", "epochs") if arguments.get(needed, 0) is None]
    if missing:
        raise ValueError(f"{name} needs {' and '.join(missing)}")
    return module(**arguments)
