"""``sweeps data``: caches are prepared, listed, shown and verified; an interrupt leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sweeps.cli import main

SPEC = """
name: small
data: {source: "folder:photos", skip_corrupt: true}
depth: 8
losses: [cross_entropy]
validation: {holdout: 0.3}
recipe: {preset: digits, epochs: 1, batch_size: 8}
resources: {gpus: 0}
"""


@dataclass
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def sweeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command in this process, in the test's folder, with a home there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SWEEPS_HOME", str(tmp_path / "home"))

    def run(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["sweeps", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        output = capsys.readouterr()
        return Done(int(ended.value.code or 0), output.out, output.err)

    return run


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve images in each of two classes, whose names are hostile to HTML."""
    for number, name in enumerate(("cat", "<script>alert('dog')</script>".replace("/", "|"))):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for image in range(12):
            noise = np.random.default_rng(image).integers(0, 200, (9, 9, 3), dtype=np.uint8)
            Image.fromarray(noise + 50 * number).save(tmp_path / "photos" / name / f"{image:02}.png")
    return tmp_path / "photos"


def test_a_data_set_is_prepared_listed_and_verified(sweeps: Any, photos: Path) -> None:
    assert "no data sets in" in sweeps("data", "list").out
    done = sweeps("data", "prepare", "folder:photos", "--test-per-class", 4)
    assert (done.code, "2 classes, 16 training and 8 test images of 9x9 pixels" in done.out) == (0, True)
    assert "12/12" not in done.out, "progress is no output"
    assert "was prepared already" in sweeps("data", "prepare", "folder:photos", "--test-per-class", 4).out
    (row,) = sweeps("data", "list", "--json").json
    assert row == sweeps("data", "prepare", "folder:photos", "--test-per-class", 4, "--json").json
    assert (row["name"], row["images"], row["splits"], row["classes"]) == (
        "photos", 24, {"train": 16, "test": 8}, 2,
    )  # fmt: skip
    assert row["source"] == f"folder:{photos}"
    assert row["test_rule"] == "4 of each class, seed 0"
    assert row["used_by"] == []
    assert row["bytes"] > 24 * 9 * 9 * 3
    assert row["digest"][:12] in sweeps("data", "list").out
    assert sweeps("data", "verify", "photos", "--json").json == [
        {"name": "photos", "folder": row["folder"], "state": "ok", "problem": None}
    ]


def test_unreadable_images_come_as_json_too_and_can_be_left_out(sweeps: Any, photos: Path) -> None:
    (photos / "cat" / "00.png").write_bytes(b"")
    done = sweeps("data", "prepare", "folder:photos")
    assert (done.code, done.out) == (2, "")
    assert "1 of 24 images cannot be read" in done.err
    assert "class 'cat', cat/00.png: empty file" in done.err
    refused = sweeps("data", "prepare", "folder:photos", "--json")
    assert refused.code == 2
    assert refused.json == {
        "source": f"folder:{photos}", "images": 24,
        "unreadable": [{"class_name": "cat", "file": "cat/00.png", "reason": "empty file"}],
    }  # fmt: skip
    made = sweeps("data", "prepare", "folder:photos", "--skip-corrupt", "--json").json
    assert (made["images"], made["left_out"]) == (23, 1)
    assert made["notes"] == ["unreadable images left out: 'cat' 1 (1 of 24)"]
    assert sweeps("init", "folder:photos").code == 2
    assert sweeps("init", "folder:photos", "--skip-corrupt").code == 0
    assert "    skip_corrupt: true" in Path("photos.yaml").read_text()
    assert sweeps("plan", "photos.yaml").code == 0


