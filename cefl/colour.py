"""Changes of colour as torchvision's `ColorJitter` makes them, for whole batches.

Brightness, contrast, saturation and hue, each by a factor of the image's own, in an order of its own.
"""

from __future__ import annotations

import torch
from torch import Tensor

JITTER = 0.2
"""Half-range of the factors of brightness, contrast and saturation around 1."""

HUE = 0.05
"""Largest turn of the hue, in circles, to either side."""

WHITE = 255.0
LUMA = (0.2989, 0.587, 0.114)
"""Share of red, green and blue in grey, as torchvision has it."""


def jitter(images: Tensor, draws: Tensor) -> Tensor:
    """Images with their colours changed in place; hue and saturation where there are three channels.

    Args:
        images: float32 ``(N, C, H, W)`` in [0, 255], on any device.
        draws: Uniform numbers in [0, 1), ``(N, 8)``, on the CPU: for `factors`, then for `orders`.
    """
    strength = factors(draws).to(images.device, non_blocking=True)[:, :, None, None, None]
    # At each place of the order the images are taken in groups, one for each change.
    for changes in orders(draws).T.tolist():
        for change, apply in enumerate(CHANGES):
            group = [index for index, each in enumerate(changes) if each == change]
            if group and (images.shape[1] == 3 or apply in (brighten, contrast)):
                where = torch.tensor(group).to(images.device, non_blocking=True)
                images.index_copy_(0, where, apply(images[where], strength[where, change]))
    return images


def factors(draws: Tensor) -> Tensor:
    """Factors of brightness, contrast and saturation, and turn of the hue in circles, ``(N, 4)``."""
    middle, half = torch.tensor([1.0, 1.0, 1.0, 0.0]), torch.tensor([JITTER, JITTER, JITTER, HUE])
    return middle + half * (2 * draws[:, :4] - 1)


def orders(draws: Tensor) -> Tensor:
    """Which change is the first, second, ... of each image, int64 ``(N, 4)``: a permutation of 0 to 3."""
    return draws[:, 4:].argsort(dim=1)


def grey(images: Tensor) -> Tensor:
    """Brightness of each pixel, ``(N, 1, H, W)``."""
    if images.shape[1] != 3:
        return images.mean(dim=1, keepdim=True)
    red, green, blue = images.unbind(dim=1)
    return (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue).unsqueeze(1)


def brighten(images: Tensor, factor: Tensor) -> Tensor:
    """Towards black below 1, away from it above."""
    return (images * factor).clamp_(0, WHITE)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Towards the mean brightness of the image below 1, away from it above."""
    mean = grey(images).mean(dim=(1, 2, 3), keepdim=True)
    return (images * factor).add_(mean * (1 - factor)).clamp_(0, WHITE)


def saturate(images: Tensor, factor: Tensor) -> Tensor:
    """Towards the brightness of the pixel below 1, away from it above."""
    return (images * factor).add_(grey(images) * (1 - factor)).clamp_(0, WHITE)


def turn_hue(images: Tensor, turn: Tensor) -> Tensor:
    """The hue of HSV moved by ``turn`` circles; the largest and the smallest value of a pixel stay."""
    red, green, blue = images.unbind(dim=1)
    value, least = images.amax(dim=1), images.amin(dim=1)
    chroma = value - least
    # Sixths of a circle, from red, green or blue, whichever is the largest.
    above = torch.where(value == green, blue - red, red - green)
    above = torch.where(value == red, green - blue, above)
    start = torch.where(value == green, 2.0, 4.0).masked_fill_(value == red, 0.0)
    hue = above.div_(torch.where(chroma == 0, 1.0, chroma)).add_(start).add_(6 * turn.squeeze(1))
    hue -= 6 * (hue / 6).floor_()
    turned = torch.empty_like(images)
    # A channel is at the value for a third of the circle, at the least for another, and between them a ramp.
    ramps = (hue - 3).abs_() - 1, 2 - (hue - 2).abs_(), 2 - (hue - 4).abs_()
    for channel, ramp in enumerate(ramps):
        torch.addcmul(least, chroma, ramp.clamp_(0, 1), out=turned[:, channel])
    return turned


CHANGES = (brighten, contrast, saturate, turn_hue)
