"""``npz:PATH``: the key layout of MedMNIST, and an answer to everything that is not."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.lib import format as npy

from cefl.data import open_dataset, prepare
from cefl.data.npz_file import BLOCK_BYTES
from cefl.errors import DataError

WriteNpz = Callable[..., Path]


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_grey_images_and_labels_in_a_column_are_read_as_medmnist_writes_them(
    tmp_path: Path, write_npz: WriteNpz
) -> None:
    images = pixels(30, 5, 7)
    path = write_npz(
        train_images=images,
        train_labels=(np.arange(30, dtype=np.uint8) % 3)[:, np.newaxis],
        val_images=images[:6],
        val_labels=np.arange(6)[:, np.newaxis] % 3,
        test_images=images[:9, :, :, np.newaxis],
    )
    dataset = open_dataset(prepare(f"npz:{path}", tmp_path / "data"))
    assert dataset.image_shape == (5, 7, 1)
    assert dataset.classes == ("0", "1", "2")
    assert dataset.validation is not None
    assert dataset.counts == {"train": (10, 10, 10), "val": (2, 2, 2), "test": (3, 3, 3)}
    assert dataset.train.labels.dtype == np.int64
    np.testing.assert_array_equal(dataset.train.images[..., 0], images)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_images_keep_their_channels(tmp_path: Path, write_npz: WriteNpz, channels: int) -> None:
    path = write_npz(train_images=pixels(30, 4, 4, channels), test_images=pixels(9, 4, 4, channels))
    dataset = open_dataset(prepare(f"npz:{path}", tmp_path / "data"))
    assert dataset.image_shape == (4, 4, channels)
    assert len(dataset.mean) == len(dataset.std) == channels


@pytest.mark.parametrize("names", [["a", "b", "c"], [b"a", b"b", b"c"]])
def test_class_names_may_be_text_or_bytes(tmp_path: Path, write_npz: WriteNpz, names: list[Any]) -> None:
    path = write_npz(class_names=np.array(names))
    assert open_dataset(prepare(f"npz:{path}", tmp_path / "data")).classes == ("a", "b", "c")


@pytest.mark.parametrize("held_out", [False, True])
def test_files_larger_than_a_block_are_streamed_without_loss(
    tmp_path: Path, write_npz: WriteNpz, held_out: bool
) -> None:
    count = BLOCK_BYTES // 3072 + 100
    images = pixels(count, 32, 32, 3)
    given = {} if held_out else {"test_images": images[:90], "test_labels": np.arange(90) % 3}
    path = tmp_path / "large.npz"
    np.savez(path, train_images=images, train_labels=np.arange(count) % 3, **given)
    dataset = open_dataset(prepare(f"npz:{path}", tmp_path / "data"))
    if held_out:
        together = np.concatenate([dataset.train.images, dataset.test.images])
        assert sorted(image.tobytes() for image in together) == sorted(image.tobytes() for image in images)
    else:
        np.testing.assert_array_equal(dataset.train.images, images)
        np.testing.assert_array_equal(dataset.test.images, images[:90])


def test_compressed_and_column_major_arrays_give_the_same_data(tmp_path: Path) -> None:
    arrays = {"train_images": pixels(30, 4, 6, 3), "train_labels": np.arange(30) % 3}
    np.savez(tmp_path / "plain.npz", **arrays)
    np.savez_compressed(tmp_path / "packed.npz", **arrays)
    np.savez(tmp_path / "fortran.npz", **{key: np.asfortranarray(value) for key, value in arrays.items()})
    folders = [
        prepare(f"npz:{name}.npz", tmp_path / "data", base=tmp_path)
        for name in ("plain", "packed", "fortran")
    ]
    assert len({open_dataset(folder).digest for folder in folders}) == 1
    assert len(set(folders)) == 3


def test_keys_that_are_not_read_and_absent_classes_are_noted(tmp_path: Path, write_npz: WriteNpz) -> None:
    path = write_npz(author=np.array("me"), test_labels=np.zeros(9, dtype=np.int64))
    notes = open_dataset(prepare(f"npz:{path}", tmp_path / "data")).notes
    assert notes == ("keys not read: author", "test has no images of '1', '2'")


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no images": (
        {"train_images": None, "extra": np.zeros(3)},
        r"missing: train_images; there are: extra, test_images, test_labels, train_labels",
    ),
    "half a split": ({"val_images": pixels(3, 4, 6, 3)}, r"missing: val_labels"),
    "misspelt split": (
        {"valid_images": pixels(3, 4, 6, 3), "valid_labels": np.arange(3)},
        r"unknown key valid_images, did you mean val_images\?",
    ),
    "label too large": (
        {"train_labels": np.arange(30) % 3 + 1, "class_names": np.array(["a", "b", "c"])},
        r"train_labels must lie from 0 to 2 for 3 classes, but go from 1 to 3",
    ),
    "negative label": (
        {"test_labels": np.arange(9) % 3 - 1},
        r"test_labels must lie from 0 to 2.*from -1 to 1",
    ),
    "all negative": ({"train_labels": np.full(30, -2), "test_labels": np.full(9, -1)}, r"from -2 to -2"),
    "absurd label": ({"train_labels": np.arange(30) * 10**15}, r"labels go up to 29000000000000000"),
    "float labels": ({"train_labels": np.zeros(30)}, r"train_labels must be integers, but is float64"),
    "text labels": ({"train_labels": np.array(["a"] * 30)}, r"train_labels must be integers, but is <U1"),
    "several labels": (
        {"train_labels": np.zeros((30, 14), dtype=int)},
        r"shape \(N,\) or \(N, 1\), but has \(30, 14\): several labels an image are not supported",
    ),
    "scalar labels": (
        {"train_labels": np.array(3)},
        r"train_labels must have shape \(N,\) or \(N, 1\), but has \(\)",
    ),
    "unequal length": (
        {"train_labels": np.arange(29) % 3},
        r"`as many labels as images` must hold, but train_labels has 29 and train_images 30",
    ),
    "float images": (
        {"train_images": np.zeros((30, 4, 6, 3))},
        r"train_images must be uint8.*but is float64",
    ),
    "flat images": (
        {"train_images": pixels(30, 72)},
        r"train_images must have shape \(N, H, W\).*has \(30, 72\)",
    ),
    "two channels": ({"train_images": pixels(30, 4, 6, 2)}, r"C in 1, 3, 4, but has \(30, 4, 6, 2\)"),
    "channels first": ({"train_images": pixels(30, 3, 32, 32)}, r"\(30, 3, 32, 32\): put the channels last"),
    "no pixels": ({"train_images": pixels(30, 0, 6, 3)}, r"must hold images, but has shape \(30, 0, 6, 3\)"),
    "empty test": (
        {"test_images": pixels(0, 4, 6, 3), "test_labels": np.zeros(0, dtype=int)},
        r"test_images must hold images",
    ),
    "other shape": (
        {"test_images": pixels(9, 6, 4, 3)},
        r"test_images must have images of the shape of train_images, \(4, 6, 3\), but has \(6, 4, 3\)",
    ),
    "empty class": (
        {"train_labels": np.repeat([0, 2], 15)},
        r"every class needs images to train on, but train has none of '1'",
    ),
    "class only in test": ({"test_labels": np.arange(9) % 4}, r"train has none of '3'"),
    "name without images": ({"class_names": np.array(["a", "b", "c", "d"])}, r"train has none of 'd'"),
    "one class": (
        {"train_labels": np.zeros(30, dtype=int), "test_labels": np.zeros(9, dtype=int)},
        r"`at least 2 classes` must hold, but there is '0'",
    ),
    "names twice": ({"class_names": np.array(["a", "b", "a"])}, r"class names must be unique and not empty"),
    "empty name": ({"class_names": np.array(["a", " ", "c"])}, r"class names must be unique and not empty"),
    "names as numbers": ({"class_names": np.arange(3)}, r"class_names must be a list of texts, but is int64"),
    "object images": (
        {"train_images": np.array([None] * 30, dtype=object)},
        r"train_images holds Python objects, which are never unpickled",
    ),
    "object names": (
        {"class_names": np.array(["a", "b", "c"], dtype=object)},
        r"class_names holds Python objects.*names with dtype=str",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_with_the_rule_and_the_value(
    tmp_path: Path, write_npz: WriteNpz, case: str
) -> None:
    changes, message = BAD[case]
    path = write_npz(**changes)
    with pytest.raises(DataError, match=message) as caught:
        prepare(f"npz:{path}", tmp_path / "data")
    assert str(caught.value).startswith(f"npz:{path}: ")
    assert not (tmp_path / "data").exists()


def test_all_problems_of_a_file_come_at_once(tmp_path: Path, write_npz: WriteNpz) -> None:
    path = write_npz(train_images=np.zeros((30, 4, 6, 3)), test_labels=np.zeros(4), class_names=np.arange(3))
    with pytest.raises(DataError, match="3 problems") as caught:
        prepare(f"npz:{path}", tmp_path / "data")
    assert str(caught.value).count("\n  ") == 3


def test_pickles_are_never_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "exploded",))

    labels = np.array([Bomb()] * 4, dtype=object)
    np.savez(tmp_path / "bomb.npz", train_images=pixels(4, 2, 2), train_labels=labels)
    with pytest.raises(DataError, match="train_labels holds Python objects"):
        prepare(f"npz:{tmp_path / 'bomb.npz'}", tmp_path / "data")
    assert not (tmp_path / "exploded").exists()


def test_files_that_are_no_npz_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "array.npy", pixels(3, 2, 2))
    (tmp_path / "text.npz").write_text("images, labels")
    (tmp_path / "empty.npz").touch()
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps({"train_images": 1}))
    for name in ("array.npy", "text.npz", "empty.npz", "pickle.npz"):
        with pytest.raises(DataError, match=rf"npz:{tmp_path / name}: is not an NPZ file.*numpy\.savez"):
            prepare(f"npz:{tmp_path / name}", tmp_path / "data")


@pytest.mark.parametrize("compressed", [False, True])
def test_a_damaged_file_is_refused_and_leaves_no_cache(tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "blobs.npz"
    save = np.savez_compressed if compressed else np.savez
    save(path, train_images=pixels(40, 8, 8, 3) // 16, train_labels=np.arange(40) % 2)
    content = bytearray(path.read_bytes())
    content[2000] ^= 0xFF  # in the middle of the pixels
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"npz:{path}: is not an NPZ file, or is damaged"):
        prepare(f"npz:{path}", tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


@pytest.mark.parametrize("compressed", [False, True])
def test_the_checksum_of_the_images_is_compared(tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "blobs.npz"
    save = np.savez_compressed if compressed else np.savez
    save(path, train_images=np.zeros((40, 8, 8, 3), dtype=np.uint8), train_labels=np.arange(40) % 2)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 16] ^= 0xFF  # in the directory of the archive
    path.write_bytes(content)
    with pytest.raises(DataError, match="Bad CRC-32"):
        prepare(f"npz:{path}", tmp_path / "data")


def test_a_missing_file_brings_the_name_of_a_similar_one(tmp_path: Path, write_npz: WriteNpz) -> None:
    write_npz("blobs.npz")
    with pytest.raises(DataError, match=r"blob\.npz: cannot be read .*; did you mean 'blobs\.npz'\?"):
        prepare("npz:blob.npz", tmp_path / "data", base=tmp_path)
    with pytest.raises(DataError, match=r"must be a file; a folder of images is 'folder:"):
        prepare(f"npz:{tmp_path}", tmp_path / "data")


def test_the_real_cifar_10_images_become_a_cache(tmp_path: Path) -> None:
    shared = Path(__file__).resolve().parents[4] / "shared" / "data" / "cifar10"
    if not list(shared.glob("test-*.webp")):
        pytest.skip(f"needs the CIFAR-10 mosaics in {shared}")
    from PIL import Image

    tiles = [np.asarray(Image.open(path).convert("RGB")) for path in sorted(shared.glob("test-*.webp"))[:2]]
    images = np.concatenate(
        [tile.reshape(25, 32, 40, 32, 3).transpose(0, 2, 1, 3, 4).reshape(1000, 32, 32, 3) for tile in tiles]
    )
    path = tmp_path / "cifar.npz"
    np.savez(path, train_images=images, train_labels=np.repeat([0, 1], 1000))
    dataset = open_dataset(prepare(f"npz:{path}", tmp_path / "data"))
    assert dataset.counts == {"train": (800, 800), "test": (200, 200)}
    assert all(0.4 < mean < 0.6 for mean in dataset.mean)
    assert all(0.2 < std < 0.3 for std in dataset.std)


def test_headers_that_promise_more_than_any_memory_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "lies.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for key, kind, shape in (("images", "|u1", (10**15, 4, 4)), ("labels", "<i8", (10**15,))):
            header = io.BytesIO()
            npy.write_array_header_1_0(header, {"descr": kind, "fortran_order": False, "shape": shape})
            archive.writestr(f"train_{key}.npy", header.getvalue())
    with pytest.raises(DataError, match="is not an NPZ file, or is damaged"):
        prepare(f"npz:{path}", tmp_path / "data")
