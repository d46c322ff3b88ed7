"""Augmentation against torchvision, image by image, and what each step promises."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torchvision.transforms import functional as reference

from cefl import augment

IDENTITY = torch.tensor([1.0, 0.5, 0.3, 0.8, 0.9, 0.5, 0.5, 0.5, 0.5])
"""Whole area, aspect 1, no shift to make, not mirrored, angle 0, colours as they are."""


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


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 32, 33])
def test_imagenet_with_identity_draws_is_the_identity(channels: int, size: int) -> None:
    images = floats_of(3, channels, size, size)
    torch.testing.assert_close(
        augment.imagenet(images, IDENTITY.expand(3, -1), size), images, rtol=0, atol=1e-4
    )


def test_imagenet_mirrors_and_crops_as_drawn() -> None:
    images = floats_of(1, 3, 16, 16)
    mirrored = IDENTITY.clone()
    mirrored[4] = 0.1
    found = augment.imagenet(images, mirrored[None], 16)
    torch.testing.assert_close(found, images.flip(3), rtol=0, atol=1e-4)
    corner = IDENTITY.clone()
    corner[0] = (0.25 - augment.SCALE[0]) / (1 - augment.SCALE[0])  # A quarter of the area,
    corner[2], corner[3] = 0.0, 1.0  # from the left, at the bottom.
    found = augment.imagenet(images, corner[None], 8)
    torch.testing.assert_close(found, images[:, :, 8:, :8], rtol=0, atol=1e-4)


@pytest.mark.parametrize("end", [0.0, 1.0])
def test_imagenet_rotates_by_at_most_the_stated_angle(end: float) -> None:
    ramp = torch.linspace(0.2, 0.8, 33).expand(33, 33)
    turned = IDENTITY.clone()
    turned[5] = end
    angles = []
    for image in (ramp, ramp.T):  # Brighter to the right, and brighter downwards.
        found = augment.imagenet(image.expand(1, 3, 33, 33), turned[None], 33)[0, 0]
        down, across = found[18, 16] - found[14, 16], found[16, 18] - found[16, 14]
        angles.append(math.degrees(math.atan2(float(down), float(across))))
    assert abs(angles[0]) == pytest.approx(augment.ROTATION_DEGREES, abs=0.1)
    assert (angles[0] < 0) == (end > 0.5)
    assert angles[1] - angles[0] == pytest.approx(90, abs=0.1), "both turn alike: no shear"


def test_imagenet_stays_in_range_and_takes_another_size() -> None:
    images = (floats_of(200, 3, 12, 20) > 0.5).float()
    draws = augment.imagenet_draws(200, generator())
    found = augment.imagenet(images, draws, 24)
    assert found.shape == (200, 3, 24, 24)
    assert found.min() >= 0
    assert found.max() <= 1
    assert not torch.equal(found[0], augment.imagenet(images[:1], draws[1:2], 24)[0])


def test_jitter_changes_brightness_contrast_and_saturation_by_at_most_a_fifth() -> None:
    images = 0.3 + 0.3 * floats_of(1, 3, 9, 9)
    plain = torch.full((1, 3), 0.5)
    torch.testing.assert_close(augment.jitter(images, plain), images)
    for end, factor in ((0.0, 0.8), (1.0, 1.2)):
        for which in range(3):
            draws = plain.clone()
            draws[0, which] = end
            found = augment.jitter(images, draws)
            grey = images.mean(dim=1, keepdim=True)
            centre = (torch.zeros(()), images.mean(), grey)[which]
            torch.testing.assert_close(found, centre + factor * (images - centre))


def test_one_channel_has_no_saturation() -> None:
    images = floats_of(4, 1, 6, 6)
    draws = torch.tensor([[0.5, 0.5, 0.0]]).expand(4, -1)
    torch.testing.assert_close(augment.jitter(images, draws), images)


def test_generators_decide_the_draws_and_the_global_state_does_not() -> None:
    before = torch.get_rng_state()
    for draw in (
        lambda seed: augment.crop_draws(20, 4, True, generator(seed)),
        lambda seed: augment.imagenet_draws(20, generator(seed)),
    ):
        first = draw(1)
        assert torch.equal(draw(1), first)
        assert not torch.equal(draw(2), first)
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
