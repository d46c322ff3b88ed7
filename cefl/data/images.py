"""One image file to one uint8 array. Pillow is imported by the functions, not by the module."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
"""Only these decoders see a file, whatever its name: Pillow has forty more, some of them rarely looked at."""

EXTENSIONS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")

OTHER_IMAGES = (
    ".heic",
    ".heif",
    ".avif",
    ".jp2",
    ".jxl",
    ".psd",
    ".svg",
    ".ppm",
    ".pgm",
    ".tga",
    ".ico",
    ".dcm",
)
"""Images that are not read: reported, because leaving them out unsaid would change the data set."""

SMALL = 64
"""Images of one size up to this many pixels a side are kept as they are."""

LARGE = 256
"""The side of a cached image, at most."""

LARGE_PIXELS = 1 << 24
"""Of images with more than so many to be decoded, one at a time is in memory."""

_ONE_LARGE = threading.Lock()

GREY_MODES = ("1", "L", "LA")
ALPHA_MODES = ("LA", "PA", "RGBA", "RGBa")
ORIENTATION_TAG = 0x0112
TURNED = (5, 6, 7, 8)
"""EXIF orientations that exchange width and height."""


@dataclass(frozen=True)
class Header:
    """Size as shown, in pixels, and whether the image has no colours."""

    width: int
    height: int
    grey: bool


@dataclass(frozen=True)
class Geometry:
    """What every image of a set becomes; ``scaled`` if it may have another size before."""

    height: int
    width: int
    channels: int
    scaled: bool


def common_geometry(headers: Sequence[Header]) -> Geometry:
    """The form in which images are cached.

    Images of one size of at most 64 px stay. Else all become squares: of 256 px, or of the median of the
    shorter sides where that is smaller, so that neither one tiny nor one huge image decides for all. Without
    colours only if all are.
    """
    channels = 1 if all(header.grey for header in headers) else 3
    first = headers[0]
    sizes = {(header.width, header.height) for header in headers}
    if len(sizes) == 1 and max(first.width, first.height) <= SMALL:
        return Geometry(first.height, first.width, channels, scaled=False)
    sides = sorted(min(header.width, header.height) for header in headers)
    side = min(LARGE, sides[len(sides) // 2])
    return Geometry(side, side, channels, scaled=True)


@contextmanager
def strict_decoder() -> Iterator[None]:
    """Pillow with its plug-ins loaded, its chatter silenced and its guard against huge images made an error.

    The filters are those of the process: enter this once around a pool of threads, not in each.
    """
    from PIL import Image

    Image.init()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def read_header(path: str) -> Header:
    """Size and colour of an image file, mostly without decoding it.

    Raises:
        Exception: Whatever Pillow raises; ``reason`` says it in words.
    """
    from PIL import Image

    with Image.open(path, formats=FORMATS) as image:
        if image.mode in ("I", "F"):
            raise ValueError("32-bit pixels have no known range: save it with 8 or 16 bits")
        width, height = image.size
        # For larger images only the shorter side counts; asking a PNG for its orientation decodes it.
        if max(width, height) <= SMALL and image.getexif().get(ORIENTATION_TAG) in TURNED:
            width, height = height, width
        return Header(width, height, image.mode in GREY_MODES or image.mode.startswith("I;16"))


def decode(path: str, geometry: Geometry) -> NDArray[np.uint8]:
    """One image, upright, without transparency, in the form of its set.

    Returns:
        Shape ``(height, width, channels)``, uint8.

    Raises:
        Exception: Whatever Pillow raises; ``reason`` says it in words.
    """
    from PIL import Image, ImageOps

    target = (geometry.width, geometry.height)
    with Image.open(path, formats=FORMATS) as opened:
        if geometry.scaled:  # lets a JPEG decode at a half to an eighth, still twice as large as needed
            opened.draft(opened.mode, (2 * geometry.width, 2 * geometry.height))
        # Sixteen threads with a bomb each, just below Pillow's limit, would take many GB.
        with _ONE_LARGE if opened.width * opened.height > LARGE_PIXELS else nullcontext():
            image = _eight_bits(ImageOps.exif_transpose(opened), "L" if geometry.channels == 1 else "RGB")
            if geometry.scaled and image.size != target:
                image = ImageOps.fit(image, target, Image.Resampling.BILINEAR)
    if image.size != target:
        raise ValueError(f"its header says {target} px, its pixels {image.size}")
    return np.asarray(image, dtype=np.uint8).reshape(geometry.height, geometry.width, geometry.channels)


def _eight_bits(image: Image.Image, mode: str) -> Image.Image:
    """``L`` or ``RGB`` from any mode: 16 bits keep the upper 8, what is transparent becomes white."""
    from PIL import Image

    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.mode in ALPHA_MODES or "transparency" in image.info:
        transparent = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), transparent)
    return image if image.mode == mode else image.convert(mode)


def reason(path: str, error: BaseException) -> str:
    """Why an image cannot be read, in a few words."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, FileNotFoundError):
        return "the link leads nowhere" if os.path.islink(path) else "there is no such file"
    if isinstance(error, PermissionError):
        return "permission denied"
    if os.path.isfile(path) and os.path.getsize(path) == 0:
        return "empty file"
    if isinstance(error, UnidentifiedImageError):
        return f"not an image, or none of {', '.join(FORMATS)}"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"more than {Image.MAX_IMAGE_PIXELS:,} pixels"
    return _one_line(error)


def _one_line(error: Any) -> str:
    text = " ".join(str(error).split())
    return text[:120] if text else type(error).__name__
