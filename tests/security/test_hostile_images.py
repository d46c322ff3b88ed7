"""Small files that are large pictures: one at a time is in memory, beside as many small ones as wish."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from PIL import Image

from cefl.data import images
from cefl.data.images import LARGE_PIXELS, Geometry, decode

SIDE = int(LARGE_PIXELS**0.5) + 1


@pytest.mark.parametrize(("side", "waits"), [(SIDE, True), (64, False)])
def test_of_large_images_one_is_decoded_at_a_time(tmp_path: Path, side: int, waits: bool) -> None:
    path = tmp_path / "image.png"
    Image.new("L", (side, side), 7).save(path)
    assert path.stat().st_size < 100_000, "a small file"
    found: list[int] = []

    def work() -> None:
        found.append(int(decode(str(path), Geometry(8, 8, 1, scaled=True)).max()))

    other = threading.Thread(target=work)
    with images._ONE_LARGE:  # Another one is in memory.
        other.start()
        other.join(timeout=0.5 if waits else 60)
        assert other.is_alive() is waits
    other.join(timeout=60)
    assert found == [7]
