"""Losses, long tails, data, models and training for imbalanced images, without a service around them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cefl.exported import Classifier


def load(folder: str | Path, device: str = "cpu", code: Iterable[str] = ()) -> Classifier:
    """The trained model that ``sweeps export`` wrote into a folder, see `cefl.exported.load_classifier`.

    classifier = cefl.load("model")
    names = classifier.predict(images)  # uint8 (N, H, W, C)

    Args:
        code: Folders that a model of the user's own is imported from.

    Raises:
        CeflError: If the folder does not hold what it should.
    """
    from cefl.exported import load_classifier  # Takes torch, which `import cefl` must not wait for.

    return load_classifier(folder, device, code)
