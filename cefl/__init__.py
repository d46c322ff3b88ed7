"""Losses, long tails, data, models and training for imbalanced images, without a service around them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from cefl.exported import Classifier


def load(folder: str | Path, device: str = "cpu") -> Classifier:
    """The trained model that ``sweeps export`` wrote into a folder, see `cefl.exported.load_classifier`.

    classifier = cefl.load("model")
    names = classifier.predict(images)  # uint8 (N, H, W, C)
    """
    from cefl.exported import load_classifier  # Takes torch, which `import cefl` must not wait for.

    return load_classifier(folder, device)
