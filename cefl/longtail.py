"""Synthetic long tails: how many images each class keeps, and which.

The counts follow Wang et al. 2020: class ``i`` of ``C`` keeps ``floor(n * rho^(i / (C - 1) - 1))`` of its
``n`` images, so that class 0 is the rarest. The order of Cao et al. 2019 (LDAM), the largest class first, is
``order="descending"``.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cefl.catalog import ORDERS
from cefl.errors import ImbalanceError

Indices = NDArray[np.int64]


def class_counts(num_classes: int, largest: int, imbalance: float, order: str = "ascending") -> Indices:
    """Images that each class keeps.

    Args:
        num_classes: At least 2.
        largest: Images of the largest class, at least 1.
        imbalance: Nominal ratio of the largest class to the rarest, ``>= 1``; floors can raise the realised
            one.
        order: ``ascending`` (class 0 is the rarest) or ``descending``.

    Returns:
        int64 ``(num_classes,)``, all at least 1.

    Raises:
        ImbalanceError: If an argument is out of range, or a class would be left without images.
    """
    if num_classes < 2:
        raise ImbalanceError(f"`num_classes >= 2` must hold, but got {num_classes}")
    if largest < 1:
        raise ImbalanceError(f"`largest >= 1` must hold, but got {largest}")
    if not (math.isfinite(imbalance) and imbalance >= 1):
        raise ImbalanceError(f"`1 <= imbalance < inf` must hold, but got {imbalance}")
    if order not in ORDERS:
        raise ImbalanceError(f"order must be one of {', '.join(ORDERS)}, but got {order!r}")
    if imbalance > largest:
        raise ImbalanceError(
            f"imbalance {imbalance:g} leaves the rarest class without images: the largest has {largest};"
            f" at most {largest_imbalance(num_classes, largest):g} will do"
        )
    counts = [_count(num_classes, largest, imbalance, index) for index in range(num_classes)]
    return np.array(counts if order == "ascending" else counts[::-1], dtype=np.int64)


def _count(num_classes: int, largest: int, imbalance: float, index: int) -> int:
    """The floor, exact.

    ``k <= n rho^(i/(C-1) - 1)`` just when ``k^(C-1) rho^(C-1-i) <= n^(C-1)``, asked in whole numbers.
    """
    steps = num_classes - 1
    ratio = Fraction(repr(float(imbalance)))  # The number that was written, not its binary neighbour.
    up, down = ratio.numerator ** (steps - index), ratio.denominator ** (steps - index)
    limit = largest**steps * down
    count = int(largest * imbalance ** (index / steps - 1))
    while count**steps * up > limit:
        count -= 1
    while (count + 1) ** steps * up <= limit:
        count += 1
    return count


def largest_imbalance(num_classes: int, largest: int) -> float:
    """The largest ratio that leaves every class an image: the rarest keeps ``floor(largest / ratio)``."""
    return float(largest)


def class_permutations(labels: ArrayLike, num_classes: int, seed: int) -> list[Indices]:
    """The images of each class in a random order that depends on seed and class alone.

    Args:
        labels: Class of every image, ``(N,)``.
        num_classes: Number of classes ``C``.
        seed: At least 0.

    Returns:
        ``C`` arrays of indices into ``labels``, int64.
    """
    values = np.asarray(labels)
    by_class = np.argsort(values, kind="stable").astype(np.int64)
    ends = np.searchsorted(values[by_class], np.arange(num_classes + 1))
    return [
        np.random.default_rng(np.random.SeedSequence([seed, index])).permutation(
            by_class[ends[index] : ends[index + 1]]
        )
        for index in range(num_classes)
    ]


def longtail_indices(labels: ArrayLike, imbalance: float, seed: int, order: str = "ascending") -> Indices:
    """The images of a long tail; with one seed the tail of a larger ratio is part of that of a smaller one.

    Args:
        labels: Class of every image, ``(N,)``, in ``[0, C)``; every class has images, the smallest decides
            ``n``.
        imbalance: See `class_counts`.
        seed: Decides which images are kept.
        order: See `class_counts`.

    Returns:
        Indices into ``labels``, rising, int64.

    Raises:
        ImbalanceError: See `class_counts`.
    """
    values = np.asarray(labels)
    present = np.bincount(values)
    if not present.all() or not len(present):
        empty = np.flatnonzero(present == 0).tolist() or "all"
        raise ImbalanceError(f"every class must have images, but there are none of classes {empty}")
    counts = class_counts(len(present), int(present.min()), imbalance, order)
    kept = class_permutations(values, len(present), seed)
    return np.sort(np.concatenate([images[:count] for images, count in zip(kept, counts, strict=True)]))
