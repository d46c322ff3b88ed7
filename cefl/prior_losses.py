"""Losses that know how many training images each class has: the alternatives that CEFL is compared with.

With ``n_c`` training images of class ``c``, ``N`` of all, and the cross-entropy ``CE(z, y)`` of logits ``z``:

    logit adjustment     CE(z + tau log(n / N), y)     tau 0 is cross-entropy, tau 1 balanced softmax
    class-balanced       w_y CE(z, y), or w_y focal    w_c ~ (1 - beta) / (1 - beta^n_c), of sum C
    LDAM                 CE(s (z - m_y e_y), y)        m_c = max_margin (n_min / n_c)^(1/4), z are cosines
    deferred weights     the class weights above, but only in the last part of the training (DRW)

All use the margin of `cefl.loss_base`, so they are as exact as the losses there. Class weights stay outside
the probability. Predictions are the largest logit as the model gives it: nothing is adjusted at test time.

References:
    Cui et al., "Class-Balanced Loss Based on Effective Number of Samples", CVPR 2019.
    Cao et al., "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss", NeurIPS 2019.
    Ren et al., "Balanced Meta-Softmax for Long-Tailed Visual Recognition", NeurIPS 2020.
    Menon et al., "Long-tail learning via logit adjustment", ICLR 2021, eq. 10.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cefl.errors import CeflError
from cefl.loss_base import Number, check_number, focus, reduced, surprise

Counts = Tensor | Sequence[int]


def logit_adjustment_loss(
    logits: Tensor, targets: Tensor, train_counts: Counts, *, tau: Number = 1.0,
    reduction: str = "mean", ignore_index: int = -100,
) -> Tensor:  # fmt: skip
    """Cross-entropy of ``logits + tau log(train_counts / sum)``: rare classes must lead by more to be right.

    Args:
        logits: As in `cefl.losses.cross_entropy_loss`, as is what is not named here.
        train_counts: Training images of each class, ``(C,)``, at least 1.
        tau: Strength, ``>= 0``; 0 is cross-entropy, 1 is `balanced_softmax_loss`. A number, or a
            tensor ``()`` of a float type, whose value is not checked.

    Raises:
        ValueError: If ``tau`` is negative or not finite, or a class has no images.

    References:
        Menon et al. 2021, eq. 10.
    """
    check_number("tau", tau, 0.0, strict=False)
    counts = fitting(train_counts, logits)

    def adjusted(flat: Tensor) -> Tensor:
        shares = counts.to(flat) / counts.sum().to(flat)
        return flat + tau * shares.log()

    return reduced(logits, targets, surprise, None, reduction, ignore_index, edit=adjusted)


def balanced_softmax_loss(
    logits: Tensor, targets: Tensor, train_counts: Counts, *, reduction: str = "mean",
    ignore_index: int = -100,
) -> Tensor:  # fmt: skip
    """Cross-entropy of the softmax ``n_c exp(z_c) / sum_j n_j exp(z_j)``: `logit_adjustment_loss` at tau 1.

    References:
        Ren et al. 2020, eq. 4.
    """
    return logit_adjustment_loss(
        logits, targets, train_counts, tau=1.0, reduction=reduction, ignore_index=ignore_index
    )


def class_balanced_weights(train_counts: Counts, beta: float) -> Tensor:
    """Weight of each class by its effective number of images, ``(1 - beta^n) / (1 - beta)``.

    Args:
        train_counts: Training images of each class, ``(C,)``, at least 1.
        beta: In ``[0, 1)``; 0 weighs all classes alike, and towards 1 the weights become those of ``1 / n``.

    Returns:
        ``(C,)``, float64, of sum C, on the CPU.

    References:
        Cui et al. 2019, section 4.
    """
    check_number("beta", beta, 0.0, strict=False, below=1.0)
    counts = check_counts(train_counts).cpu().double()
    # 1 - beta^n, with the digits that beta near 1 would cost.
    unlike = -torch.expm1(counts * torch.tensor(float(beta), dtype=torch.float64).log())
    return len(counts) * (1 / unlike) / (1 / unlike).sum()


def class_balanced_loss(
    logits: Tensor, targets: Tensor, train_counts: Counts, *, beta: float = 0.9999, gamma: Number = 0.0,
    reduction: str = "mean", ignore_index: int = -100,
) -> Tensor:  # fmt: skip
    """Cross-entropy or, with ``gamma > 0``, focal loss with `class_balanced_weights`.

    Args:
        logits: As in `cefl.losses.cross_entropy_loss`, as is what is not named here.
        beta: As in `class_balanced_weights`; 0 is the loss without weights.
        gamma: As in `cefl.losses.focal_loss`.
        reduction: ``mean`` divides by the number of targets that count, as in the paper, not by their weight.

    References:
        Cui et al. 2019, section 4; its focal loss is that of a sigmoid a class, this one of the softmax.
    """
    check_number("gamma", gamma, 0.0, strict=False)
    weight = class_balanced_weights(fitting(train_counts, logits), beta).to(logits.device, torch.float32)
    return weighted_focal(logits, targets, weight, gamma, reduction, ignore_index)


def ldam_loss(
    logits: Tensor, targets: Tensor, train_counts: Counts, *, max_margin: float = 0.5, scale: float = 30.0,
    weight: Tensor | None = None, reduction: str = "mean", ignore_index: int = -100,
) -> Tensor:  # fmt: skip
    """Cross-entropy after the logit of the true class is lowered by a margin that rare classes have most of.

    Args:
        logits: Cosines, as `cefl.models.CosineLinear` gives them; else as in
            `cefl.losses.cross_entropy_loss`, as is what is not named here.
        max_margin: Margin of the rarest class, ``> 0``; class c has ``max_margin (n_min / n_c)^(1/4)``.
        scale: Factor of the logits, ``> 0``.

    References:
        Cao et al. 2019, eq. 10 to 12, with the constants of its section 4.
    """
    check_number("max_margin", max_margin, 0.0, strict=True)
    check_number("scale", scale, 0.0, strict=True)
    counts = fitting(train_counts, logits)
    rarity = (counts.min() / counts.to(torch.float32)) ** 0.25
    return reduced(
        logits, targets, surprise, weight, reduction, ignore_index,
        edit=lambda flat: scale * flat, lowered=scale * max_margin * rarity,
    )  # fmt: skip


def check_counts(train_counts: Counts) -> Tensor:
    """The counts as int64 ``(C,)``.

    Raises:
        CeflError: If they are not whole numbers in one row, or a class has none.
    """
    counts = torch.as_tensor(train_counts)
    if counts.ndim != 1 or counts.is_floating_point() or counts.is_complex() or counts.dtype == torch.bool:
        got = f"{counts.dtype} {tuple(counts.shape)}"
        raise CeflError(f"train_counts must be whole numbers of shape (C,), but got {got}")
    if not bool((counts >= 1).all()):
        empty = torch.nonzero(counts < 1).flatten().tolist()
        raise CeflError(f"`train_counts >= 1` must hold for every class, but it does not for {empty}")
    return counts.long()


def fitting(train_counts: Counts, logits: Tensor) -> Tensor:
    """Counts that have the classes of the logits; a tensor was checked when its module was made."""
    counts = train_counts if isinstance(train_counts, Tensor) else check_counts(train_counts)
    classes = logits.shape[0 if logits.ndim == 1 else 1] if logits.ndim else 0
    if tuple(counts.shape) != (classes,):
        raise ValueError(f"train_counts must have shape ({classes},), but got {tuple(counts.shape)}")
    return counts.to(logits.device)


def weighted_focal(
    logits: Tensor, targets: Tensor, weight: Tensor, gamma: Number, reduction: str, ignore_index: int
) -> Tensor:
    """Focal loss with class weights; ``mean`` divides by the number of targets that count."""
    summed = "sum" if reduction == "mean" else reduction
    found = reduced(
        logits, targets, lambda margin: focus(margin, gamma) * surprise(margin), weight, summed, ignore_index
    )
    return found / (targets != ignore_index).sum() if reduction == "mean" else found
