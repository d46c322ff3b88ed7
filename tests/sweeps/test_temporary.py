"""The temporary folders of a killed process are removed by the next driver, and no others."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from sweeps import temporary
from sweeps.temporary import OWNER, make, remove, remove_left_overs

MAKES = "from sweeps.temporary import make; print(make('test-'), flush=True); input()"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files are, of this test alone."""
    monkeypatch.setattr(temporary, "SHORT", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def process(place: Path) -> tuple[subprocess.Popen[str], Path]:
    """One that has a folder, and the folder."""
    started = subprocess.Popen(
        [sys.executable, "-c", MAKES], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "TMPDIR": str(place)},
    )  # fmt: skip
    assert started.stdout is not None
    return started, Path(started.stdout.readline().strip())


def test_the_folder_of_a_killed_process_goes_and_that_of_a_living_one_stays(place: Path) -> None:
    (killed, left), (living, kept) = process(place), process(place)
    try:
        (left / "ray").mkdir()
        (left / "ray" / "log").write_text("x")
        mine = make()
        assert remove_left_overs() == []
        killed.kill()
        killed.wait()
        assert remove_left_overs() == [left]
        assert not left.exists()
        assert kept.exists()
        assert mine.exists()
        remove(mine)
        assert not mine.exists()
    finally:
        for each in (killed, living):
            each.kill()
            each.communicate()


def test_what_shows_no_owner_that_is_gone_is_left_alone(place: Path) -> None:
    (place / "sweeps-plain" / "data").mkdir(parents=True)
    elsewhere = place / "elsewhere"
    for folder in (elsewhere, place / "sweeps-tricked"):
        folder.mkdir()
    (elsewhere / OWNER).touch()
    (place / "sweeps-link").symlink_to(elsewhere)
    (place / "sweeps-tricked" / OWNER).symlink_to(elsewhere / OWNER)
    before = sorted(place.rglob("*"))
    assert remove_left_overs() == []
    assert sorted(place.rglob("*")) == before


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_the_folder_of_another_user_is_left_alone(place: Path) -> None:
    other = place / "sweeps-other"
    other.mkdir()
    (other / OWNER).touch()
    os.chown(other, 65534, 65534)
    assert remove_left_overs() == []
    os.chown(other, 0, 0)
    assert remove_left_overs() == [other]
