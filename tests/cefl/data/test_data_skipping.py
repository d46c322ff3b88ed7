"""``skip_corrupt``: the same as removing the files by hand, and counted; a thousand broken files at once."""

from __future__ import annotations

import io
import json
import os
import random
import struct
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cefl.data import Dataset, image_files, open_dataset, prepare, verify
from cefl.errors import DataError, UnreadableImages


def encoded(kind: str, seed: int, size: tuple[int, int] = (12, 12)) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, format=kind)
    return stream.getvalue()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve JPEG and twelve PNG files in three classes."""
    for number in range(24):
        folder = tmp_path / "photos" / ("cat", "dog", "emu")[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        kind = "JPEG" if number % 2 else "PNG"
        (folder / f"{number:02}.{'jpg' if number % 2 else 'png'}").write_bytes(encoded(kind, number))
    return tmp_path / "photos"


def skipped(photos: Path, name: str = "skipped") -> Dataset:
    folder = prepare(f"folder:{photos}", photos.parent / name, skip_corrupt=True)
    verify(folder)
    return open_dataset(folder)


def damage(photos: Path) -> list[Path]:
    """Break five files; one of them, a JPEG, only in its pixels."""
    paths = {
        photos / "cat" / "00.png": b"",
        photos / "cat" / "03.jpg": b"no image at all",
        photos / "cat" / "06.png": (photos / "cat" / "06.png").read_bytes()[:-80],
        photos / "dog" / "01.jpg": (photos / "dog" / "01.jpg").read_bytes()[:-60],
        photos / "dog" / "04.png": (photos / "dog" / "04.png").read_bytes()[:-80],
    }
    for path, content in paths.items():
        path.write_bytes(content)
    return list(paths)


def test_leaving_out_is_the_same_as_removing_by_hand(photos: Path) -> None:
    broken = damage(photos)
    dataset = skipped(photos)
    for path in broken:
        path.unlink()
    assert dataset.digest == open_dataset(prepare(f"folder:{photos}", photos.parent / "by-hand")).digest


def test_that_holds_where_broken_files_would_decide_size_and_colour(photos: Path) -> None:
    grey = [path for path in photos.rglob("*") if path.is_file()]
    for path in grey:
        Image.open(path).convert("L").save(path)
    large = photos / "emu" / "large.jpg"
    large.write_bytes(encoded("JPEG", 0, (300, 300))[:-2000])
    dataset = skipped(photos)
    assert dataset.image_shape == (12, 12, 1)
    large.unlink()
    assert dataset.digest == open_dataset(prepare(f"folder:{photos}", photos.parent / "by-hand")).digest


def test_what_was_left_out_is_noted_by_class_and_listed(photos: Path) -> None:
    damage(photos)
    dataset = skipped(photos)
    assert "unreadable images left out: 'cat' 3, 'dog' 2 (5 of 24)" in dataset.notes
    listed = json.loads((dataset.folder / "left-out.json").read_text())
    assert Counter(each["class_name"] for each in listed) == {"cat": 3, "dog": 2}
    assert {each["file"]: each["reason"] for each in listed}["cat/00.png"] == "empty file"
    assert all(each["reason"] for each in listed)


def test_every_image_is_decoded_once_though_some_are_left_out(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damage(photos)
    seen: Counter[str] = Counter()
    real = image_files.decode

    def counting(path: str, geometry: image_files.Geometry) -> object:
        seen[path] += 1
        return real(path, geometry)

    monkeypatch.setattr(image_files, "decode", counting)
    skipped(photos)
    assert len(seen) == 20, "four are found when headers are read: a small PNG whole"
    assert set(seen.values()) == {1}


def test_without_broken_files_nothing_is_left_out_or_noted(photos: Path) -> None:
    dataset = skipped(photos)
    assert dataset.notes == ()
    assert not (dataset.folder / "left-out.json").exists()
    assert dataset.digest == open_dataset(prepare(f"folder:{photos}", photos.parent / "strict")).digest


def test_the_cache_that_leaves_out_is_another_than_the_one_that_refuses(photos: Path) -> None:
    strict = prepare(f"folder:{photos}", photos.parent / "data")
    damage(photos)
    assert prepare(f"folder:{photos}", photos.parent / "data", skip_corrupt=True) != strict
    with pytest.raises(
        UnreadableImages, match="5 of 24 images cannot be read; mend or remove them, or leave"
    ):
        prepare(f"folder:{photos}", photos.parent / "data")


def test_a_class_of_which_nothing_is_left_is_named(photos: Path) -> None:
    for path in (photos / "emu").iterdir():
        path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(DataError, match="train has none of 'emu'"):
        skipped(photos)
    assert not list((photos.parent / "skipped").glob("*"))


@pytest.mark.parametrize("cut", [None, 60])
def test_a_source_of_which_nothing_is_left_is_refused(photos: Path, cut: int | None) -> None:
    for path in photos.rglob("*.*"):
        path.write_bytes(b"" if cut is None else path.read_bytes()[:-cut])
    with pytest.raises(UnreadableImages, match="24 of 24 images cannot be read"):
        skipped(photos)


def test_a_pipe_among_the_images_does_not_block(photos: Path) -> None:
    os.mkfifo(photos / "cat" / "pipe.png")
    with pytest.raises(UnreadableImages, match="class 'cat', cat/pipe.png: not a regular file"):
        prepare(f"folder:{photos}", photos.parent / "data")


def test_names_that_would_move_the_cursor_are_shown_as_text(photos: Path) -> None:
    (photos / "cat" / "a\x1b[2J\nb.png").write_bytes(b"")
    with pytest.raises(UnreadableImages) as caught:
        prepare(f"folder:{photos}", photos.parent / "data")
    assert r"cat/a\x1b[2J\nb.png: empty file" in str(caught.value)


def test_the_progress_never_runs_backwards_within_a_pass(photos: Path) -> None:
    damage(photos)
    steps: list[tuple[int, int]] = []
    prepare(
        f"folder:{photos}",
        photos.parent / "data",
        skip_corrupt=True,
        progress=lambda *step: steps.append(step),
    )
    assert steps == [(done, 20) for done in range(1, 21)] + [(done, 19) for done in range(1, 20)]


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def mutated(content: bytes, chance: random.Random) -> bytes:
    """A real file, broken in one of the ways in which files break, or are broken on purpose."""
    data = bytearray(content)
    way = chance.randrange(7)
    at = chance.randrange(len(data))
    if way == 0:
        return bytes(data[:at])
    if way == 1:
        for _ in range(chance.randrange(1, 20)):
            data[chance.randrange(len(data))] = chance.randrange(256)
    elif way == 2:
        data[at:at] = chance.randbytes(chance.randrange(1, 300))
    elif way == 3:
        del data[at : at + chance.randrange(1, 30)]
    elif way == 4:
        data[at : at + 4] = struct.pack(">I", chance.choice([0, 1, 2**16 - 1, 2**31 - 1, 2**32 - 1]))
    elif way == 5:
        data[at:] = data[:at]
    elif data.startswith(b"\x89PNG"):  # a header that lies, with the right checksum
        sides = [chance.choice([0, 1, 7, 300, 2**20, 2**31 - 1, 2**32 - 1]) for _ in range(2)]
        rest = bytes([chance.choice([1, 2, 8, 16, 77]), chance.randrange(8), 0, 0, chance.randrange(3)])
        data[8:33] = chunk(b"IHDR", struct.pack(">II", *sides) + rest)
    else:
        data[2:2] = b"\xff" + bytes([chance.randrange(192, 255)]) + chance.randbytes(40)
    return bytes(data)


def test_a_thousand_mutated_files_neither_crash_nor_hang_the_scanner(tmp_path: Path) -> None:
    chance = random.Random(0)
    whole = [encoded(kind, seed, (8, 8)) for kind in ("JPEG", "PNG") for seed in range(4)]
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(500):
            content = mutated(chance.choice(whole), chance)
            (tmp_path / "photos" / name / f"{number:03}.png").write_bytes(content)
    dataset = skipped(tmp_path / "photos")
    left_out = json.loads((dataset.folder / "left-out.json").read_text())
    kept = sum(len(arrays) for arrays in dataset.splits.values())
    assert kept + len(left_out) == 1000
    assert 50 < kept < 950
    assert all(each["reason"].isprintable() and each["reason"] for each in left_out)
    assert any("pixels" in each["reason"] for each in left_out), "decompression bombs are among them"
