"""``folder:PATH``: image files of every common kind, and all that is wrong with a folder in one answer."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cefl.data import Dataset, is_prepared, open_dataset, prepare
from cefl.errors import DataError, UnreadableImages

WriteImages = Callable[..., list[Path]]

SQUARE = np.zeros((8, 8, 3), dtype=np.uint8)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return tmp_path / "photos"


def load(photos: Path) -> Dataset:
    return open_dataset(prepare(f"folder:{photos}", photos.parent / "data"))


def refusal(photos: Path) -> str:
    with pytest.raises(DataError) as caught:
        prepare(f"folder:{photos}", photos.parent / "data")
    root = photos.parent / "data"
    assert not root.exists() or not list(root.iterdir())
    return str(caught.value)


def image_of(dataset: Dataset, class_name: str) -> np.ndarray:
    """The only image of a class, which trains."""
    (index,) = np.flatnonzero(dataset.train.labels == dataset.classes.index(class_name))
    return np.asarray(dataset.train.images[index])


def test_class_folders_become_classes_and_small_images_of_one_size_stay(
    photos: Path, write_images: WriteImages
) -> None:
    paths = {name: write_images(name, count=5, size=(12, 8)) for name in ("dog", "cat")}
    dataset = load(photos)
    assert dataset.name == "photos"
    assert dataset.classes == ("cat", "dog")
    assert dataset.image_shape == (8, 12, 3)
    assert dataset.counts == {"train": (4, 4), "test": (1, 1)}
    assert dataset.notes == ()
    for label, name in enumerate(dataset.classes):
        originals = {np.asarray(Image.open(path)).tobytes() for path in paths[name]}
        cached = {
            image.tobytes()
            for arrays in (dataset.train, dataset.test)
            for image in arrays.images[arrays.labels == label]
        }
        assert cached == originals


def test_split_folders_are_kept_apart(photos: Path, write_images: WriteImages) -> None:
    for split, count in {"train": 3, "val": 2, "test": 1}.items():
        for name in ("a", "b"):
            write_images(f"{split}/{name}", count=count)
    dataset = load(photos)
    assert dataset.counts == {"train": (3, 3), "val": (2, 2), "test": (1, 1)}
    assert dataset.test_rule == "given"
    test_image = np.asarray(Image.open(photos / "test" / "a" / "000.png"))
    np.testing.assert_array_equal(dataset.test.images[0], test_image)


@pytest.mark.parametrize("name", ["valid", "validation"])
def test_a_validation_folder_may_have_its_usual_names(
    photos: Path, write_images: WriteImages, name: str
) -> None:
    for folder in ("train/a", "train/b", f"{name}/a", f"{name}/b"):
        write_images(folder, count=5)
    assert load(photos).counts == {"train": (4, 4), "val": (5, 5), "test": (1, 1)}


def test_numbers_sort_by_value_and_other_names_as_text(photos: Path, write_images: WriteImages) -> None:
    for name in ("10", "2", "1"):
        write_images(name)
    assert load(photos).classes == ("1", "2", "10")
    write_images("b")
    assert load(photos).classes == ("1", "10", "2", "b")


def test_nested_images_are_found_and_what_is_no_image_is_left_out(
    photos: Path, write_images: WriteImages
) -> None:
    write_images("cat", count=2)
    write_images("cat/indoors/sofa", count=3)
    write_images("dog", count=5)
    write_images(".trash", count=1)
    write_images("__MACOSX/cat", count=1)
    write_images("dog/.thumbs", count=4)
    (photos / "dog" / ".DS_Store").write_text("x")
    (photos / "dog" / "licence.txt").write_text("free")
    (photos / "README").write_text("photos")
    dataset = load(photos)
    assert dataset.counts == {"train": (4, 4), "test": (1, 1)}
    assert dataset.notes == ("2 files that are no images left out: 'README', 'licence.txt'",)


def test_links_are_followed_and_loops_of_links_end(photos: Path, write_images: WriteImages) -> None:
    write_images("cat")
    elsewhere = write_images("../elsewhere", count=4)
    (photos / "dog").symlink_to(elsewhere[0].parent)
    (photos / "cat" / "linked.png").symlink_to(elsewhere[0])
    (photos / "cat" / "again").symlink_to(photos / "cat")
    dataset = load(photos)
    assert sum(dataset.counts["train"]) + sum(dataset.counts["test"]) == 8


def test_kinds_of_images_are_converted_as_they_look(photos: Path) -> None:
    red = SQUARE + np.array([255, 0, 0], dtype=np.uint8)
    alpha = np.dstack([red, np.repeat([[255] * 4 + [0] * 4], 8, axis=0).astype(np.uint8)])
    palette = Image.fromarray(red).quantize(4)
    see_through = Image.new("P", (8, 8), 1)
    see_through.putpalette([0, 0, 255, 255, 0, 0])
    see_through.info["transparency"] = 1
    animation = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    kinds: dict[str, tuple[Image.Image, str, dict[str, object]]] = {
        "jpeg": (Image.fromarray(red), "x.JPG", {"quality": 100, "subsampling": 0}),
        "png": (Image.fromarray(red), "x.png", {}),
        "webp": (Image.fromarray(red), "x.webp", {"lossless": True}),
        "bmp": (Image.fromarray(red), "x.bmp", {}),
        "tiff": (Image.fromarray(red), "x.tif", {}),
        "gif": (animation[0], "x.gif", {"save_all": True, "append_images": animation[1:]}),
        "palette": (palette, "x.png", {}),
        "transparent palette": (see_through, "x.png", {"transparency": 1}),
        "alpha": (Image.fromarray(alpha), "x.png", {}),
        "cmyk": (Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "x.jpg", {"quality": 100}),
        "grey": (Image.new("L", (8, 8), 77), "x.png", {}),
        "bilevel": (Image.new("1", (8, 8), 1), "x.png", {}),
        "16 bit": (Image.fromarray(np.full((8, 8), 0x80FF, dtype=np.uint16)), "x.png", {}),
        "grey alpha": (Image.new("LA", (8, 8), (40, 0)), "x.png", {}),
        "misnamed": (Image.fromarray(red), "x.png", {"format": "JPEG", "quality": 100, "subsampling": 0}),
    }
    for name, (image, file, options) in kinds.items():
        (photos / name).mkdir(parents=True)
        image.save(photos / name / file, **options)
    shutil.copytree(photos, photos.parent / "both" / "train")
    photos.rename(photos.parent / "both" / "test")
    dataset = load(photos.parent / "both")

    assert dataset.image_shape == (8, 8, 3)
    for name in ("png", "webp", "bmp", "tiff", "gif", "palette"):
        np.testing.assert_array_equal(image_of(dataset, name), red, err_msg=name)
    for name in ("jpeg", "cmyk", "misnamed"):
        np.testing.assert_allclose(image_of(dataset, name), red, atol=3, err_msg=name)
    np.testing.assert_array_equal(image_of(dataset, "alpha")[:, :4], red[:, :4])
    for white in (
        image_of(dataset, "alpha")[:, 4:],
        image_of(dataset, "bilevel"),
        image_of(dataset, "grey alpha"),
    ):
        assert (white == 255).all()
    assert (image_of(dataset, "transparent palette") == 255).all()
    assert (image_of(dataset, "grey") == 77).all()
    assert (image_of(dataset, "16 bit") == 0x80).all()


def test_images_stay_grey_only_if_all_are(photos: Path, write_images: WriteImages) -> None:
    write_images("a", mode="L")
    write_images("b", mode="L")
    Image.fromarray(np.full((8, 8), 0x1234, dtype=np.uint16)).save(photos / "b" / "deep.png")
    dataset = load(photos)
    assert dataset.image_shape == (8, 8, 1)
    assert (dataset.train.images == 0x12).all(axis=(1, 2, 3)).sum() + (dataset.test.images == 0x12).all(
        axis=(1, 2, 3)
    ).sum() == 1
    write_images("c", mode="RGB")
    assert load(photos).image_shape == (8, 8, 3)


@pytest.mark.parametrize(("kind", "size"), [("x.jpg", (40, 24)), ("x.png", (40, 24)), ("x.jpg", (400, 300))])
def test_photos_are_turned_upright(photos: Path, kind: str, size: tuple[int, int]) -> None:
    width, height = size
    lying = Image.new("RGB", size, "black")
    lying.paste("white", (0, 0, width // 4, height))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it rotated by 90 degrees clockwise
    for split in ("train", "test"):
        for name in ("a", "b"):
            (photos / split / name).mkdir(parents=True)
            lying.save(photos / split / name / kind, exif=exif)
    dataset = load(photos)
    large = width > 64
    assert dataset.image_shape == ((256, 256, 3) if large else (width, height, 3))
    upright = dataset.train.images[0]
    top = 20 if large else width // 4  # large: a square of the height is cut out of the middle
    assert (upright[: top - 1] > 200).all()
    assert (upright[-top:] < 50).all()


def test_large_photos_are_scaled_to_256_pixels_and_cropped_in_the_middle(photos: Path) -> None:
    stripes = np.zeros((512, 1024, 3), dtype=np.uint8)
    stripes[:, 256:768] = 200  # exactly the middle square
    (photos / "a").mkdir(parents=True)
    (photos / "b").mkdir()
    Image.fromarray(stripes).save(photos / "a" / "wide.png")
    Image.fromarray(stripes.transpose(1, 0, 2)).save(photos / "a" / "tall.jpg", quality=98)
    Image.fromarray(stripes).save(photos / "b" / "wide.webp", lossless=True)
    Image.new("RGB", (100, 90), (200, 200, 200)).save(photos / "b" / "small.png")
    dataset = load(photos)
    assert dataset.image_shape == (256, 256, 3)
    assert dataset.notes == (
        "shorter side scaled to 256 px and centre-cropped to a square; 1 of 4 images were smaller",
    )
    for arrays in (dataset.train, dataset.test):
        np.testing.assert_allclose(arrays.images[:, 4:-4, 4:-4], 200, atol=3)


def test_a_jpeg_that_is_decoded_at_a_fraction_keeps_its_detail(photos: Path) -> None:
    grain = np.random.default_rng(0).integers(0, 256, (128, 128), dtype=np.uint8)
    photo = Image.fromarray(grain).resize((1024, 1024), Image.Resampling.NEAREST).convert("RGB")
    for split in ("train", "test"):
        for name, options in {"jpg": {"quality": 95}, "png": {}}.items():
            (photos / split / name).mkdir(parents=True)
            photo.save(photos / split / name / f"x.{name}", **options)
    dataset = load(photos)
    difference = image_of(dataset, "jpg").astype(int) - image_of(dataset, "png")
    assert np.abs(difference).mean() < 5


def test_images_of_several_sizes_below_256_pixels_get_one_square_size(
    photos: Path, write_images: WriteImages
) -> None:
    write_images("a", count=4, size=(90, 70))
    write_images("b", count=4, size=(30, 20))
    write_images("c", count=1, size=(500, 400))
    write_images("c/more", count=4, size=(70, 75))
    dataset = load(photos)
    assert dataset.image_shape == (70, 70, 3)
    assert "4 of 13 images were smaller" in dataset.notes[0]


def test_every_unreadable_image_is_listed_with_its_class_and_reason(
    photos: Path, write_images: WriteImages
) -> None:
    cats, dogs = write_images("cat", count=4), write_images("dog", count=4)
    cats[0].write_bytes(cats[0].read_bytes()[:-60])
    cats[1].write_bytes(b"")
    (photos / "cat" / "text.jpg").write_text("I am not an image")
    (photos / "dog" / "gone.png").symlink_to(photos / "nowhere.png")
    (photos / "dog" / "phone.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    Image.fromarray(np.zeros((8, 8), dtype=np.float32)).save(photos / "dog" / "float.tiff")
    Image.new("RGB", (8, 8)).save(photos / "dog" / "icon.png", format="PPM")
    damaged = bytearray(dogs[0].read_bytes())
    damaged[60] ^= 0xFF
    dogs[0].write_bytes(damaged)

    message = refusal(photos)
    lines = message.splitlines()
    assert lines[0].startswith(f"folder:{photos}: 8 of 13 images cannot be read; mend or remove them, or")
    assert len(lines) == 9
    for expected in (
        "class 'cat', cat/000.png: ",
        "class 'cat', cat/001.png: empty file",
        "class 'cat', cat/text.jpg: not an image, or none of JPEG, PNG, WEBP, BMP, GIF, TIFF",
        "class 'dog', dog/gone.png: the link leads nowhere",
        "class 'dog', dog/phone.HEIC: a format that is not read: convert it to PNG or JPEG",
        "class 'dog', dog/float.tiff: 32-bit pixels have no known range",
        "class 'dog', dog/icon.png: not an image",
        "class 'dog', dog/000.png: ",
    ):
        assert any(line.strip().startswith(expected) for line in lines), (expected, message)
    assert "truncated" in lines[1]


@pytest.mark.parametrize("also_an_empty_file", [False, True])
def test_truncated_photos_are_found_though_their_headers_are_good(
    photos: Path, also_an_empty_file: bool
) -> None:
    for name in ("a", "b"):
        (photos / name).mkdir(parents=True)
        for number in range(3):
            Image.effect_noise((320, 300), 80).convert("RGB").save(photos / name / f"{number}.jpg")
    for path in (photos / "a" / "1.jpg", photos / "b" / "2.jpg"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    if also_an_empty_file:  # found by its header, yet the others are named in the same answer
        (photos / "b" / "0.jpg").write_bytes(b"")
    message = refusal(photos)
    assert f"{2 + also_an_empty_file} of 6 images cannot be read" in message
    assert ("class 'b', b/0.jpg: empty file" in message) == also_an_empty_file
    assert "class 'a', a/1.jpg: image file is truncated" in message
    assert "class 'b', b/2.jpg: image file is truncated" in message


def test_a_long_list_of_unreadable_images_ends_with_a_number(photos: Path, write_images: WriteImages) -> None:
    for path in (*write_images("a", count=15), *write_images("b", count=15)):
        path.write_bytes(b"")
    root = photos.parent / "data"
    with pytest.raises(UnreadableImages) as caught:
        prepare(f"folder:{photos}", root)
    lines = str(caught.value).splitlines()
    assert len(lines) == 22
    (listed,) = root.iterdir()
    assert lines[-1].strip() == f"and 10 more: {listed}"
    whole = json.loads(listed.read_text())
    assert len(whole) == len(caught.value.images) == 30
    assert whole[0] == {"class_name": "a", "file": "a/000.png", "reason": "empty file"}
    shutil.rmtree(photos)
    write_images("a")
    write_images("b")
    load(photos)
    assert not listed.exists(), "a list that is no longer true goes away"


def test_images_of_absurd_size_are_refused_instead_of_filling_the_memory(
    photos: Path, write_images: WriteImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_images("a")
    write_images("b", size=(60, 60))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)  # a real limit, set low to spare the test's disk
    assert "b/000.png: more than 2,000 pixels" in refusal(photos)


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (["a"], r"`at least 2 classes` must hold, but there is 'a'"),
        (["test/a", "test/b"], r"'test' without a folder train: add it"),
        (["train/a", "train/b", "cat"], r"'train' stand beside 'cat': move or rename"),
        (["cat", "dog", "test"], r"'test' stand beside 'cat', 'dog'"),
        (["train/a", "train/b", "val/a", "valid/a"], r"one validation folder must do.*'val', 'valid'"),
        (["train", "test"], r"train must hold a folder for each class, but holds none"),
        (
            ["train/a", "train/b", "test/a", "test/c"],
            r"class of test must be in train too, but train lacks 'c'",
        ),
        (["train/a", "train/b", "val/z"], r"class of val must be in train too, but train lacks 'z'"),
    ],
)
def test_folders_that_make_no_data_set_are_refused(
    photos: Path, write_images: WriteImages, folders: list[str], message: str
) -> None:
    for folder in folders:
        write_images(folder)
    with pytest.raises(DataError, match=message):
        prepare(f"folder:{photos}", photos.parent / "data")


def test_a_class_may_be_called_train_like_the_vehicle(photos: Path, write_images: WriteImages) -> None:
    for name in ("bus", "car", "train"):
        write_images(name)
    assert load(photos).classes == ("bus", "car", "train")


def test_empty_class_folders_are_named(photos: Path, write_images: WriteImages) -> None:
    write_images("a")
    (photos / "b").mkdir()
    (photos / "c").mkdir()
    (photos / "c" / "notes.txt").write_text("no photos yet")
    assert "there are none in 'b', 'c': add images or remove the folder" in refusal(photos)


def test_a_class_that_is_absent_from_test_is_noted(photos: Path, write_images: WriteImages) -> None:
    for folder in ("train/a", "train/b", "train/c", "test/a"):
        write_images(folder)
    (photos / "test" / "b").mkdir()
    dataset = load(photos)
    assert dataset.notes == ("test has no images of 'b', 'c'",)
    assert dataset.counts["test"] == (3, 0, 0)


def test_missing_and_empty_folders_are_answered(photos: Path, write_images: WriteImages) -> None:
    write_images("a")
    with pytest.raises(DataError, match=r"there is no such folder; did you mean 'photos'\?"):
        prepare("folder:photo", photos.parent / "data", base=photos.parent)
    (photos.parent / "empty").mkdir()
    with pytest.raises(DataError, match="must hold a folder for each class, but holds none"):
        prepare("folder:empty", photos.parent / "data", base=photos.parent)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_named(photos: Path, write_images: WriteImages) -> None:
    write_images("a")[0].chmod(0)
    write_images("b")
    assert "a/000.png: permission denied" in refusal(photos)
    (photos / "b").chmod(0)
    assert f"cannot read {photos / 'b'} (Permission denied)" in refusal(photos)
    (photos / "b").chmod(0o700)


@pytest.mark.parametrize("change", ["content", "time", "added", "removed", "renamed", "moved"])
def test_any_change_of_the_files_is_noticed(photos: Path, write_images: WriteImages, change: str) -> None:
    first, second = write_images("a", count=4)[:2]
    write_images("b", count=4)
    load(photos)
    source, root = f"folder:{photos}", photos.parent / "data"
    assert is_prepared(source, root) is not None
    if change == "content":
        shutil.copyfile(second, first)
    elif change == "time":
        os.utime(first, (0, 0))
    elif change == "added":
        shutil.copyfile(first, photos / "b" / "new.png")
    elif change == "removed":
        first.unlink()
    elif change == "renamed":
        first.rename(first.with_name("zzz.png"))
    else:
        first.rename(photos / "b" / "moved.png")
    assert is_prepared(source, root) is None


def test_the_digest_does_not_depend_on_the_order_of_files_on_the_disk(
    photos: Path, write_images: WriteImages
) -> None:
    for name in ("a", "b"):
        write_images(name, count=9)
    copy = photos.parent / "copy"
    for path in sorted(photos.rglob("*.png"), reverse=True):
        target = copy / path.relative_to(photos)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    assert load(photos).digest == load(copy).digest


def test_progress_counts_images(photos: Path, write_images: WriteImages) -> None:
    for name in ("a", "b"):
        write_images(name, count=6)
    seen: list[tuple[int, int]] = []
    prepare(f"folder:{photos}", photos.parent / "data", progress=lambda *step: seen.append(step))
    assert seen == [(done, 12) for done in range(1, 13)]


@pytest.mark.skipif(sys.platform != "linux", reason="names of other file systems are always text")
def test_file_names_that_are_not_utf_8_are_read(photos: Path, write_images: WriteImages) -> None:
    paths = write_images("a")
    write_images("b")
    os.rename(paths[0], os.fsencode(paths[0].parent) + b"/caf\xe9.png")
    assert sum(load(photos).counts["train"]) == 6 - 2
