"""A sheet of sample images: a row for each class, as one PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cefl.data.dataset import Arrays
from cefl.data.scanning import printable

if TYPE_CHECKING:
    from PIL import Image, ImageFont

TILE = 64
"""Pixels a side of a sample; smaller images are enlarged by a whole number, larger ones reduced."""

GAP, LETTERS = 4, 34
TEXT_SIZE = 13
LABEL = 256
"""Most pixels of the column of names, which is as wide as its longest."""


def draw_sheet(
    arrays: Arrays, indices: NDArray[np.int64], classes: Sequence[str], columns: int, seed: int
) -> bytes:
    """Random images of every class, at most ``columns`` of each.

    Args:
        arrays: Where they come from.
        indices: Positions in it that may be shown, such as those that a trial trains on.
        classes: Names, in the order of the labels; a row is labelled with the name and the number of images.
        columns: Images in a row, at least 1.
        seed: Of the choice.

    Returns:
        A PNG.
    """
    from PIL import Image, ImageDraw

    font, names = _font(), [_shortened(printable(name)) for name in classes]
    left = min(LABEL, max(int(font.getlength(name)) for name in [*names, "1,000,000"]) + 4 * GAP)
    height = len(classes) * (TILE + GAP) + GAP
    sheet = Image.new("RGB", (left + columns * (TILE + GAP) + GAP, height), "white")
    draw = ImageDraw.Draw(sheet)
    random = np.random.default_rng(seed)
    labels = arrays.labels[indices]
    for row, name in enumerate(names):
        top = GAP + row * (TILE + GAP)
        members = indices[labels == row]
        draw.text((GAP, top + TILE // 2 - TEXT_SIZE), name, fill="black", font=font)
        draw.text((GAP, top + TILE // 2 + 2), f"{len(members):,}", fill="#5b626d", font=font)
        for column, index in enumerate(random.permutation(members)[:columns]):
            sheet.paste(_tile(arrays.images[index]), (left + column * (TILE + GAP), top))
    stream = io.BytesIO()
    sheet.save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def _shortened(text: str) -> str:
    return text if len(text) <= LETTERS else f"{text[: LETTERS - 1]}…"


def _tile(pixels: NDArray[np.uint8]) -> Image.Image:
    """One image within the square of a tile; pixels of small ones stay visible."""
    from PIL import Image, ImageOps

    shown = pixels[..., 0] if pixels.shape[-1] == 1 else pixels[..., :3]
    image = Image.fromarray(np.ascontiguousarray(shown)).convert("RGB")
    times = TILE // max(image.size)
    if times > 1:
        image = image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
    elif times < 1:
        image.thumbnail((TILE, TILE))
    return ImageOps.pad(image, (TILE, TILE), color="#e3e6ea")


def _font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont | Any:
    from PIL import ImageFont

    try:
        return ImageFont.load_default(size=TEXT_SIZE)
    except (ImportError, TypeError):  # Pillow without FreeType has one small font
        return ImageFont.load_default()
