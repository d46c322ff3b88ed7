"""Files of a home that a disk, or a hand, has damaged: none is taken for absent, and none is written over."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
from commands import run, sweeps, told

from sweeps.data_sets import users
from sweeps.errors import DamagedFile, EnvironmentProblem
from sweeps.files import read_json, read_note, read_object, write_bytes, write_json
from sweeps.home import Home
from sweeps.plan import build_plan
from sweeps.spec import load_spec
from sweeps.state import TODO, stored_conditions, write_spec, write_state

LEDGER = "postgresql://me@far/studies"


def test_what_is_not_there_is_none_and_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("none.json", "file/none.json", "n" * 300):
        assert read_json(tmp_path / name) is None
        assert read_object(tmp_path / name) == {}
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(EnvironmentProblem, match=r"folder\.json: cannot be read"):
        read_json(tmp_path / "folder.json")
    assert read_note(tmp_path / "folder.json") is None


@pytest.mark.parametrize("content", [b"", b'{"a": 1,}', b'{"a": 1', b"\xff\xfe{}", b'{"a": 1, "a": 2}'])
def test_a_damaged_file_is_told_with_what_to_do(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "value.json"
    path.write_bytes(content)
    for read in (read_json, read_object):
        with pytest.raises(DamagedFile, match=r"value\.json: is damaged \(.+\); mend it"):
            read(path, "mend it")
    assert read_note(path) is None


@pytest.mark.parametrize("content", ["null", "[]", "7", '{"a": "b"}'])
def test_json_of_another_shape_is_damaged_too(tmp_path: Path, content: str) -> None:
    (tmp_path / "value.json").write_text(content)
    with pytest.raises(DamagedFile, match="not what was written there"):
        read_object(tmp_path / "value.json", values=int)


def test_an_error_of_writing_names_the_file_and_is_not_hidden_by_clearing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "new" / "file"
    write_bytes(path, b"old")

    def refuse(number: int) -> Path:
        def refused(*args: object, **options: object) -> Path:
            raise OSError(number, os.strerror(number))

        return refused  # type: ignore[return-value]

    monkeypatch.setattr(os, "fsync", refuse(errno.ENOSPC))
    monkeypatch.setattr(Path, "unlink", refuse(errno.EROFS))
    with pytest.raises(OSError, match="No space left") as told:
        write_bytes(path, b"new")
    assert told.value.filename == str(path)
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("content", [f'{{"ledger": "{LEDGER}",}}', "[]", '{"ledger": 7}'])
def test_a_home_does_not_forget_where_its_ledger_is(
    content: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = home / "home.json"
    before = Home(home)
    path.write_text(content)
    assert sweeps("list", "--home", home) == 2
    shown = capsys.readouterr().err
    assert f"{path}: is damaged" in shown
    assert "it alone says where this home has its ledger" in shown
    with pytest.raises(DamagedFile):
        before.create()
    assert path.read_text() == content


def test_doctor_goes_on_without_a_home_that_cannot_be_opened(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "home.json").write_text("{")
    found = {each["what"]: each for each in told(capsys, "doctor", "--home", home, code=7)}
    assert found["python"]["found"]
    assert (found["home"]["state"], found["home"]["found"]) == ("problem", "cannot be opened")
    assert f"{home}/home.json: is damaged" in found["home"]["next"]


@pytest.fixture
def begun(home: Path, small_spec: Path) -> Path:
    """The folder of a sweep of which nothing is trained yet."""
    place, loaded = Home(home), load_spec(str(small_spec))
    plan = build_plan(loaded, place.data)
    write_spec(place, plan, loaded)
    write_json(place.sweep("small") / "asks.json", {"small/cell/cefl": 3})
    write_state(place, "small", "interrupted", loaded)
    return place.sweep("small")


STRANGE = ["{", "[]", '{"a": null}']


@pytest.mark.parametrize("content", STRANGE)
@pytest.mark.parametrize("name", ["state.json", "conditions.json", "asks.json"])
def test_a_sweep_whose_files_are_damaged_starts_nothing_and_says_what_to_do(
    name: str, content: str, begun: Path, home: Path, small_spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (begun / name).write_text(content)
    before = {path: path.read_bytes() for path in begun.rglob("*") if path.is_file()}
    assert run(small_spec, home) == 2
    shown = capsys.readouterr().err
    assert f"{begun / name}: is damaged" in shown
    assert TODO[name] in shown
    assert {path: path.read_bytes() for path in begun.rglob("*") if path.is_file()} == before


def test_a_specification_that_is_gone_or_damaged_is_told(
    begun: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for content, said in ((b"\xff", "is damaged"), (None, "is gone")):
        (begun / "spec.yaml").unlink() if content is None else (begun / "spec.yaml").write_bytes(content)
        assert sweeps("status", "small", "--home", home) == 2
        assert f"{begun / 'spec.yaml'}: {said}; " in capsys.readouterr().err


def test_one_damaged_sweep_stands_in_the_list_and_its_data_are_no_garbage(
    begun: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (begun / "state.json").write_text("{")
    (row,) = told(capsys, "list", "--home", home)
    assert (row["name"], row["state"], row["updated"]) == ("small", "damaged", None)
    assert sweeps("status", "small", "--home", home) == 2
    assert "state.json: is damaged" in capsys.readouterr().err
    (begun / "conditions.json").write_text("{")
    with pytest.raises(DamagedFile, match=r"conditions\.json"):
        users(Home(home))
    assert sweeps("gc", "--yes", "--home", home) == 2
    assert list((home / "data").glob("*/meta.json"))


def test_a_sweep_that_never_was_has_no_conditions(home: Path) -> None:
    assert stored_conditions(Home(home), "none") == {}
    assert json.loads((home / "home.json").read_text())["id"] == Home(home).id
