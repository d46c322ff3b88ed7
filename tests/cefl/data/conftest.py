"""Real NPZ files and real image files, made where a test needs them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

WriteNpz = Callable[..., Path]
WriteImages = Callable[..., list[Path]]


def noise(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def cycling(count: int, classes: int) -> NDArray[np.int64]:
    return np.arange(count, dtype=np.int64) % classes


@pytest.fixture
def write_npz(tmp_path: Path) -> WriteNpz:
    """Writes an NPZ file of 30 images in 3 classes; arguments replace arrays, ``None`` leaves one out."""

    def write(name: str = "blobs.npz", **changes: Any) -> Path:
        arrays: dict[str, Any] = {
            "train_images": noise(30, 4, 6, 3),
            "train_labels": cycling(30, 3),
            "test_images": noise(9, 4, 6, 3, seed=1),
            "test_labels": cycling(9, 3),
            **changes,
        }
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
        return path

    return write


@pytest.fixture
def write_images(tmp_path: Path) -> WriteImages:
    """Writes ``count`` PNG files of noise into a folder below ``tmp_path / 'photos'``."""

    def write(folder: str, count: int = 3, size: tuple[int, int] = (8, 8), mode: str = "RGB") -> list[Path]:
        target = tmp_path / "photos" / folder
        target.mkdir(parents=True, exist_ok=True)
        paths = []
        for number in range(count):
            shape = (size[1], size[0]) if mode == "L" else (size[1], size[0], 3)
            path = target / f"{number:03}.png"
            Image.fromarray(noise(*shape, seed=hash_of(folder) + number)).save(path)
            paths.append(path)
        return paths

    return write


def hash_of(text: str) -> int:
    return sum(position * ord(letter) for position, letter in enumerate(text, 1))
