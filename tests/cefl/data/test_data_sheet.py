"""The sheet of sample images: a row a class, tiles that show their pixels, whatever the names hold."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from cefl.data import Arrays
from cefl.data.sheet import GAP, LABEL, TILE, draw_sheet


def sheet_of(side: int, channels: int, classes: int = 2, columns: int = 3, **options: object) -> np.ndarray:
    """Images whose every pixel is 100 for class 0, 101 for class 1, and so on; five a class."""
    labels = np.arange(5 * classes, dtype=np.int64) % classes
    images = np.broadcast_to(
        (100 + labels).astype(np.uint8)[:, None, None, None], (len(labels), side, side, channels)
    )
    names = options.get("names", [f"class {number}" for number in range(classes)])
    indices = options.get("indices", np.arange(len(labels)))
    png = draw_sheet(Arrays(images, labels), indices, names, columns, seed=0)  # type: ignore[arg-type]
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        return np.asarray(image)


def names_of(sheet: np.ndarray, columns: int) -> int:
    """Width of the column of names."""
    return int(sheet.shape[1]) - columns * (TILE + GAP) - GAP


@pytest.mark.parametrize(("side", "channels"), [(8, 1), (32, 3), (64, 4), (256, 3)])
def test_every_class_has_a_row_of_tiles(side: int, channels: int) -> None:
    sheet = sheet_of(side, channels, classes=3, columns=4)
    names = names_of(sheet, columns=4)
    assert sheet.shape == (3 * (TILE + GAP) + GAP, names + 4 * (TILE + GAP) + GAP, 3)
    assert names < LABEL / 2, "short names take little room"
    for row in range(3):
        for column in range(4):
            top, left = GAP + row * (TILE + GAP), names + column * (TILE + GAP)
            assert (sheet[top : top + TILE, left : left + TILE] == 100 + row).all()


def test_only_the_given_images_are_shown_and_missing_ones_stay_white() -> None:
    sheet = sheet_of(8, 1, indices=np.array([0, 2, 1]))  # two of class 0, one of class 1
    tiles = sheet[:, names_of(sheet, columns=3) :, 0]
    assert (tiles == 100).sum() == 2 * TILE**2
    assert (tiles == 101).sum() == TILE**2


def test_any_name_can_be_drawn() -> None:
    names = ["番茄 \x1b[2J\n\ud800 😀" + "x" * 500, "<b>"]
    sheet = sheet_of(8, 1, names=names)
    left = names_of(sheet, columns=3)
    assert LABEL / 2 < left <= LABEL
    assert (sheet[:, :left] < 128).any()
    assert (sheet[GAP : GAP + TILE, left : left + TILE] == 100).all(), "long names stay in their column"
