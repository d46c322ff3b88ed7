"""``mushroom:PATH``: nine genera, 300 random images of each to test on."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from archives import write_image

from cefl.data import folder, open_dataset, prepare
from cefl.data.folder import GENERA
from cefl.errors import DataError, MissingData


@pytest.fixture
def mushrooms(tmp_path: Path) -> Path:
    """Five to thirteen images of every genus."""
    for number, genus in enumerate(GENERA):
        for image in range(5 + number):
            write_image(tmp_path / "mushroom" / genus / f"{image:03}.jpg", seed=100 * number + image)
    return tmp_path / "mushroom"


def test_the_same_number_of_each_genus_is_tested_on_by_default(
    mushrooms: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert folder.MUSHROOM_TEST == 300, "Wang et al. 2020"
    monkeypatch.setattr(folder, "MUSHROOM_TEST", 4)
    dataset = open_dataset(prepare(f"mushroom:{mushrooms}", mushrooms.parent / "data"))
    assert (dataset.name, dataset.test_rule) == ("mushroom", "4 of each class, seed 0")
    assert dataset.classes == GENERA
    assert dataset.counts["test"] == (4,) * 9
    assert dataset.counts["train"] == tuple(1 + number for number in range(9))


def test_the_drawn_images_are_the_same_again_and_random(mushrooms: Path) -> None:
    first = open_dataset(prepare(f"mushroom:{mushrooms}", mushrooms.parent / "a", test_per_class=2))
    again = open_dataset(prepare(f"mushroom:{mushrooms}", mushrooms.parent / "b", test_per_class=2))
    assert first.digest == again.digest
    assert first.counts["test"] == (2,) * 9
    flat = first.test.images.reshape(18, -1)
    assert len(np.unique(flat, axis=0)) == 18


def test_genera_with_too_few_images_are_named(mushrooms: Path) -> None:
    with pytest.raises(
        DataError, match=r"`test_per_class < images of every class` must hold, but got 300 and"
    ):
        prepare(f"mushroom:{mushrooms}", mushrooms.parent / "data")
    with pytest.raises(DataError, match=r"but got 6 and 'Agaricus \(5\)', 'Amanita \(6\)': at most 4"):
        prepare(f"mushroom:{mushrooms}", mushrooms.parent / "data", test_per_class=6)


def test_other_folders_than_the_nine_are_said(mushrooms: Path) -> None:
    (mushrooms / "Boletus").rename(mushrooms / "Boletes")
    shutil.rmtree(mushrooms / "Suillus")
    with pytest.raises(DataError) as caught:
        prepare(f"mushroom:{mushrooms}", mushrooms.parent / "data")
    assert "missing: 'Boletus', 'Suillus'; not among them: 'Boletes'; " in str(caught.value)
    assert "'folder:PATH' with `test_per_class: 300`" in str(caught.value)


def test_the_folder_inside_the_archive_is_pointed_to(mushrooms: Path) -> None:
    outer = mushrooms.parent / "unzipped"
    outer.mkdir()
    mushrooms.rename(outer / "Mushrooms")
    with pytest.raises(DataError, match=rf"one folder deeper: write 'mushroom:{outer / 'Mushrooms'}'"):
        prepare(f"mushroom:{outer}", outer.parent / "data")


def test_a_missing_folder_is_told_from_a_wrong_one(tmp_path: Path) -> None:
    with pytest.raises(
        MissingData, match=r"there is no such folder; it must hold the class folders of maysee/"
    ):
        prepare("mushroom:mushroom", tmp_path / "data", base=tmp_path)


def test_a_truncated_photo_of_the_archive_is_named_or_left_out(mushrooms: Path) -> None:
    photo = mushrooms / "Russula" / "002.jpg"
    photo.write_bytes(photo.read_bytes()[:-200])
    source = f"mushroom:{mushrooms}"
    with pytest.raises(DataError, match=r"class 'Russula', Russula/002\.jpg: (?i:.*truncated)"):
        prepare(source, mushrooms.parent / "data", test_per_class=2)
    dataset = open_dataset(prepare(source, mushrooms.parent / "data", test_per_class=2, skip_corrupt=True))
    place = GENERA.index("Russula")
    assert dataset.counts["train"][place] == 5 + place - 2 - 1
    assert sum(dataset.counts["train"]) == sum(3 + number for number in range(9)) - 1
