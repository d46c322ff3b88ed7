"""What a cache holds, in numbers: the digest that identifies it, mean and deviation of its channels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHUNK_BYTES = 1 << 24
"""How much of a memory-mapped array is looked at in one go."""


def digest(classes: Sequence[str], splits: Mapping[str, tuple[NDArray[np.uint8], NDArray[np.int64]]]) -> str:
    """SHA-256 over class names and, per split, shapes, types and bytes of images and labels.

    It depends on the data alone: not on paths, on the order of files on a disk, or on the machine.

    Args:
        classes: Names, in the order of the labels.
        splits: Images ``(N, H, W, C)`` uint8 and labels ``(N,)`` int64 of each split.

    Returns:
        64 hex digits.
    """
    hasher = hashlib.sha256()
    hasher.update(_header(classes=list(classes)))
    for split, (images, labels) in splits.items():
        for role, array in (("images", images), ("labels", labels.astype("<i8", copy=False))):
            hasher.update(_header(split=split, role=role, shape=list(array.shape), dtype=array.dtype.str))
            for chunk in _chunks(array):
                hasher.update(np.ascontiguousarray(chunk).reshape(-1).view(np.uint8).data)
    return hasher.hexdigest()


def _header(**values: Any) -> bytes:
    return json.dumps(values, sort_keys=True, separators=(",", ":")).encode("ascii") + b"\n"


def _chunks(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    rows = max(1, CHUNK_BYTES // max(1, array[:1].nbytes))
    for start in range(0, len(array), rows):
        yield array[start : start + rows]


def channel_statistics(images: NDArray[np.uint8]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of every channel.

    Counted in whole numbers, so that the result does not depend on the order of summation.

    Args:
        images: Shape ``(N, H, W, C)``, uint8, N > 0.

    Returns:
        Means and standard deviations (of the population), each of length C, where 255 counts as 1.
    """
    channels = images.shape[-1]
    histogram = np.zeros((channels, 256), dtype=np.int64)
    for chunk in _chunks(images):
        for channel in range(channels):
            histogram[channel] += np.bincount(chunk[..., channel].reshape(-1), minlength=256)
    means, deviations = [], []
    for values in histogram.tolist():
        total = sum(values)
        first = sum(level * count for level, count in enumerate(values))
        second = sum(level * level * count for level, count in enumerate(values))
        means.append(first / total / 255)
        deviations.append(float(np.sqrt((second * total - first * first) / (total * total))) / 255)
    return tuple(means), tuple(deviations)
