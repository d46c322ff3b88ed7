"""What `doctor` says to do can be done."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from commands import run, sweeps, told

from sweeps.home import Home


@pytest.mark.parametrize(("name", "gone"), [("small", False), ("other", False), ("small", True)])
def test_the_command_that_goes_on_works_from_another_folder(
    name: str, gone: bool, small_spec: Path, home: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    folder = small_spec.parent / "a folder"
    folder.mkdir()
    monkeypatch.chdir(small_spec.parent)
    assert run(Path(small_spec.name), home, "--name", name) == 0
    state = Home(home).sweep(name) / "state.json"
    state.write_text(json.dumps({**json.loads(state.read_text()), "state": "interrupted"}))
    if gone:
        small_spec.unlink()
    monkeypatch.chdir(folder)
    lines = told(capsys, "doctor", "--home", home)
    (todo,) = (line["next"] for line in lines if line["what"] == f"sweep {name}")
    command = shlex.split(todo.removeprefix("go on: "))
    assert command[:2] == ["sweeps", "retry" if gone else "run"]
    assert sweeps(*command[1:], "--executor", "inline") == 0, capsys.readouterr().err
    assert json.loads(state.read_text())["state"] == "done"
    assert not list(folder.iterdir()), "no other home is made"
