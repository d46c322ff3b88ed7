"""``crop-disease:PATH``: the layout as published, and everything an annotation file can do wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from archives import write_crop_disease, write_image

from cefl.data import is_prepared, open_dataset, prepare
from cefl.data.crop_disease import ANNOTATIONS, CLASSES, FOLDERS
from cefl.errors import DataError, MissingData, UnreadableImages

ALL = list(range(61))


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    """Two classes with two training images each and one to test on."""
    return write_crop_disease(tmp_path / "crop-disease", [0, 0, 7, 7], [7, 0])


def annotate(root: Path, change: Callable[[list[Any]], object], split: str = "train") -> None:
    path = root / FOLDERS[split] / ANNOTATIONS[split]
    entries = json.loads(path.read_text())
    change(entries)
    path.write_text(json.dumps(entries))


def refusal(root: Path) -> str:
    with pytest.raises(DataError) as caught:
        prepare(f"crop-disease:{root}", root.parent / "data")
    return str(caught.value)


def test_all_61_classes_in_the_published_layout(tmp_path: Path) -> None:
    root = write_crop_disease(tmp_path / "crop-disease", [*reversed(ALL), 3, 3], ALL)
    dataset = open_dataset(prepare("crop-disease:crop-disease", tmp_path / "data", base=tmp_path))
    assert (dataset.name, dataset.source) == ("crop-disease", f"crop-disease:{root}")
    assert dataset.classes == CLASSES
    assert len(set(CLASSES)) == 61
    assert CLASSES[1] == "apple scab general"
    assert CLASSES[60] == "tomato mosaic virus"
    assert dataset.counts == {"train": (1, 1, 1, 3, *(1,) * 57), "test": (1,) * 61}
    assert dataset.test_rule == "given", "the published validation set is the test split"
    assert dataset.validation is None


def test_archives_may_lie_in_folders_of_their_own_names(crops: Path) -> None:
    digest = open_dataset(prepare(f"crop-disease:{crops}", crops.parent / "data")).digest
    for split, folder in FOLDERS.items():
        (crops / f"ai_challenger_pdr2018_{split}").mkdir()
        (crops / folder).rename(crops / f"ai_challenger_pdr2018_{split}" / folder)
    assert open_dataset(prepare(f"crop-disease:{crops}", crops.parent / "data")).digest == digest


def test_the_order_of_the_annotations_does_not_matter(crops: Path) -> None:
    digest = open_dataset(prepare(f"crop-disease:{crops}", crops.parent / "data")).digest
    annotate(crops, list.reverse)
    assert open_dataset(prepare(f"crop-disease:{crops}", crops.parent / "data")).digest == digest


def test_classes_without_images_are_noted_and_left_out(tmp_path: Path) -> None:
    root = write_crop_disease(
        tmp_path / "crops", [label for label in ALL if label not in (44, 45)], [*ALL, 45]
    )
    dataset = open_dataset(prepare(f"crop-disease:{root}", tmp_path / "data"))
    assert len(dataset.classes) == 59
    assert "tomato bacterial spot general" not in dataset.classes
    assert dataset.notes == (
        "class 44 (tomato bacterial spot general) left out: no training and 1 test images",
        "class 45 (tomato bacterial spot serious) left out: no training and 2 test images",
    )
    assert sum(dataset.counts["test"]) == 59


def test_a_class_without_test_images_is_noted(tmp_path: Path) -> None:
    root = write_crop_disease(tmp_path / "crops", ALL, ALL[:-1])
    dataset = open_dataset(prepare(f"crop-disease:{root}", tmp_path / "data"))
    assert dataset.notes == ("test has no images of 'tomato mosaic virus'",)


def test_repeated_entries_and_unnamed_files_are_counted(crops: Path) -> None:
    annotate(crops, lambda entries: entries.extend(entries[:2]))
    write_image(crops / FOLDERS["train"] / "images" / "stray.jpg")
    dataset = open_dataset(prepare(f"crop-disease:{crops}", crops.parent / "data"))
    assert sum(dataset.counts["train"]) == 4
    assert f"{ANNOTATIONS['train']} names 2 images twice; each counts once" in dataset.notes
    assert f"1 files in {FOLDERS['train']}/images without a class left out" in dataset.notes


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"disease_class": 61, "image_id": "a.jpg"}, r"`0 <= disease_class < 61` must hold, but it is 61"),
        ({"disease_class": -1, "image_id": "a.jpg"}, r"but it is -1"),
        ({"disease_class": True, "image_id": "a.jpg"}, r"but it is True"),
        ({"disease_class": "3", "image_id": "a.jpg"}, r"but it is '3'"),
        ({"disease_class": 3.0, "image_id": "a.jpg"}, r"but it is 3.0"),
        ({"image_id": "a.jpg"}, r"but it is None"),
        ({"disease_class": 3}, r"must be the plain name of a file in images/, but is None"),
        ({"disease_class": 3, "image_id": "../../secret.jpg"}, r"must be the plain name"),
        ({"disease_class": 3, "image_id": "/etc/secret.jpg"}, r"must be the plain name"),
        ({"disease_class": 3, "image_id": "..\\secret.jpg"}, r"must be the plain name"),
        ({"disease_class": 3, "image_id": ".."}, r"must be the plain name"),
        ({"disease_class": 3, "image_id": "a\0.jpg"}, r"must be the plain name"),
        ({"disease_class": 3, "image_id": ["a.jpg"]}, r"must be the plain name"),
        ({"disease_class": 3, "image_id": "0000_train.jpg"}, r"is of class 3 here and of class 0 before"),
        ("a.jpg", r"must have disease_class and image_id, but is 'a.jpg'"),
        ({"disease_class": 3, "image_id": "x" * 999 + "/\x1b[2J"}, r"but is 'x+\.\.\."),
    ],
)
def test_a_wrong_entry_is_refused_with_its_place(crops: Path, entry: object, message: str) -> None:
    annotate(crops, lambda entries: entries.append(entry))
    with pytest.raises(DataError, match=rf"{ANNOTATIONS['train']}: 1 wrong entries\n  entry 4: .*{message}"):
        prepare(f"crop-disease:{crops}", crops.parent / "data")


def test_all_wrong_entries_come_at_once_up_to_a_screenful(crops: Path) -> None:
    annotate(crops, lambda entries: entries.extend([{}] * 30))
    lines = refusal(crops).splitlines()
    assert "30 wrong entries" in lines[0]
    assert lines[-1] == "  and 10 more"
    assert len(lines) == 22


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no JSON"),
        (b'[{"disease_class": 0', "is no JSON"),
        (b"\xff\xfe\xff", "is no JSON"),
        (b"[" * 200_000, "is no JSON"),
        (b'[{"disease_class": ' + b"9" * 5000 + b"}]", "is no JSON"),
        (b"{}", "must be a list of"),
        (b"[]", "must be a list of"),
        (b"3", "must be a list of"),
    ],
)
def test_a_file_that_is_no_annotation_is_refused(crops: Path, content: bytes, message: str) -> None:
    (crops / FOLDERS["test"] / ANNOTATIONS["test"]).write_bytes(content)
    assert message in refusal(crops)


def test_an_annotation_of_absurd_size_is_not_read(crops: Path) -> None:
    with (crops / FOLDERS["train"] / ANNOTATIONS["train"]).open("ab") as file:
        file.truncate(1 << 30)  # a hole, no bytes on the disk
    assert "`at most 67108864 bytes` must hold, but it has 1073741824" in refusal(crops)


@pytest.mark.parametrize("what", ["image", "images", "set", "annotation"])
def test_links_that_lead_out_are_refused(crops: Path, what: str) -> None:
    folder = crops / FOLDERS["train"]
    path = {
        "image": folder / "images" / "0000_train.jpg",
        "images": folder / "images",
        "set": folder,
        "annotation": folder / ANNOTATIONS["train"],
    }[what]
    outside = crops.parent / "outside"
    path.rename(outside)
    path.symlink_to(outside)
    assert f"is a link that leads out of the folder, to {outside}" in refusal(crops)


def test_a_link_inside_the_folder_is_followed(crops: Path) -> None:
    path = crops / FOLDERS["train"] / "images" / "0000_train.jpg"
    path.rename(crops / "elsewhere.jpg")
    path.symlink_to("../../elsewhere.jpg")
    assert sum(open_dataset(prepare(f"crop-disease:{crops}", crops.parent / "data")).counts["train"]) == 4


def test_images_that_are_missing_or_damaged_are_listed_together(crops: Path) -> None:
    images = crops / FOLDERS["train"] / "images"
    (images / "0001_train.jpg").unlink()
    (images / "0003_train.jpg").write_bytes((images / "0003_train.jpg").read_bytes()[:-60])
    (crops / FOLDERS["test"] / "images" / "0000_test.jpg").write_bytes(b"")
    with pytest.raises(UnreadableImages) as caught:
        prepare(f"crop-disease:{crops}", crops.parent / "data")
    assert [(image.class_name, image.file.rpartition("/")[2]) for image in caught.value.images] == [
        ("apple healthy", "0001_train.jpg"),
        ("cherry powdery mildew general", "0003_train.jpg"),
        ("cherry powdery mildew general", "0000_test.jpg"),
    ]
    reasons = [image.reason for image in caught.value.images]
    assert reasons[0] == "there is no such file"
    assert "truncated" in reasons[1]
    assert reasons[2] == "empty file"


def test_what_is_not_there_is_said(crops: Path) -> None:
    with pytest.raises(MissingData, match=r"no such folder; did you mean 'crop-disease'\?; it must hold"):
        prepare("crop-disease:crop-diseases", crops.parent / "data", base=crops.parent)
    (crops / FOLDERS["test"] / ANNOTATIONS["test"]).rename(crops / "kept.json")
    assert f"must hold one annotation file, {ANNOTATIONS['test']}, but has none" in refusal(crops)
    (crops / FOLDERS["test"]).rename(crops / "other")
    assert f"{FOLDERS['test']} is missing" in refusal(crops)
    (crops / FOLDERS["train"] / "images").rename(crops / "images")
    assert "images is missing: unpack the whole archive" in refusal(crops)


def test_a_change_of_annotation_or_images_is_noticed(crops: Path) -> None:
    source, root = f"crop-disease:{crops}", crops.parent / "data"
    prepare(source, root)
    assert is_prepared(source, root) is not None
    annotate(crops, lambda entries: entries[0].update(disease_class=7))
    assert is_prepared(source, root) is None
    prepare(source, root)
    write_image(crops / FOLDERS["test"] / "images" / "0000_test.jpg", seed=99)
    assert is_prepared(source, root) is None
