"""A small real task on disk."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np


def write_stripes(path: Path, per_class: int = 40, classes: int = 3, size: int = 8) -> Path:
    """An NPZ of noisy stripes, whose direction and pitch tell the class; a small network learns it."""
    random = np.random.default_rng(0)
    grid = np.arange(size)
    images, labels = [], []
    for label in range(classes):
        pattern = 100 * np.sin((grid[:, None] * (label + 1) + grid[None, :] * (classes - label)) * 0.9)
        noise = random.normal(0, 30, (per_class, size, size))
        images.append(np.clip(128 + pattern + noise, 0, 255).astype(np.uint8))
        labels.append(np.full(per_class, label))
    np.savez(path, train_images=np.concatenate(images), train_labels=np.concatenate(labels))
    return path


SMALL = """
name: small
data: {source: "npz:stripes.npz", imbalance: 4}
validation: {unused: 5}
depth: 8
losses:
  - cross_entropy
  - {loss: cefl, gamma: [1, 2]}
recipe: {preset: digits, epochs: 2, batch_size: 16, precision: float32}
resources: {gpus: 0}
"""


def write_small(folder: Path) -> Path:
    """The sweep `SMALL` in a folder of its own, with its data; the path of its specification."""
    folder.mkdir(parents=True, exist_ok=True)
    write_stripes(folder / "stripes.npz")
    path = folder / "small.yaml"
    path.write_text(textwrap.dedent(SMALL))
    return path
