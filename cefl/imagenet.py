"""The augmentation for large images, batch by batch: what torchvision's transforms do image by image.

In the order of Wang et al. 2020, Table 1: random resized crop, mirror, colour jitter, rotation. The paper
gives no strengths: those of the crop, its antialiasing and the nearest pixel of the rotation are
torchvision's defaults; angle and colours have none there, and those here are ours. Every image has draws of
its own, the order of its colour changes among them; kornia draws that order once for a batch, and its crops
are not antialiased. tests/bench/augment.py compares the speed.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cefl.colour import jitter

SCALE, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)
"""Share of the image's area in a crop, and its width over its height."""

ROTATION_DEGREES = 15.0
TRIES = 10
"""Boxes that are drawn until one fits into the image; if none does, the crop is the centre."""

_TOP, _LEFT, _MIRROR, _ANGLE, _COLOURS = range(2 * TRIES, 2 * TRIES + 5)


def imagenet_draws(count: int, generator: Generator) -> Tensor:
    """Uniform numbers in [0, 1) for ``imagenet``: float32 ``(count, 32)``, on the CPU."""
    return torch.rand(count, _COLOURS + 8, generator=generator)


def imagenet(images: Tensor, draws: Tensor, size: int) -> Tensor:
    """Random resized crop, mirror, colour jitter and rotation, which shows black beyond the crop.

    Args:
        images: uint8 or float32 in [0, 255], ``(N, C, H, W)``, on any device.
        draws: As ``imagenet_draws`` gives them, on the CPU, since boxes and groups are read from them.
        size: Pixels a side of the result.

    Returns:
        float32 ``(N, C, size, size)`` in [0, 255].
    """
    crops = resized_crops(images, boxes(draws, *images.shape[2:]), size)
    # The mirror comes with the rotation: colours change alike on both sides of it.
    return rotate(jitter(crops, draws[:, _COLOURS:]), angles(draws), mirrored(draws))


def boxes(draws: Tensor, height: int, width: int) -> Tensor:
    """Top, left, height and width of each crop in pixels, int64 ``(N, 4)``."""
    draws = draws.double()
    area = height * width * (SCALE[0] + (SCALE[1] - SCALE[0]) * draws[:, :TRIES])
    low, high = math.log(RATIO[0]), math.log(RATIO[1])
    aspect = torch.exp(low + (high - low) * draws[:, TRIES : 2 * TRIES])
    across, down = (area * aspect).sqrt().round().long(), (area / aspect).sqrt().round().long()
    fits = (0 < across) & (across <= width) & (0 < down) & (down <= height)
    first = fits.long().argmax(dim=1, keepdim=True)
    across, down = across.gather(1, first).squeeze(1), down.gather(1, first).squeeze(1)
    top = (draws[:, _TOP] * (height - down + 1)).long()
    left = (draws[:, _LEFT] * (width - across + 1)).long()
    drawn = torch.stack([top, left, down, across], dim=1)
    return torch.where(fits.any(dim=1, keepdim=True), drawn, torch.tensor(central_box(height, width)))


def central_box(height: int, width: int) -> tuple[int, int, int, int]:
    """The largest crop of an allowed aspect in the middle of an image."""
    across = min(width, round(height * RATIO[1]))
    down = min(height, round(width / RATIO[0]))
    return (height - down) // 2, (width - across) // 2, down, across


def mirrored(draws: Tensor) -> Tensor:
    """Whether each image is mirrored, bool ``(N,)``."""
    return draws[:, _MIRROR] < 0.5


def angles(draws: Tensor) -> Tensor:
    """Degrees by which each image turns counter-clockwise, ``(N,)``."""
    return ROTATION_DEGREES * (2 * draws[:, _ANGLE] - 1)


def resized_crops(images: Tensor, box: Tensor, size: int) -> Tensor:
    """Each image's box, bilinear with antialiasing, float32 ``(N, C, size, size)``."""
    crops = []
    for image, (top, left, down, across) in zip(images, box.tolist(), strict=True):
        piece = image[None, :, top : top + down, left : left + across]
        piece = piece.to(torch.float32, memory_format=torch.contiguous_format)
        crops.append(F.interpolate(piece, (size, size), mode="bilinear", antialias=True, align_corners=False))
    return torch.cat(crops)


def rotate(images: Tensor, degrees: Tensor, mirror: Tensor) -> Tensor:
    """Square images mirrored, then turned about their centre: each pixel is the nearest one, or black.

    Args:
        images: float32 ``(N, C, S, S)``.
        degrees: Counter-clockwise, ``(N,)``.
        mirror: bool ``(N,)``.
    """
    size, radians = images.shape[2], torch.deg2rad(degrees)
    turns = torch.stack([radians.cos(), radians.sin(), torch.where(mirror, -1.0, 1.0)])
    cosine, sine, side = turns.to(images.device, non_blocking=True)[:, :, None, None]
    across = (2 * torch.arange(size, device=images.device) + 1) / size - 1
    down = across[:, None]
    grid = torch.stack([side * (cosine * across - sine * down), sine * across + cosine * down], dim=3)
    return F.grid_sample(images, grid, mode="nearest", align_corners=False)
