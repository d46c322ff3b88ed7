"""What a plan says and does about data sets: those that are not there, damaged ones, and what fits them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from cefl.data import SPELLINGS, open_dataset, prepare
from cefl.data.folder import GENERA
from sweeps.errors import ENVIRONMENT, WRONG_INPUT, DataNotThere, SpecError
from sweeps.initialising import specification
from sweeps.plan import Plan, build_plan
from sweeps.spec import load_text

SPEC = """\
name: photos
data: {{source: "{source}", {more}}}
depth: 18
validation: none
losses: [cross_entropy]
recipe: {{batch_size: 2}}
"""


def planned(folder: Path, source: str, more: str = "") -> Plan:
    return build_plan(load_text(SPEC.format(source=source, more=more), "s.yaml", folder), folder / "data")


def write_photos(folder: Path, names: tuple[str, ...], count: int = 3) -> None:
    for name in names:
        (folder / name).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (9, 9), (20 * number, 0, 0)).save(folder / name / f"{number}.png")


def test_a_published_set_that_is_not_there_is_a_matter_of_the_environment(tmp_path: Path) -> None:
    with pytest.raises(
        DataNotThere, match=r"^s.yaml:2: data\[0\]\.source: mushroom:.*there is no such folder"
    ):
        planned(tmp_path, "mushroom:mushroom")
    with pytest.raises(DataNotThere, match="crop-disease:.*AgriculturalDisease_trainingset"):
        planned(tmp_path, "crop-disease:crop-disease")
    assert DataNotThere.exit_code == ENVIRONMENT == 7


def test_a_path_of_ones_own_that_is_not_there_is_wrong_input(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="there is no such folder") as caught:
        planned(tmp_path, "folder:photos")
    assert caught.value.exit_code == WRONG_INPUT == 2


def test_the_preset_of_a_published_set_is_used_for_it(tmp_path: Path) -> None:
    write_photos(tmp_path / "mushroom", GENERA)
    (cell,) = planned(tmp_path, "mushroom:mushroom", "test_per_class: 1").cells
    assert (cell.base.recipe.epochs, cell.base.recipe.image_size) == (100, 224)
    (tmp_path / "mushroom").rename(tmp_path / "photos")
    (cell,) = planned(tmp_path, "folder:photos").cells
    assert cell.base.recipe.image_size is None, "by the size of the images"


def test_a_first_specification_fits_a_published_set(tmp_path: Path) -> None:
    write_photos(tmp_path / "mushroom", GENERA)
    folder = prepare(f"mushroom:{tmp_path / 'mushroom'}", tmp_path / "data", test_per_class=1)
    text = specification(open_dataset(folder), "mushroom:mushroom")
    assert "  preset: mushroom\n  epochs: 100 " in text
    assert "model: [resnet18]" in text, "the recipe shows it 224 pixels"


def test_damaged_images_refuse_a_plan_unless_they_are_to_be_left_out(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", ("cat", "dog"), 6)
    (tmp_path / "photos" / "cat" / "0.png").write_bytes(b"")
    with pytest.raises(SpecError, match="class 'cat', cat/0.png: empty file") as caught:
        planned(tmp_path, "folder:photos")
    assert caught.value.exit_code == WRONG_INPUT
    (cell,) = planned(tmp_path, "folder:photos", "skip_corrupt: true").cells
    assert sum(cell.train_counts) + sum(cell.test_counts) == 11
    assert "unreadable images left out: 'cat' 1 (1 of 12)" in cell.notes
    assert cell.skip_corrupt


def test_the_help_names_the_sources_that_there_are() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "sweeps", "init", "--help"], capture_output=True, text=True, check=True
    )
    words = " ".join(shown.stdout.split())
    assert SPELLINGS.replace(", folder", " or folder") in words
