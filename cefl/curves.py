"""The losses as curves over p, the probability that a model gives the true class; importing needs no torch.

For figures and for reasoning. Training computes the same functions from the margin (see `cefl.losses`), which
stays exact where p rounds to 0 or 1.

References:
    Wang et al., "Class Balanced Loss for Image Classification", IEEE Access 2020, figures 3 to 5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_CROSS_ENTROPY_SHARES: Mapping[str, Callable[[Floats], Floats]] = {
    "cross_entropy": np.ones_like,
    "focal": np.zeros_like,
    "cefl": lambda p: 1 - p,
    "cefl2": lambda p: (1 - p) ** 2 / ((1 - p) ** 2 + p**2),
}
LOSSES = tuple(_CROSS_ENTROPY_SHARES)
"""All are a mixture of cross-entropy and focal loss."""


def cross_entropy_share(loss: str, p: ArrayLike) -> Floats:
    """Weight of cross-entropy in a loss; focal loss has the rest.

    Args:
        loss: One of `LOSSES`.
        p: Any shape, in ``[0, 1]``.

    Returns:
        In ``[0, 1]``, of the shape of ``p``.

    Raises:
        ValueError: If there is no such loss, or a probability lies outside ``[0, 1]``.
    """
    if loss not in _CROSS_ENTROPY_SHARES:
        raise ValueError(f"loss must be one of {', '.join(LOSSES)}, but got {loss!r}")
    values = np.asarray(p, dtype=np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("`0 <= p <= 1` must hold for every probability")
    return _CROSS_ENTROPY_SHARES[loss](values)


def loss_curve(loss: str, p: ArrayLike, gamma: float = 2.0, alpha: float = 1.0) -> Floats:
    """A loss over p: ``-[w + (1 - w) alpha (1 - p)^gamma] log p`` with its share ``w`` of cross-entropy.

    Args:
        loss: One of `LOSSES`.
        p: Any shape, in ``(0, 1]``.
        gamma: Focusing strength, ``>= 0``; no matter for cross-entropy.
        alpha: Scale of focal loss.

    Returns:
        Nats, of the shape of ``p``.

    Raises:
        ValueError: As `cross_entropy_share`, or if a probability is 0.
    """
    share, values = cross_entropy_share(loss, p), np.asarray(p, dtype=np.float64)
    if not (values > 0).all():
        raise ValueError("`0 < p <= 1` must hold for every probability: at 0 every loss is infinite")
    scale = alpha if loss == "focal" else 1.0
    curve: Floats = -(share + (1 - share) * scale * (1 - values) ** gamma) * np.log(values)
    return curve
