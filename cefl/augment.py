"""Augmentation of whole batches on the device, with a draw of its own for every image.

All random numbers come from the generator that is handed in; the global state is never touched. What is
drawn for large images is in `cefl.imagenet`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

CENTRE = 7 / 8
"""Share of the shorter side that is looked at without augmentation: 224 of 256 px, as is usual."""


def shrink(images: Tensor, size: int) -> Tensor:
    """Images ``(N, C, H, W)`` made smaller until the shorter side is at most ``size / CENTRE`` px."""
    shorter, wanted = min(images.shape[2:]), round(size / CENTRE)
    if shorter <= wanted:
        return images
    height, width = (max(wanted, round(side * wanted / shorter)) for side in images.shape[2:])
    return F.interpolate(
        images.float(), (height, width), mode="bilinear", antialias=True, align_corners=False
    )


def centre(images: Tensor, size: int) -> Tensor:
    """The centre of float images ``(N, C, H, W)``, as ``(N, C, size, size)``; smaller images are enlarged."""
    if min(images.shape[2:]) < size:
        return F.interpolate(images, (size, size), mode="bilinear", align_corners=False)
    images = shrink(images, size)
    top, left = ((side - size) // 2 for side in images.shape[2:])
    return images[:, :, top : top + size, left : left + size]


def crop_draws(count: int, padding: int, flip: bool, generator: Generator) -> Tensor:
    """Offsets and mirrors for ``count`` images.

    Args:
        padding: Pixels added at every side, at least 0.
        flip: Mirror every second image, by chance; without, none.

    Returns:
        int64 ``(count, 3)``: top and left in [0, 2 padding], and 0 or 1 for mirrored.
    """
    offsets = torch.randint(0, 2 * padding + 1, (count, 2), generator=generator)
    mirrors = torch.randint(0, 2 if flip else 1, (count, 1), generator=generator)
    return torch.cat([offsets, mirrors], dim=1)


def crop_and_flip(images: Tensor, draws: Tensor, padding: int) -> Tensor:
    """Zero-pad, crop back to size and mirror.

    Args:
        images: uint8 ``(N, H, W, C)``.
        draws: As ``crop_draws`` gives them, on the same device.
        padding: Pixels added at every side.

    Returns:
        uint8 ``(N, H, W, C)``.
    """
    count, height, width, _ = images.shape
    padded = F.pad(images, (0, 0, padding, padding, padding, padding))
    rows = draws[:, 0:1] + torch.arange(height, device=images.device)
    across = torch.arange(width, device=images.device)
    columns = draws[:, 1:2] + torch.where(draws[:, 2:3].bool(), width - 1 - across, across)
    which = torch.arange(count, device=images.device)[:, None, None]
    return padded[which, rows[:, :, None], columns[:, None, :]]
