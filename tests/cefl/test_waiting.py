"""Nothing waits for the device inside an epoch: numbers are read at its end, however many batches it has.

What would wait on a GPU shows on the CPU too: a number that Python reads from a tensor, and results whose
size depends on values.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from cefl.catalog import LOSSES
from cefl.losses import build_loss
from cefl.models import build_model
from cefl.recipes import AUGMENTATIONS, Recipe
from cefl.training import ImageSet, fit

WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "unique")


class Waits(TorchDispatchMode):
    """Counts the operations that a device is waited for in."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.removeprefix("aten::")
        by_mask = name in ("index", "index_put_") and any(
            isinstance(index, Tensor) and index.dtype == torch.bool for index in args[1]
        )
        if by_mask or name.startswith(WAITS):
            self.found[name] += 1
        return func(*args, **(kwargs or {}))


def waits(batches: int, loss: str, augment: str) -> Counter[str]:
    """Of one epoch, after one that set things up."""
    size, count = 8, 8 * batches
    images = torch.randint(0, 256, (count, size, size, 3), generator=torch.Generator().manual_seed(0))
    data = ImageSet(images.to(torch.uint8), torch.arange(count) % 2, torch.arange(count))
    run = fit(
        build_model("resnet8", 2, 3, size), build_loss(loss, {}, train_counts=[4, 4], epochs=2), data,
        Recipe(epochs=2, batch_size=8, learning_rate=0.01, augment=augment), seed=0,
        mean=torch.full((3,), 0.5), std=torch.full((3,), 0.3),
    )  # fmt: skip
    next(run)
    with Waits() as seen:
        next(run)
    return seen.found


@pytest.mark.parametrize(
    ("loss", "augment"),
    [*((loss, "crop-flip") for loss in LOSSES), *(("cefl", augment) for augment in AUGMENTATIONS)],
)
def test_an_epoch_of_more_batches_waits_no_more_often(loss: str, augment: str) -> None:
    assert waits(4, loss, augment) == waits(2, loss, augment) == {"_local_scalar_dense": 2}


def test_what_waits_is_seen() -> None:
    with Waits() as seen:
        numbers = torch.arange(4)
        float(numbers.sum())
        numbers[numbers > 1].sum()
        numbers.nonzero()
    assert seen.found == {"_local_scalar_dense": 1, "index": 1, "nonzero": 1}
