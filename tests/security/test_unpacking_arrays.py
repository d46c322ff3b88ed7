"""NPZ files that unpack, or say that they do, to gigabytes: refused with one message, in little memory."""

from __future__ import annotations

import tracemalloc
import zipfile
from pathlib import Path

import pytest
from numpy.lib import format as npy

from cefl.data import prepare
from cefl.data.npz_file import NpzFile
from cefl.errors import DataError

MEGABYTE, GIGABYTES = 1 << 20, 1 << 32
Array = tuple[tuple[int, ...], str]

LABELS: Array = (4,), "|u1"
IMAGES: Array = (4, 2, 2), "|u1"
SIDE = 1 << 15


def write(path: Path, columns: bool = False, **arrays: Array) -> None:
    """Arrays of a shape and a type, of which a megabyte of zeros is there, a thousand to one."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, (shape, dtype) in arrays.items():
            with archive.open(f"{name}.npy", "w") as file:
                described = {"shape": shape, "fortran_order": columns, "descr": dtype}
                npy.write_array_header_1_0(file, described)
                file.write(bytes(MEGABYTE))


@pytest.mark.parametrize(
    ("words", "arrays"),
    [
        (
            "train_labels unpacks to 4,294,967,296 bytes",
            {"train_images": ((GIGABYTES // 8, 1, 1), "|u1"), "train_labels": ((GIGABYTES // 8,), "<i8")},
        ),
        (
            "class_names unpacks to 4,294,967,296 bytes",
            {"train_images": IMAGES, "train_labels": LABELS, "class_names": ((4,), f"<U{GIGABYTES // 16}")},
        ),
        (
            "images of at most 67,108,864 bytes",
            {"train_images": ((4, SIDE, SIDE), "|u1"), "train_labels": LABELS},
        ),
        (
            "images of at most 67,108,864 bytes",
            {"train_images": ((4, 1 << 40, 1 << 40), "|u1"), "train_labels": LABELS},
        ),
    ],
    ids=["labels", "names", "images", "beyond all numbers"],
)
def test_what_unpacks_to_gigabytes_is_refused_in_little_memory(
    words: str, arrays: dict[str, Array], tmp_path: Path
) -> None:
    path = tmp_path / "bomb.npz"
    write(path, **arrays)
    assert path.stat().st_size < 10_000
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=words) as refused:
            prepare(f"npz:{path}", tmp_path / "data")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "\n" not in str(refused.value)
    assert peak < 64 * MEGABYTE
    assert not list((tmp_path / "data").rglob("*.npy")), "nothing is left of it"


def test_images_that_lie_in_columns_are_read_at_once_so_only_some(tmp_path: Path) -> None:
    write(tmp_path / "bomb.npz", columns=True, train_images=((SIDE * 4, SIDE, 1), "|u1"))
    with NpzFile(tmp_path / "bomb.npz") as file:
        blocks = file.blocks(file.member("train_images"))
        with pytest.raises(DataError, match="train_images unpacks to 4,294,967,296 bytes"):
            next(blocks)
