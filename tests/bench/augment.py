"""The augmentation of large images against kornia and torchvision: a batch of 64 photographs, 256 to 224 px.

    uv run --with kornia python tests/bench/augment.py [--device cuda]

kornia is no dependency of the project: with plain `uv run` its figures are left out. All three draw anew for
every image, but kornia draws one order of the colour changes for a batch and does not antialias. torchvision
works image by image, as in a worker of a data loader. One thread each, in turn, so that a busy machine slows
all alike. On a GPU ours and kornia work there, on images that are there already; torchvision's batches go
there when they are done; the clock waits for the device. Ratios are of repetitions side by side; above 1,
ours is faster. On one core of a busy EPYC, n = 3: 2.2 to 3.4 times kornia 0.9.0, so ours was kept; 0.9 to 2.2
times torchvision 0.29.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from bench_training import device_of
from measuring import Bench
from sklearn.datasets import load_sample_images
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.functional import to_pil_image

from cefl.colour import HUE, JITTER
from cefl.imagenet import RATIO, ROTATION_DEGREES, SCALE, imagenet, imagenet_draws

OURS = "cefl.imagenet"
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


def synchronise(device: str) -> None:
    """Wait until a GPU has done what it was told."""
    if device != "cpu":
        torch.cuda.synchronize(device)


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


def ways_of(images: Tensor, size: int, device: str) -> dict[str, Callable[[], object] | None]:
    """What each does with a batch of uint8 ``(N, H, W, 3)``; ``None`` for what is not installed."""
    generator, single, batch = torch.Generator().manual_seed(0), torchvision_transforms(size), len(images)
    planes = images.permute(0, 3, 1, 2).contiguous()
    pictures = [to_pil_image(each.numpy()) for each in images]
    there = images.to(device)
    return {
        OURS: lambda: imagenet(there.permute(0, 3, 1, 2), imagenet_draws(batch, generator), size),
        "kornia": kornia_batches(there, size),
        "torchvision, tensors": lambda: torch.stack([single(each) for each in planes]).to(device),
        "torchvision, Pillow": lambda: torch.stack([single(each) for each in pictures]).to(device),
    }


def main() -> None:
    """Measure and print."""
    options = {"batch": 64, "source": 256, "size": 224, "threads": 1, "device": "cpu"}
    bench = Bench("augment", __doc__, repetitions=7, options=options)
    batch, source, size = (
        (4, 64, 56) if bench.quick else [vars(bench.options)[name] for name in list(options)[:3]]
    )
    device = device_of(bench.options.device)
    torch.set_num_threads(bench.options.threads)
    bench.conditions |= {"device": device}
    there = {}
    for title, way in ways_of(photographs(batch, source), size, device).items():
        if way is None:
            bench.note(f"  {title} is not installed: uv run --with {title} python tests/bench/augment.py")
        else:
            there[title] = way
    seconds: dict[str, list[float]] = {title: [] for title in there}
    for repetition in range(bench.repetitions + 1):
        for title, way in there.items():
            synchronise(device)
            begin = time.perf_counter()
            way()
            synchronise(device)
            if repetition:  # The first one warms up.
                seconds[title].append(time.perf_counter() - begin)
    conditions = f"batch {batch}, {source} to {size} px, {bench.options.threads} thread(s), {device}"
    for title, values in seconds.items():
        bench.add(f"{title}, images/s", [batch / value for value in values], "/s", note=conditions)
    own = seconds.pop(OURS)
    for title, values in seconds.items():
        ratios = [theirs / ours for ours, theirs in zip(own, values, strict=True)]
        bench.add(f"faster than {title}", ratios, "x")
    bench.finish()


if __name__ == "__main__":
    main()
