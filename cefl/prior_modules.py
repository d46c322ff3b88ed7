"""Modules of `cefl.prior_losses`; class sizes and weights are buffers."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from cefl.loss_base import Loss, Number, check_number, reduced, surprise
from cefl.prior_losses import (
    Counts,
    check_counts,
    class_balanced_weights,
    fitting,
    ldam_loss,
    logit_adjustment_loss,
    weighted_focal,
)


class PriorLoss(Loss):
    """Holds the class sizes, which follow ``.to`` and the checkpoint.

    Args:
        train_counts: Training images of each class, ``(C,)``, at least 1.
    """

    train_counts: Tensor

    def __init__(self, train_counts: Counts, reduction: str = "mean", ignore_index: int = -100) -> None:
        super().__init__(None, reduction, ignore_index)
        self.register_buffer("train_counts", check_counts(train_counts))


class LogitAdjustmentLoss(PriorLoss):
    """Module of `logit_adjustment_loss`."""

    def __init__(
        self, train_counts: Counts, tau: Number = 1.0, reduction: str = "mean", ignore_index: int = -100
    ) -> None:
        super().__init__(train_counts, reduction, ignore_index)
        check_number("tau", tau, 0.0, strict=False)
        self.tau = tau

    def extra_repr(self) -> str:
        """Shown in the parentheses of ``repr``."""
        return f"tau={self.tau}"

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of a batch, see `logit_adjustment_loss`."""
        return logit_adjustment_loss(
            logits, targets, self.train_counts, tau=self.tau, reduction=self.reduction,
            ignore_index=self.ignore_index,
        )  # fmt: skip


class BalancedSoftmaxLoss(LogitAdjustmentLoss):
    """Module of `balanced_softmax_loss`."""

    def __init__(self, train_counts: Counts, reduction: str = "mean", ignore_index: int = -100) -> None:
        super().__init__(train_counts, 1.0, reduction, ignore_index)


class CBFocalLoss(PriorLoss):
    """Module of `class_balanced_loss` with a ``gamma``; the weights follow ``.to`` and the checkpoint."""

    weight: Tensor

    def __init__(
        self, train_counts: Counts, beta: float = 0.9999, gamma: Number = 2.0, reduction: str = "mean",
        ignore_index: int = -100,
    ) -> None:  # fmt: skip
        super().__init__(train_counts, reduction, ignore_index)
        check_number("gamma", gamma, 0.0, strict=False)
        self.weight = class_balanced_weights(train_counts, beta).float()
        self.beta, self.gamma = beta, gamma

    def extra_repr(self) -> str:
        """Shown in the parentheses of ``repr``."""
        return f"beta={self.beta}, gamma={self.gamma}"

    def mass(self, targets: Tensor) -> int:
        """The number of targets: Cui et al. do not divide by the weights."""
        return len(targets)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of a batch, see `class_balanced_loss`."""
        fitting(self.weight, logits)
        return weighted_focal(logits, targets, self.weight, self.gamma, self.reduction, self.ignore_index)


class CBCrossEntropyLoss(CBFocalLoss):
    """Module of `class_balanced_loss` with ``gamma`` 0."""

    def __init__(
        self, train_counts: Counts, beta: float = 0.9999, reduction: str = "mean", ignore_index: int = -100
    ) -> None:
        super().__init__(train_counts, beta, 0.0, reduction, ignore_index)


class LDAMLoss(PriorLoss):
    """Module of `ldam_loss`."""

    def __init__(
        self, train_counts: Counts, max_margin: float = 0.5, scale: float = 30.0, reduction: str = "mean",
        ignore_index: int = -100,
    ) -> None:  # fmt: skip
        super().__init__(train_counts, reduction, ignore_index)
        check_number("max_margin", max_margin, 0.0, strict=True)
        check_number("scale", scale, 0.0, strict=True)
        self.max_margin, self.scale = max_margin, scale

    def extra_repr(self) -> str:
        """Shown in the parentheses of ``repr``."""
        return f"max_margin={self.max_margin}, scale={self.scale}"

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of a batch, see `ldam_loss`."""
        return ldam_loss(
            logits, targets, self.train_counts, max_margin=self.max_margin, scale=self.scale,
            reduction=self.reduction, ignore_index=self.ignore_index,
        )  # fmt: skip


class DeferredLoss(PriorLoss):
    """Class weights that come in with an epoch (DRW); `cefl.training.Fit` tells every epoch before it begins.

    Reduction ``mean`` divides by the summed weight of the targets, as in the code of Cao et al.

    Args:
        epochs: Of the whole training.
        beta: As in `class_balanced_weights`.
        defer: Share of the epochs in ``[0, 1)`` that pass without weights; Cao et al. have 160 of 200.
    """

    weight: Tensor

    def __init__(
        self, train_counts: Counts, epochs: int, beta: float = 0.9999, defer: float = 0.8,
        reduction: str = "mean", ignore_index: int = -100,
    ) -> None:  # fmt: skip
        super().__init__(train_counts, reduction, ignore_index)
        check_number("defer", defer, 0.0, strict=False, below=1.0)
        self.weight = class_balanced_weights(train_counts, beta).float()
        self.beta, self.first_epoch, self.epoch = beta, round(defer * epochs), 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch, counted from 0, is trained next."""
        self.epoch = epoch

    def shared(self) -> dict[str, Any]:
        """Arguments that every loss has; no weight before its first epoch."""
        return {**super().shared(), "weight": self.weight if self.epoch >= self.first_epoch else None}

    def extra_repr(self) -> str:
        """Shown in the parentheses of ``repr``."""
        return f"beta={self.beta}, first_epoch={self.first_epoch}"


class CrossEntropyDRWLoss(DeferredLoss):
    """Cross-entropy with deferred class weights (CE-DRW)."""

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of a batch, see `cefl.losses.cross_entropy_loss`."""
        fitting(self.train_counts, logits)
        return reduced(logits, targets, surprise, **self.shared())


class LDAMDRWLoss(DeferredLoss):
    """LDAM with deferred class weights (LDAM-DRW)."""

    def __init__(
        self, train_counts: Counts, epochs: int, max_margin: float = 0.5, scale: float = 30.0,
        beta: float = 0.9999, defer: float = 0.8, reduction: str = "mean", ignore_index: int = -100,
    ) -> None:  # fmt: skip
        super().__init__(train_counts, epochs, beta, defer, reduction, ignore_index)
        check_number("max_margin", max_margin, 0.0, strict=True)
        check_number("scale", scale, 0.0, strict=True)
        self.max_margin, self.scale = max_margin, scale

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of a batch, see `ldam_loss`."""
        return ldam_loss(
            logits, targets, self.train_counts, max_margin=self.max_margin, scale=self.scale, **self.shared()
        )
