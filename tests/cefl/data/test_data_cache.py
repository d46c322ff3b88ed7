"""The cache: complete or absent, found again, made anew when the source changes, checked to the byte."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.lib import format as npy

from cefl.data import is_prepared, open_dataset, prepare, verify
from cefl.errors import DataError

WriteNpz = Callable[..., Path]


def leftovers(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir() if path.name.startswith("."))


def pixels(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def run_python(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_prepared_folder_holds_the_arrays_and_says_what_they_are(
    tmp_path: Path, write_npz: WriteNpz
) -> None:
    path = write_npz(class_names=np.array(["cat", "dog", "emu"]))
    folder = prepare(f"npz:{path}", tmp_path / "data")

    meta = json.loads((folder / "meta.json").read_text())
    assert meta["version"] == 1
    assert meta["source"] == f"npz:{path}"
    assert meta["name"] == "blobs"
    assert meta["classes"] == ["cat", "dog", "emu"]
    assert meta["image_shape"] == [4, 6, 3]
    assert meta["counts"] == {"train": [10, 10, 10], "test": [3, 3, 3]}
    assert meta["test_rule"] == "given"
    assert len(meta["digest"]) == 64
    stored = np.load(path)
    for split in ("train", "test"):
        np.testing.assert_array_equal(np.load(folder / split / "images.npy"), stored[f"{split}_images"])
        np.testing.assert_array_equal(np.load(folder / split / "labels.npy"), stored[f"{split}_labels"])
    assert leftovers(tmp_path / "data") == []


def test_the_folder_is_named_after_the_source(tmp_path: Path, write_npz: WriteNpz) -> None:
    folder = prepare(f"npz:{write_npz('Blood Cells (v2).npz')}", tmp_path / "data")
    assert folder.parent == tmp_path / "data"
    assert folder.name.rsplit("-", 1)[0] == "blood-cells-v2"
    assert len(folder.name.rsplit("-", 1)[1]) == 8


def test_an_opened_data_set_is_mapped_and_cannot_be_written(tmp_path: Path, write_npz: WriteNpz) -> None:
    dataset = open_dataset(prepare(f"npz:{write_npz()}", tmp_path / "data"))
    assert isinstance(dataset.train.images, np.memmap)
    assert dataset.validation is None
    assert (dataset.num_classes, dataset.image_shape) == (3, (4, 6, 3))
    assert dataset.counts == {"train": (10, 10, 10), "test": (3, 3, 3)}
    with pytest.raises(ValueError, match="read-only"):
        dataset.train.images[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        dataset.train.labels[0] = 0


def test_mean_and_deviation_are_those_that_numpy_computes(tmp_path: Path, write_npz: WriteNpz) -> None:
    images = pixels(30, 4, 6, 3, seed=5)
    images[..., 1] //= 3
    dataset = open_dataset(prepare(f"npz:{write_npz(train_images=images)}", tmp_path / "data"))
    scaled = images.astype(np.float64) / 255
    np.testing.assert_allclose(dataset.mean, scaled.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(dataset.std, scaled.std(axis=(0, 1, 2)), rtol=1e-9)


def test_a_channel_that_never_changes_has_a_deviation_one_can_divide_by(
    tmp_path: Path, write_npz: WriteNpz
) -> None:
    images = pixels(30, 4, 6, 3)
    images[..., 2] = 51
    dataset = open_dataset(prepare(f"npz:{write_npz(train_images=images)}", tmp_path / "data"))
    assert dataset.mean[2] == pytest.approx(0.2)
    assert dataset.std[2] == 1.0


def test_a_prepared_source_is_found_and_not_written_again(tmp_path: Path, write_npz: WriteNpz) -> None:
    source, root = f"npz:{write_npz()}", tmp_path / "data"
    assert is_prepared(source, root) is None
    folder = prepare(source, root)
    before = (folder / "meta.json").stat()
    assert prepare(source, root) == folder == is_prepared(source, root)
    after = (folder / "meta.json").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_a_relative_path_is_relative_to_base(tmp_path: Path, write_npz: WriteNpz) -> None:
    path = write_npz("sub/blobs.npz")
    folder = prepare("npz:blobs.npz", tmp_path / "data", base=path.parent)
    assert folder == prepare(f"npz:{path}", tmp_path / "data")
    assert folder == prepare("npz:sub/../sub/blobs.npz", tmp_path / "data", base=tmp_path)


def test_a_changed_source_is_prepared_anew(tmp_path: Path, write_npz: WriteNpz) -> None:
    root = tmp_path / "data"
    source = f"npz:{write_npz()}"
    first = open_dataset(prepare(source, root))
    kept = np.array(first.train.images)
    write_npz(train_images=pixels(30, 4, 6, 3, seed=9))
    assert is_prepared(source, root) is None
    second = open_dataset(prepare(source, root))
    assert second.folder == first.folder
    assert second.digest != first.digest
    np.testing.assert_array_equal(first.train.images, kept)  # who had it open goes on reading
    assert leftovers(root) == []


def test_a_cache_of_another_version_or_one_that_is_incomplete_is_prepared_anew(
    tmp_path: Path, write_npz: WriteNpz
) -> None:
    source, root = f"npz:{write_npz()}", tmp_path / "data"
    folder = prepare(source, root)
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps({**meta, "version": 0}))
    with pytest.raises(DataError, match=r"version 0, not 1.*delete this folder"):
        open_dataset(folder)
    verify(prepare(source, root))

    with (folder / "train" / "images.npy").open("r+b") as file:
        file.truncate(500)
    with pytest.raises(DataError, match=r"cannot be opened.*delete this folder"):
        open_dataset(folder)
    verify(prepare(source, root))

    (folder / "meta.json").write_text("{")
    with pytest.raises(DataError, match=r"unreadable meta\.json"):
        open_dataset(folder)
    verify(prepare(source, root))


def test_a_folder_without_a_data_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"{tmp_path}: holds no prepared data set"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("file", ["train/images.npy", "test/images.npy", "train/labels.npy"])
def test_verify_notices_a_flipped_byte(tmp_path: Path, write_npz: WriteNpz, file: str) -> None:
    folder = prepare(f"npz:{write_npz()}", tmp_path / "data")
    verify(folder)
    with (folder / file).open("r+b") as stream:
        stream.seek(-8, os.SEEK_END)
        byte = stream.read(1)[0]
        stream.seek(-8, os.SEEK_END)
        stream.write(bytes([byte ^ 1]))
    with pytest.raises(DataError, match=rf"{folder}.*delete this folder and prepare the source again"):
        verify(folder)


@pytest.mark.parametrize("key", ["mean", "std", "counts"])
def test_verify_notices_numbers_that_do_not_fit_the_images(
    tmp_path: Path, write_npz: WriteNpz, key: str
) -> None:
    folder = prepare(f"npz:{write_npz()}", tmp_path / "data")
    meta = json.loads((folder / "meta.json").read_text())
    meta[key] = {"train": [12, 8, 10], "test": [3, 3, 3]} if key == "counts" else [0.5, 0.5, 0.5]
    (folder / "meta.json").write_text(json.dumps(meta))
    with pytest.raises(DataError, match="does not fit its images"):
        verify(folder)


def test_the_digest_is_that_of_the_data_wherever_they_lie(tmp_path: Path, write_npz: WriteNpz) -> None:
    first = prepare(f"npz:{write_npz('a/one.npz')}", tmp_path / "data")
    second = prepare(f"npz:{write_npz('b/two.npz')}", tmp_path / "other")
    assert open_dataset(first).digest == open_dataset(second).digest


def test_the_digest_differs_with_everything_that_decides_a_result(
    tmp_path: Path, write_npz: WriteNpz
) -> None:
    images, labels = pixels(30, 4, 6, 3), np.arange(30) % 3
    one_pixel, one_label = images.copy(), labels.copy()
    one_pixel[29, 3, 5, 2] ^= 1
    one_label[0] = 1
    variants = [
        {},
        {"train_images": one_pixel},
        {"train_labels": one_label},
        {"train_images": images.reshape(30, 6, 4, 3), "test_images": pixels(9, 6, 4, 3, seed=1)},
        {"class_names": np.array(["a", "b", "c"])},
        {"val_images": images[:3], "val_labels": labels[:3]},
        {"test_images": images[:3], "test_labels": labels[:3]},
    ]
    digests = set()
    for number, changes in enumerate(variants):
        folder = prepare(f"npz:{write_npz(f'{number}.npz', **changes)}", tmp_path / "data")
        digests.add(open_dataset(folder).digest)
    assert len(digests) == len(variants)


def test_without_a_test_split_a_fifth_of_each_class_is_held_out(tmp_path: Path, write_npz: WriteNpz) -> None:
    labels = np.repeat([0, 1, 2, 3], [50, 9, 2, 1])
    images = np.arange(62, dtype=np.uint8).reshape(62, 1, 1, 1)
    changes = {"train_images": images, "train_labels": labels, "test_images": None, "test_labels": None}
    dataset = open_dataset(prepare(f"npz:{write_npz(**changes)}", tmp_path / "data"))
    assert dataset.counts == {"train": (40, 8, 1, 1), "test": (10, 1, 1, 0)}
    assert dataset.test_rule == "20% of each class, seed 0"
    assert dataset.notes == ("one image only, which trains: '3'",)
    train, test = set(dataset.train.images.ravel().tolist()), set(dataset.test.images.ravel().tolist())
    assert train | test == set(range(62))
    assert not train & test
    for arrays in (dataset.train, dataset.test):
        np.testing.assert_array_equal(arrays.labels, labels[arrays.images.ravel()])


def test_test_per_class_takes_that_many_and_has_a_cache_of_its_own(
    tmp_path: Path, write_npz: WriteNpz
) -> None:
    source = f"npz:{write_npz(test_images=None, test_labels=None)}"
    default = prepare(source, tmp_path / "data")
    four = prepare(source, tmp_path / "data", test_per_class=4)
    assert four != default
    assert open_dataset(four).counts == {"train": (6, 6, 6), "test": (4, 4, 4)}
    assert open_dataset(four).test_rule == "4 of each class, seed 0"
    assert is_prepared(source, tmp_path / "data", test_per_class=3) is None


@pytest.mark.parametrize(
    ("test_per_class", "message"),
    [
        (10, r"`test_per_class < images of every class` must hold, but got 10 and '0 \(10\)'.*at most 9"),
        (0, r"`test_per_class >= 1` must hold, but got 0"),
        (2.5, r"`test_per_class >= 1` must hold, but got 2\.5"),
    ],
)
def test_a_test_per_class_that_cannot_be_is_refused(
    tmp_path: Path, write_npz: WriteNpz, test_per_class: int, message: str
) -> None:
    source = f"npz:{write_npz(test_images=None, test_labels=None)}"
    with pytest.raises(DataError, match=message):
        prepare(source, tmp_path / "data", test_per_class=test_per_class)
    assert not (tmp_path / "data").exists()


def test_test_per_class_is_refused_where_the_source_has_a_test_split(
    tmp_path: Path, write_npz: WriteNpz
) -> None:
    with pytest.raises(
        DataError, match="needs a source without a test split, but got 4 and a test split of 9"
    ):
        prepare(f"npz:{write_npz()}", tmp_path / "data", test_per_class=4)


def test_a_source_that_leaves_nothing_to_test_on_is_refused(tmp_path: Path, write_npz: WriteNpz) -> None:
    changes = {"train_images": pixels(3, 4, 6, 3), "train_labels": np.arange(3)}
    with pytest.raises(DataError, match="no class has two images"):
        prepare(f"npz:{write_npz(**changes, test_images=None, test_labels=None)}", tmp_path / "data")


def test_progress_rises_to_the_total(tmp_path: Path, write_npz: WriteNpz) -> None:
    seen: list[tuple[int, int]] = []
    prepare(f"npz:{write_npz()}", tmp_path / "data", progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (39, 39)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert {total for _, total in seen} == {39}


def test_a_source_that_changes_while_it_is_read_is_not_cached(tmp_path: Path, write_npz: WriteNpz) -> None:
    path = write_npz()
    with pytest.raises(DataError, match="changed while it was read"):
        prepare(f"npz:{path}", tmp_path / "data", progress=lambda done, total: os.utime(path, (0, done)))
    assert list((tmp_path / "data").iterdir()) == []


def test_an_error_on_the_way_leaves_nothing_behind(tmp_path: Path, write_npz: WriteNpz) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(f"npz:{write_npz()}", tmp_path / "data", progress=stop)
    assert list((tmp_path / "data").iterdir()) == []


def test_a_root_that_cannot_be_written_is_named(tmp_path: Path, write_npz: WriteNpz) -> None:
    root = tmp_path / "occupied"
    root.write_text("a file where a folder should be")
    with pytest.raises(DataError, match=rf"{root}: the cache cannot be written .*: choose a writable folder"):
        prepare(f"npz:{write_npz()}", root)


def test_a_disk_without_room_is_said_and_cleaned(tmp_path: Path, write_npz: WriteNpz) -> None:
    code = (
        "import resource, sys; from pathlib import Path; from cefl.data import prepare\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))\n"
        "prepare(sys.argv[1], Path(sys.argv[2]))"
    )
    child = run_python(code, f"npz:{write_npz()}", tmp_path / "data")
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 1
    assert f"CacheNotWritten: {tmp_path / 'data'}: no room for the cache" in errors
    assert list((tmp_path / "data").iterdir()) == []


def test_processes_that_prepare_one_source_at_once_all_get_the_same_cache(
    tmp_path: Path, write_npz: WriteNpz
) -> None:
    source, root = f"npz:{write_npz()}", tmp_path / "data"
    code = (
        "import sys, time; from pathlib import Path; from cefl.data import prepare\n"
        "built = []\n"
        "def meet(done, total):\n"
        "    built.append(done)\n"
        "    Path(sys.argv[3]).touch()\n"
        "    while not (Path(sys.argv[3]).exists() and Path(sys.argv[4]).exists()): time.sleep(0.01)\n"
        "print(prepare(sys.argv[1], Path(sys.argv[2]), progress=meet), len(built) > 0)"
    )
    here, there = (
        tmp_path / "here",
        tmp_path / "there",
    )  # each goes on when both are in the middle of building
    children = [run_python(code, source, root, here, there), run_python(code, source, root, there, here)]
    outputs = [child.communicate(timeout=60) for child in children]
    assert outputs == [(f"{is_prepared(source, root)} True\n", "")] * 2
    verify(prepare(source, root))
    assert len(list(root.iterdir())) == 1


def test_who_finishes_second_uses_the_cache_of_the_first(tmp_path: Path, write_npz: WriteNpz) -> None:
    source, root = f"npz:{write_npz()}", tmp_path / "data"
    faster: list[int] = []

    def overtake(done: int, total: int) -> None:
        faster.append((prepare(source, root) / "meta.json").stat().st_ino)

    folder = prepare(source, root, progress=overtake)
    assert (folder / "meta.json").stat().st_ino == faster[0]
    assert list(root.iterdir()) == [folder]


def test_a_killed_build_leaves_no_half_cache(tmp_path: Path, write_npz: WriteNpz) -> None:
    source, root = f"npz:{write_npz()}", tmp_path / "data"
    code = (
        "import sys, time; from pathlib import Path; from cefl.data import prepare\n"
        "def wait(done, total): print('building', flush=True); time.sleep(60)\n"
        "prepare(sys.argv[1], Path(sys.argv[2]), progress=wait)"
    )
    with run_python(code, source, root) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "building\n"
        child.send_signal(signal.SIGKILL)
    assert len(leftovers(root)) == 1
    assert is_prepared(source, root) is None
    verify(prepare(source, root))

    (remains,) = leftovers(root)  # young: it might belong to somebody who is still at work
    yesterday = time.time() - 25 * 3600
    for path in (*(root / remains).rglob("*"), root / remains):
        os.utime(path, (yesterday, yesterday))
    shutil.rmtree(prepare(source, root))
    verify(prepare(source, root))
    assert leftovers(root) == []


def test_room_is_reserved_before_images_are_written(tmp_path: Path) -> None:
    from cefl.data.storing import new_image_file

    path = tmp_path / "images.npy"
    with new_image_file(path, (1000, 8, 8, 3)) as images:
        assert path.stat().st_blocks * 512 >= 1000 * 8 * 8 * 3
        images[:] = 7
    with path.open("rb") as file:
        assert npy.read_magic(file) == (1, 0)
    assert (np.load(path) == 7).all()


def test_importing_and_asking_costs_neither_torch_nor_sklearn_nor_pillow(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import cefl.data\n"
        "cefl.data.is_prepared('digits', Path(sys.argv[1])); cefl.data.validation_rule({'unused': 5})\n"
        "print([name for name in ('torch', 'sklearn', 'PIL', 'scipy', 'torchvision') if name in sys.modules])"
    )
    child = run_python(code, tmp_path)
    assert child.communicate(timeout=60) == ("[]\n", "")


def test_a_complete_cache_serves_when_its_source_is_gone(tmp_path: Path, write_npz: WriteNpz) -> None:
    path = write_npz()
    folder = prepare(f"npz:{path}", tmp_path / "data")
    path.unlink()
    assert is_prepared(f"npz:{path}", tmp_path / "data") == folder
    assert prepare(f"npz:{path}", tmp_path / "data") == folder
    verify(folder)
    (folder / "test" / "labels.npy").unlink()
    assert is_prepared(f"npz:{path}", tmp_path / "data") is None
    with pytest.raises(DataError, match="cannot be read"):
        prepare(f"npz:{path}", tmp_path / "data")