def test_the_page_shows_every_class_and_the_long_tail_and_hostile_names_stay_text(
    sweeps: Any, photos: Path
) -> None:
    shown = sweeps("data", "show", "folder:photos", "--json").json
    page, sheet = map(Path, shown["files"])
    assert shown["page"] == str(page)
    with Image.open(sheet) as image:
        assert image.format == "PNG"
        assert image.height > 2 * 64
    text = page.read_text()
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text
    assert "Content-Security-Policy" in text
    assert "data:image/png;base64," in text
    tail = sweeps("data", "show", "photos", "--imbalance", 3, "--order", "descending", "--json").json
    assert "rho3-descending" in tail["page"]
    assert "With imbalance 3, descending, seed 0" in Path(tail["page"]).read_text()
    assert sweeps("data", "show", "photos", "--out", "here").out.split() == [
        "here/data.html",
        "here/samples.png",
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("show", "photo"), 2, "unknown data source 'photo'.*the caches in .* are: none yet"),
        (
            ("show", "digits", "--order", "upwards"),
            2,
            "--order: 'upwards' is not one of ascending, descending",
        ),
        (("show", "digits", "--imbalance", "900"), 2, "imbalance"),
        (("verify", "photo"), 2, "photo: no such cache in .*; there are: none yet"),
        (("prepare", "mushroom:nowhere"), 7, "mushroom:.*there is no such folder"),
        (("prepare", "folder:nowhere"), 2, "there is no such folder"),
        (("prepare", "digits", "--test-per-class", "900"), 2, "`test_per_class < images of every class`"),
    ],
)
def test_what_is_asked_wrongly_gets_one_message(
    sweeps: Any, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = sweeps("data", *arguments)
    assert (done.code, done.out) == (code, "")
    assert done.err.count("error: ") == 1
    assert re.search(words, done.err)


def test_two_caches_of_one_name_are_told_apart_by_their_folders(sweeps: Any, photos: Path) -> None:
    for count in (2, 3):
        sweeps("data", "prepare", "folder:photos", "--test-per-class", count)
    refused = sweeps("data", "show", "photos")
    assert refused.code == 2
    folders = [Path(row["folder"]).name for row in sweeps("data", "list", "--json").json]
    assert f"photos: 2 caches have this name; say which one: {', '.join(folders)}" in refused.err
    assert sweeps("data", "verify", folders[1]).code == 0


def test_two_caches_of_one_name_and_content_are_one_to_whoever_names_them(sweeps: Any, photos: Path) -> None:
    for options in ((), ("--skip-corrupt",)):
        sweeps("data", "prepare", "folder:photos", *options)
    rows = sweeps("data", "list", "--json").json
    assert len({row["folder"] for row in rows}) == 2
    assert len({row["digest"] for row in rows}) == 1
    assert sweeps("data", "show", "photos").code == 0


def test_a_damaged_cache_is_found_listed_and_named(sweeps: Any, photos: Path) -> None:
    folder = Path(sweeps("data", "prepare", "folder:photos", "--json").json["folder"])
    images = folder / "train" / "images.npy"
    content = bytearray(images.read_bytes())
    content[-5] ^= 1
    images.write_bytes(content)
    done = sweeps("data", "verify")
    assert done.code == 7
    assert "delete this folder and prepare the source again" in done.out
    again = sweeps("data", "prepare", "folder:photos")
    assert (again.code, again.out) == (2, "")
    assert "delete this folder and prepare the source again" in again.err
    (folder / "meta.json").write_text("{")
    (row,) = sweeps("data", "list", "--json").json
    assert "unreadable meta.json" in row["problem"]
    assert "damaged" in sweeps("data", "list").out
    assert sweeps("data", "show", folder.name).code == 2


def test_a_sweep_counts_what_was_left_out_and_refuses_a_changed_cache(
    sweeps: Any, photos: Path, tmp_path: Path
) -> None:
    (photos / "cat" / "00.png").write_bytes(b"")
    spec = tmp_path / "small.yaml"
    spec.write_text(SPEC)
    assert sweeps("run", spec, "--executor", "inline").code == 0
    report = tmp_path / "home" / "sweeps" / "small" / "report"
    assert "unreadable images left out: &#39;cat&#39; 1 (1 of 24)" in (report / "report.html").read_text()
    assert "unreadable images left out: 'cat' 1" in (report / "report.md").read_text()
    assert "skip_corrupt: true" in (report / "best.yaml").read_text()
    (row,) = sweeps("data", "list", "--json").json
    assert row["used_by"] == ["small"]

    images = Path(row["folder"]) / "test" / "images.npy"
    content = bytearray(images.read_bytes())
    content[-5] ^= 1
    images.write_bytes(content)
    refused = sweeps("run", spec, "--executor", "inline")
    assert refused.code == 7
    assert f"{row['folder']}: does not have the images and labels any more" in refused.err
    assert "delete this folder and prepare the source again" in refused.err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_while_preparing_leaves_nothing_behind(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
    first = tmp_path / "photos" / "a" / "0.png"
    Image.effect_noise((2500, 2500), 60).save(first, compress_level=1)
    for copy in range(1, 400):  # Work for many seconds, of which few are done.
        os.link(first, tmp_path / "photos" / "ab"[copy % 2] / f"{copy}.png")
    child = subprocess.Popen(
        [sys.executable, "-m", "sweeps", "data", "prepare", "folder:photos", "--home", "home"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    caches = tmp_path / "home" / "data"
    try:
        deadline = time.monotonic() + 60
        while not list(caches.glob(".building-*/train/images.npy")) and time.monotonic() < deadline:
            assert child.poll() is None, child.communicate()
            time.sleep(0.02)
        child.send_signal(number)
        out, err = child.communicate(timeout=60)
    finally:
        child.kill()
    assert child.returncode == code, err
    assert (out, "Traceback" in err) == ("", False)
    assert list(caches.iterdir()) == []
