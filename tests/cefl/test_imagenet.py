"""The augmentation of large images: its pixels and its draws against torchvision's, image by image."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torchvision.transforms import ColorJitter, RandomHorizontalFlip, RandomResizedCrop, RandomRotation
from torchvision.transforms import functional as reference
from torchvision.transforms.functional import InterpolationMode

from cefl import colour, imagenet

COUNT = 1500
"""Draws that are compared; two samples of this size differ by .06 or more once in 100 times."""

ADJUST = (
    reference.adjust_brightness,
    reference.adjust_contrast,
    reference.adjust_saturation,
    reference.adjust_hue,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def bytes_of(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, shape, generator=generator(seed), dtype=torch.uint8)


def draws(count: int = COUNT, seed: int = 0) -> Tensor:
    return imagenet.imagenet_draws(count, generator(seed))


def transformed(image: Tensor, draw: Tensor, size: int) -> Tensor:
    """What torchvision's functions make of one image, in the order of the paper's Table 1."""
    (box,) = imagenet.boxes(draw[None], *image.shape[1:]).tolist()
    image = reference.resized_crop(
        image.float() / 255, *box, [size, size], InterpolationMode.BILINEAR, antialias=True
    )
    image = reference.hflip(image) if imagenet.mirrored(draw[None])[0] else image
    (factors,), (order,) = (each(draw[None, -8:]).tolist() for each in (colour.factors, colour.orders))
    for change in order:
        image = ADJUST[change](image, factors[change])
    return reference.rotate(image, float(imagenet.angles(draw[None])), InterpolationMode.NEAREST)


@pytest.mark.parametrize(
    ("height", "width", "size"), [(64, 64, 24), (40, 90, 32), (90, 40, 25), (12, 12, 32), (200, 16, 24)]
)
def test_every_pixel_is_that_of_torchvision_for_the_same_draws(height: int, width: int, size: int) -> None:
    images, draw = bytes_of(10, 3, height, width), draws(10, seed=height + width)
    found = imagenet.imagenet(images, draw, size)
    assert found.shape == (10, 3, size, size)
    expected = torch.stack([transformed(*each, size) for each in zip(images, draw, strict=True)])
    torch.testing.assert_close(found / 255, expected, rtol=0, atol=1e-5)


def test_one_channel_is_cropped_turned_and_brightened_alike() -> None:
    images, draw = bytes_of(10, 1, 40, 50), draws(10)
    found = imagenet.imagenet(images, draw, 24)
    expected = torch.stack([transformed(*each, 24) for each in zip(images, draw, strict=True)])
    torch.testing.assert_close(found / 255, expected, rtol=0, atol=1e-4)
    assert imagenet.imagenet(bytes_of(10, 5, 40, 50), draw, 24).shape == (10, 5, 24, 24)


def test_an_image_does_not_depend_on_the_others_of_its_batch() -> None:
    images, draw = bytes_of(9, 3, 30, 30), draws(9)
    together = imagenet.imagenet(images, draw, 16)
    alone = torch.cat([imagenet.imagenet(images[n : n + 1], draw[n : n + 1], 16) for n in range(9)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-4)
    same = imagenet.imagenet(images[:1].expand(9, -1, -1, -1), draw, 16)
    assert len(same.flatten(1).unique(dim=0)) == 9, "every image has draws of its own"


def theirs(width: int, height: int) -> np.ndarray:
    """Top, left, height and width of torchvision's crops, ``(COUNT, 4)``."""
    transform, image = RandomResizedCrop(224), torch.zeros(1, height, width)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(width + height)
        return np.array([transform.get_params(image, transform.scale, transform.ratio) for _ in range(COUNT)])


def assert_alike(one: np.ndarray, other: np.ndarray, what: str) -> None:
    assert stats.ks_2samp(one, other).pvalue > 0.001, what


@pytest.mark.parametrize(("height", "width"), [(256, 256), (256, 480), (700, 256)])
def test_crops_are_distributed_as_those_of_torchvision(height: int, width: int) -> None:
    mine, yours = imagenet.boxes(draws(), height, width).numpy(), theirs(width, height)
    for what, of in {
        "area": lambda box: box[:, 2] * box[:, 3],
        "aspect": lambda box: box[:, 3] / box[:, 2],
        "top": lambda box: box[:, 0],
        "left": lambda box: box[:, 1],
        "place across, of what is free": lambda box: box[:, 1] / (width - box[:, 3] + 1),
        "place down, of what is free": lambda box: box[:, 0] / (height - box[:, 2] + 1),
    }.items():
        assert_alike(of(mine), of(yours), what)
    assert mine.min() >= 0
    assert (mine[:, 0] + mine[:, 2]).max() <= height
    assert (mine[:, 1] + mine[:, 3]).max() <= width


