"""The augmentation of large images against kornia and torchvision: a batch of 64 photographs, 256 to 224 px.

    uv run --with kornia python tests/bench/augment.py

kornia is no dependency of the project: with plain `uv run` its figures are left out. All three draw anew for
every image, but kornia draws one order of the colour changes for a batch and does not antialias. torchvision
works image by image, as in a worker of a data loader. One thread each, in turn, so that a busy machine slows
all alike. Ratios are of repetitions side by side; above 1, ours is faster. On one core of a busy EPYC, n = 3:
2.2 to 3.4 times kornia 0.9.0, so ours was kept; 0.9 to 2.2 times torchvision 0.29.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from measuring import Bench
from sklearn.datasets import load_sample_images
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.functional import to_pil_image

from cefl.colour import HUE, JITTER
from cefl.imagenet import RATIO, ROTATION_DEGREES, SCALE, imagenet, imagenet_draws

COLOURS = (JITTER, JITTER, JITTER, HUE)


def photographs(count: int, size: int) -> Tensor:
    """Pieces of scikit-learn's two photographs, uint8 ``(count, size, size, 3)``."""
    generator, pieces = torch.Generator().manual_seed(0), []
    both = torch.from_numpy(np.stack(load_sample_images().images))
    for index in range(count):
        top = int(torch.randint(0, both.shape[1] - size + 1, (), generator=generator))
        left = int(torch.randint(0, both.shape[2] - size + 1, (), generator=generator))
        pieces.append(both[index % 2, top : top + size, left : left + size])
    return torch.stack(pieces)


def torchvision_transforms(size: int) -> v2.Compose:
    """The same augmentation of one image."""
    return v2.Compose(
        [
            v2.RandomResizedCrop(size, SCALE, RATIO, antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(*COLOURS),
            v2.RandomRotation(ROTATION_DEGREES, InterpolationMode.NEAREST),
            v2.ToImage(),
            v2.ToDtype(torch.float32),
        ]
    )


def kornia_batches(images: Tensor, size: int) -> Callable[[], Tensor] | None:
    """The same augmentation by kornia, where it is installed."""
    try:
        from kornia import augmentation
    except ImportError:
        return None
    transform = torch.nn.Sequential(
        augmentation.RandomResizedCrop((size, size), SCALE, RATIO),
        augmentation.RandomHorizontalFlip(),
        augmentation.ColorJitter(*COLOURS),
        augmentation.RandomRotation(ROTATION_DEGREES, resample="NEAREST", p=1.0),
    )
    return lambda: transform(images.permute(0, 3, 1, 2).float() / 255)


def main() -> None:
    """Measure and print."""
    options = {"batch": 64, "source": 256, "size": 224, "threads": 1}
    bench = Bench("augment", __doc__, repetitions=7, options=options)
    batch, source, size = (
        (4, 64, 56) if bench.quick else [vars(bench.options)[name] for name in list(options)[:3]]
    )
    torch.set_num_threads(bench.options.threads)
    images, generator = photographs(batch, source), torch.Generator().manual_seed(0)
    single = torchvision_transforms(size)
    planes, pictures = (
        images.permute(0, 3, 1, 2).contiguous(),
        [to_pil_image(each.numpy()) for each in images],
    )
    ways: dict[str, Callable[[], object] | None] = {
        "cefl.imagenet": lambda: imagenet(images.permute(0, 3, 1, 2), imagenet_draws(batch, generator), size),
        "kornia": kornia_batches(images, size),
        "torchvision, tensors": lambda: torch.stack([single(each) for each in planes]),
        "torchvision, Pillow": lambda: torch.stack([single(each) for each in pictures]),
    }
    there = {title: way for title, way in ways.items() if way is not None}
    for absent in ways.keys() - there.keys():
        bench.note(f"  {absent} is not installed: uv run --with {absent} python tests/bench/augment.py")
    seconds: dict[str, list[float]] = {title: [] for title in there}
    for repetition in range(bench.repetitions + 1):
        for title, way in there.items():
            begin = time.perf_counter()
            way()
            if repetition:  # The first one warms up.
                seconds[title].append(time.perf_counter() - begin)
    conditions = f"batch {batch}, {source} to {size} px, {bench.options.threads} thread(s)"
    for title, values in seconds.items():
        bench.add(f"{title}, images/s", [batch / value for value in values], "/s", note=conditions)
    own = seconds.pop("cefl.imagenet")
    for title, values in seconds.items():
        ratios = [theirs / ours for ours, theirs in zip(own, values, strict=True)]
        bench.add(f"faster than {title}", ratios, "x")
    bench.finish()


if __name__ == "__main__":
    main()
