"""init, doctor and schema, as a user runs them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from commands import sweeps as command
from mlflow_server import free_port
from PIL import Image


@dataclass
class Done:
    code: int
    out: str
    err: str


Sweeps = Callable[..., Done]


@pytest.fixture
def sweeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Sweeps:
    """Runs a command in this process, in the test's folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Done:
        capsys.readouterr()
        code = command(*arguments)
        return Done(code, *capsys.readouterr())

    return call


def test_init_describes_a_folder_and_writes_a_specification_that_plans(
    sweeps: Sweeps, tmp_path: Path
) -> None:
    for label, count in {"daisy": 40, "rose": 12, "tulip": 6}.items():
        (tmp_path / "photos" / label).mkdir(parents=True)
        for index in range(count):
            Image.new("RGB", (20, 20), (index, 5 * count, 0)).save(
                tmp_path / "photos" / label / f"{index}.png"
            )
    done = sweeps("init", "folder:photos", "--home", "home")
    assert done.code == 0, done.err
    assert "3 classes" in done.out
    assert "daisy" in done.out
    text = (tmp_path / "photos.yaml").read_text()
    assert "imbalance: [natural]" in text
    assert text.count("#") > 5, "it is commented"
    planned = sweeps("plan", "photos.yaml", "--home", "home", "--json")
    assert planned.code == 0, planned.err
    assert json.loads(planned.out)["trials"]["waiting"] == 22
    again = sweeps("init", "folder:photos", "--home", "home")
    assert again.code == 2
    assert "--force" in again.err


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("digit", "did you mean"),
        ("npz:missing.npz", "missing.npz"),
        ("folder:empty", "empty"),
    ],
)
def test_a_source_that_cannot_be_used_is_refused_without_a_traceback(
    sweeps: Sweeps, tmp_path: Path, source: str, words: str
) -> None:
    (tmp_path / "empty").mkdir()
    done = sweeps("init", source, "--home", "home")
    assert done.code == 2
    assert words in done.err
    assert "Traceback" not in done.err
    assert not list(tmp_path.glob("*.yaml"))


def test_the_schema_is_valid_and_names_every_block(sweeps: Sweeps) -> None:
    schema = json.loads(sweeps("schema").out)
    assert {"name", "data", "losses", "study", "recipe", "resources", "validation"} <= schema[
        "properties"
    ].keys()


def test_the_doctor_finds_the_installation_sound(sweeps: Sweeps) -> None:
    done = sweeps("doctor", "--home", "home", "--json")
    assert done.code == 0, done.out
    found = {each["what"]: each for each in json.loads(done.out)}
    assert {"python", "torch", "ray", "mlflow", "home", "memory", "processor"} <= found.keys()
    assert all(set(each) == {"state", "what", "found", "next"} for each in found.values())


def test_the_doctor_says_what_to_do_about_a_server_that_does_not_answer(sweeps: Sweeps) -> None:
    done = sweeps("doctor", "--home", "home", "--uri", f"http://127.0.0.1:{free_port()}")
    assert done.code == 7
    assert "PROBLEM" in done.out