@pytest.mark.parametrize(("height", "width"), [(20, 200), (200, 20), (4, 4)])
def test_where_no_box_fits_the_crop_is_the_centre_as_often_as_torchvisions(height: int, width: int) -> None:
    mine, yours = imagenet.boxes(draws(), height, width).numpy(), theirs(width, height)
    (centre,) = np.unique(mine[(mine == imagenet.central_box(height, width)).all(axis=1)], axis=0)
    shares = [(boxes == centre).all(axis=1) for boxes in (mine, yours)]
    table = [[each.sum(), (~each).sum()] for each in shares]
    assert stats.fisher_exact(table).pvalue > 0.001
    assert min(min(row) for row in table) > 0, "both cases occur"
    assert_alike(mine[:, 2] * mine[:, 3], yours[:, 2] * yours[:, 3], "area")


def test_an_image_that_is_never_wide_enough_gives_torchvisions_centre() -> None:
    draw = draws(20)
    draw[:, : imagenet.TRIES] = 0.999  # Nearly the whole area, which no allowed aspect fits into.
    for height, width in ((50, 400), (400, 50), (61, 400)):
        transform = RandomResizedCrop(224, scale=(1.0, 1.0))
        expected = transform.get_params(torch.zeros(1, height, width), [1.0, 1.0], [3 / 4, 4 / 3])
        assert {tuple(box) for box in imagenet.boxes(draw, height, width).tolist()} == {expected}


def test_the_extreme_draws_reach_the_corners_and_the_stated_areas_and_aspects() -> None:
    draw, last = torch.full((2, 32), 0.0), 1 - 2**-24
    draw[1] = last
    draw[:, imagenet.TRIES : 2 * imagenet.TRIES] = 0.5  # Aspect 1.
    smallest, whole = imagenet.boxes(draw, 1000, 1000).tolist()
    assert smallest == [0, 0, 283, 283], "the root of 8% of a million"
    assert whole == [0, 0, 1000, 1000]
    draw[0, 2 * imagenet.TRIES :] = last
    assert imagenet.boxes(draw, 1000, 1000).tolist()[0] == [717, 717, 283, 283]
    draw[0, imagenet.TRIES : 2 * imagenet.TRIES] = last
    assert imagenet.boxes(draw, 1000, 1000).tolist()[0][2:] == [245, 327], "4 to 3"


def test_mirrors_and_angles_are_distributed_as_those_of_torchvision() -> None:
    draw = draws(4000)
    mirrored, angles = imagenet.mirrored(draw), imagenet.angles(draw).numpy()
    assert stats.binomtest(int(mirrored.sum()), 4000, RandomHorizontalFlip().p).pvalue > 0.001
    transform = RandomRotation(imagenet.ROTATION_DEGREES)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        expected = np.array([transform.get_params(transform.degrees) for _ in range(COUNT)])
    assert_alike(angles, expected, "angle")
    assert_alike(angles[mirrored], angles[~mirrored], "angle by side")


def test_colours_are_distributed_as_those_of_torchvision_in_all_orders() -> None:
    draw = draws(2400)[:, -8:]
    transform = ColorJitter(colour.JITTER, colour.JITTER, colour.JITTER, colour.HUE)
    ranges = transform.brightness, transform.contrast, transform.saturation, transform.hue
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        expected = np.array([transform.get_params(*ranges)[1:] for _ in range(COUNT)])
    for found, theirs in zip(colour.factors(draw).numpy().T, expected.T, strict=True):
        assert_alike(found, theirs, "factor")
    _, counts = colour.orders(draw).unique(dim=0, return_counts=True)
    assert len(counts) == math.factorial(4)
    assert stats.chisquare(counts).pvalue > 0.001


def test_all_draws_of_an_image_are_independent() -> None:
    """No two columns are the same, and each is used: changing it changes the image of somebody."""
    draw, images = draws(60), bytes_of(60, 3, 20, 100)
    before = imagenet.imagenet(images, draw, 12)
    for column in range(draw.shape[1]):
        changed = draw.clone()
        changed[:, column] = torch.rand(60, generator=generator(column + 1))
        used = not torch.equal(imagenet.imagenet(images, changed, 12), before)
        # A try counts where all before it failed, which is rare for the last ones.
        assert used or column % imagenet.TRIES > 3, column
    assert torch.corrcoef(draws(4000).T).fill_diagonal_(0).abs().max() < 0.08


def test_generators_decide_the_draws_and_the_global_state_does_not() -> None:
    before = torch.get_rng_state()
    assert torch.equal(draws(20, 1), draws(20, 1))
    assert not torch.equal(draws(20, 1), draws(20, 2))
    imagenet.imagenet(bytes_of(4, 3, 20, 20), draws(4), 16)
    assert torch.equal(torch.get_rng_state(), before)
