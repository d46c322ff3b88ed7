"""Augmentation against torchvision, image by image, and what each step promises."""

from __future__ import annotations

import pytest
import torch
from scipy import stats
from torch import Tensor
from torchvision.transforms import RandomCrop, RandomHorizontalFlip
from torchvision.transforms import functional as reference

from cefl import augment


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def bytes_of(count: int, height: int, width: int, channels: int, seed: int = 0) -> Tensor:
    """Pixels from 1 on, so that 0 can only be padding."""
    shape = (count, height, width, channels)
    return torch.randint(1, 256, shape, generator=generator(seed), dtype=torch.uint8)


def floats_of(count: int, channels: int, height: int, width: int, seed: int = 0) -> Tensor:
    return torch.rand(count, channels, height, width, generator=generator(seed))


@pytest.mark.parametrize(
    ("height", "width", "channels", "padding"), [(32, 32, 3, 4), (8, 8, 1, 1), (5, 9, 2, 3)]
)
def test_crop_and_flip_is_that_of_torchvision_for_the_same_draws(
    height: int, width: int, channels: int, padding: int
) -> None:
    images = bytes_of(40, height, width, channels)
    draws = augment.crop_draws(40, padding, flip=True, generator=generator())
    found = augment.crop_and_flip(images, draws, padding)
    assert found.dtype == torch.uint8
    for image, (top, left, mirrored), got in zip(images, draws.tolist(), found, strict=True):
        padded = reference.pad(image.permute(2, 0, 1), [padding] * 4)
        expected = reference.crop(padded, top, left, height, width)
        expected = reference.hflip(expected) if mirrored else expected
        assert torch.equal(got.permute(2, 0, 1), expected)


def test_padding_is_black_and_the_extreme_draws_reach_it() -> None:
    images = bytes_of(2, 6, 6, 3)
    found = augment.crop_and_flip(images, torch.tensor([[0, 0, 0], [4, 4, 0]]), padding=2)
    assert not found[0, :2].any()
    assert not found[0, :, :2].any()
    assert torch.equal(found[0, 2:, 2:], images[0, :4, :4])
    assert not found[1, 4:].any()
    assert torch.equal(found[1, :4, :4], images[1, 2:, 2:])


def test_every_image_has_a_draw_of_its_own_and_all_offsets_occur() -> None:
    draws = augment.crop_draws(2000, 4, flip=True, generator=generator())
    assert len(draws.unique(dim=0)) == 9 * 9 * 2
    for column, values in ((0, range(9)), (1, range(9)), (2, range(2))):
        share = torch.bincount(draws[:, column], minlength=len(values)) / len(draws)
        assert share.min() > 0.7 / len(values)
        assert share.max() < 1.3 / len(values)
    same = bytes_of(1, 8, 8, 1).expand(300, -1, -1, -1)
    assert len(augment.crop_and_flip(same, draws[:300], 4).flatten(1).unique(dim=0)) > 100


def test_without_flip_nothing_is_mirrored_and_without_padding_nothing_moves() -> None:
    draws = augment.crop_draws(50, 0, flip=False, generator=generator())
    assert not draws.any()
    images = bytes_of(50, 7, 7, 3)
    assert torch.equal(augment.crop_and_flip(images, draws, 0), images)


def test_offsets_and_mirrors_are_distributed_as_those_of_torchvision() -> None:
    """Uniform over the 9 x 9 places and the two sides; torchvision's own draws pass the same test."""
    drawn = augment.crop_draws(4000, 4, flip=True, generator=generator(1))
    padded = torch.zeros(1, 40, 40)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        theirs = torch.tensor([RandomCrop.get_params(padded, (32, 32))[:2] for _ in range(4000)])
    for offsets in (drawn[:, :2], theirs):
        counts = torch.bincount(9 * offsets[:, 0] + offsets[:, 1], minlength=81)
        assert stats.chisquare(counts).pvalue > 0.001
    sides = stats.contingency.crosstab(9 * drawn[:, 0] + drawn[:, 1], drawn[:, 2]).count
    assert stats.chi2_contingency(sides).pvalue > 0.001, "the side does not depend on the place"
    assert stats.binomtest(int(drawn[:, 2].sum()), len(drawn), RandomHorizontalFlip().p).pvalue > 0.001


def test_generators_decide_the_draws_and_the_global_state_does_not() -> None:
    before = torch.get_rng_state()
    first = augment.crop_draws(20, 4, True, generator(1))
    assert torch.equal(augment.crop_draws(20, 4, True, generator(1)), first)
    assert not torch.equal(augment.crop_draws(20, 4, True, generator(2)), first)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_centre_of_a_256_px_image_is_its_middle_224_px() -> None:
    images = floats_of(1, 3, 256, 300)
    assert torch.equal(augment.centre(images, 224), images[:, :, 16:240, 38:262])


def test_the_centre_of_a_much_larger_image_still_shows_seven_eighths_of_it() -> None:
    columns = torch.linspace(0, 1, 400).expand(1, 1, 200, 400)
    found = augment.centre(columns, 56)
    assert found.shape == (1, 1, 56, 56)
    # Half of the width is the shorter side's square, and 7/8 of that is seen.
    assert float(found[..., -1].mean() - found[..., 0].mean()) == pytest.approx(0.5 * 7 / 8, abs=0.01)
    assert float(found.mean()) == pytest.approx(0.5, abs=0.005)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (8, 40), (40, 8)])
def test_a_smaller_image_is_enlarged_to_the_size_asked_for(height: int, width: int) -> None:
    assert augment.centre(floats_of(2, 1, height, width), 16).shape == (2, 1, 16, 16)


def test_an_image_of_the_size_asked_for_is_left_alone() -> None:
    images = floats_of(2, 3, 32, 32)
    assert torch.equal(augment.centre(images, 32), images)
