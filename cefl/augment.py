"""Augmentation of whole batches on the device, with a draw of its own for every image.

All random numbers come from the generator that is handed in; the global state is never touched.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

# Area and aspect of a random resized crop: torchvision's defaults.
SCALE, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)
ROTATION_DEGREES = 15.0
JITTER = 0.2  # Half-range of brightness, contrast and saturation factors.
CENTRE = (
    7 / 8
)  # Share of the shorter side that is looked at without augmentation: 224 of 256 px, as is usual.


def shrink(images: Tensor, size: int) -> Tensor:
    """Images ``(N, C, H, W)`` made smaller until the shorter side is at most ``size / CENTRE`` px."""
    shorter, wanted = min(images.shape[2:]), round(size / CENTRE)
    if shorter <= wanted:
        return images
    height, width = (max(wanted, round(side * wanted / shorter)) for side in images.shape[2:])
    return F.interpolate(images, (height, width), mode="bilinear", antialias=True, align_corners=False)


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


def imagenet_draws(count: int, generator: Generator) -> Tensor:
    """Uniform numbers in [0, 1) for ``imagenet``: float32 ``(count, 9)``."""
    return torch.rand(count, 9, generator=generator)


def imagenet(images: Tensor, draws: Tensor, size: int) -> Tensor:
    """Random resized crop, mirror, rotation and colour jitter, by one resampling and one change of colours.

    What a rotated crop shows beyond the edge of the image is black.

    Args:
        images: float32 ``(N, C, H, W)`` in [0, 1].
        draws: As ``imagenet_draws`` gives them, on the same device.
        size: Pixels a side of the result.

    Returns:
        float32 ``(N, C, size, size)`` in [0, 1].
    """
    area = SCALE[0] + (SCALE[1] - SCALE[0]) * draws[:, 0]
    aspect = torch.exp(math.log(RATIO[0]) + (math.log(RATIO[1]) - math.log(RATIO[0])) * draws[:, 1])
    across = (area * aspect).sqrt().clamp(max=1.0)
    down = (area / aspect).sqrt().clamp(max=1.0)
    shift_x = (2 * draws[:, 2] - 1) * (1 - across)
    shift_y = (2 * draws[:, 3] - 1) * (1 - down)
    mirror = torch.where(draws[:, 4] < 0.5, -1.0, 1.0)
    angle = math.radians(ROTATION_DEGREES) * (2 * draws[:, 5] - 1)
    cosine, sine = angle.cos(), angle.sin()
    theta = torch.stack(
        [
            torch.stack([across * cosine * mirror, -across * sine, shift_x], dim=1),
            torch.stack([down * sine * mirror, down * cosine, shift_y], dim=1),
        ],
        dim=1,
    )
    grid = F.affine_grid(theta, [len(images), images.shape[1], size, size], align_corners=False)
    return jitter(F.grid_sample(images, grid, align_corners=False), draws[:, 6:9])


def jitter(images: Tensor, draws: Tensor) -> Tensor:
    """Brightness, contrast and saturation changed by factors in ``1 -+ JITTER``, one triple an image."""
    brightness, contrast, saturation = (1 + JITTER * (2 * draws - 1))[:, :, None, None, None].unbind(dim=1)
    images = (images * brightness).clamp(0, 1)
    grey = images.mean(dim=1, keepdim=True)
    images = (images * contrast + grey.mean(dim=(2, 3), keepdim=True) * (1 - contrast)).clamp(0, 1)
    grey = images.mean(dim=1, keepdim=True)
    return (images * saturation + grey * (1 - saturation)).clamp(0, 1)
