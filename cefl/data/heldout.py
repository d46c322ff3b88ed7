"""A test split for sources that have none: drawn once by a fixed seed, never by the seed of a trial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cefl.data.raw import some_names
from cefl.errors import DataError

TEST_SEED = 0
ONE_IN = 5
"""Every fifth image of a class is a test image: 20%."""


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Training and test positions, both ascending and without a common element, and how they came about."""

    train: NDArray[np.int64]
    test: NDArray[np.int64]
    rule: str
    notes: tuple[str, ...]


def hold_out_test(
    labels: NDArray[np.int64], classes: Sequence[str], test_per_class: int | None, place: str
) -> HeldOut:
    """Draw the test images of each class; a class with one image trains only, and a note says so.

    Args:
        labels: Shape ``(N,)``, every class at least once.
        classes: Names of the classes.
        test_per_class: Images of each class to draw; by default 20%, rounded down, but at least one.
        place: Name of the source, for messages.

    Raises:
        DataError: If ``test_per_class`` leaves a class without training images, or no class has two images.
    """
    counts = np.bincount(labels, minlength=len(classes))
    if test_per_class is not None:
        _check_test_per_class(test_per_class, counts, classes, place)
    if counts.max() < 2:
        raise DataError(f"{place}: no class has two images, so none is left to test on: give it a test split")
    test = np.zeros(len(labels), dtype=bool)
    for index, count in enumerate(counts):
        if count > 1:
            members = np.flatnonzero(labels == index)
            rng = np.random.default_rng(np.random.SeedSequence([TEST_SEED, index]))
            drawn = test_per_class if test_per_class is not None else max(1, int(count) // ONE_IN)
            test[rng.permutation(members)[:drawn]] = True
    single = [name for name, count in zip(classes, counts, strict=True) if count == 1]
    share = f"{test_per_class}" if test_per_class is not None else f"{100 // ONE_IN}%"
    return HeldOut(
        train=np.flatnonzero(~test).astype(np.int64),
        test=np.flatnonzero(test).astype(np.int64),
        rule=f"{share} of each class, seed {TEST_SEED}",
        notes=(f"one image only, which trains: {some_names(single)}",) if single else (),
    )


def _check_test_per_class(
    test_per_class: int, counts: NDArray[np.int64], classes: Sequence[str], place: str
) -> None:
    if isinstance(test_per_class, bool) or not isinstance(test_per_class, int) or test_per_class < 1:
        raise DataError(f"{place}: `test_per_class >= 1` must hold, but got {test_per_class!r}")
    small = [
        f"{name} ({count})"
        for name, count in zip(classes, counts, strict=True)
        if 1 < count <= test_per_class
    ]
    if small:
        largest = int(counts[counts > 1].min()) - 1
        raise DataError(
            f"{place}: `test_per_class < images of every class` must hold, but got {test_per_class} "
            f"and {some_names(small)}: at most {largest} is possible here"
        )
