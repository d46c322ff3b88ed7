"""The README is true: it has every command, its examples run, its specification is valid."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from sweeps.cli import app
from sweeps.spec import load_text, shipped_specs

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def verbs() -> list[str]:
    """Every command as it is called: ``run``, ``data list``."""
    found = []
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        below = getattr(command, "commands", None)
        found += [name] if below is None else [f"{name} {each}" for each in below]
    return found


def called(text: str) -> str:
    """The command that a line begins with, of one word or of two."""
    words = text.split()
    return next((each for each in verbs() if each.split() == words[: len(each.split())]), text)


def test_every_command_stands_in_the_readme_and_no_other() -> None:
    found = verbs()
    assert {"run", "plan", "init", "doctor"} <= set(found)
    table = [called(text) for text in re.findall(r"^\| `sweeps ([a-z ]+)", README, re.MULTILINE)]
    assert sorted(table) == sorted(found)


@pytest.mark.parametrize("verb", verbs())
def test_every_command_has_help(verb: str) -> None:
    shown = CliRunner().invoke(app, [*verb.split(), "--help"], prog_name="sweeps")
    assert shown.exit_code == 0
    assert f"Usage: sweeps {verb}" in shown.stdout
    assert len(shown.stdout.splitlines()) > 5


def test_the_command_itself_has_help() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "sweeps", "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert {verb.split()[0] for verb in verbs()} == set(
        re.findall(r"^  ([a-z]+) ", shown.split("Commands:")[1], re.MULTILINE)
    )


def test_the_specification_is_valid() -> None:
    begin, example = blocks("yaml")
    assert load_text(example, "README.md", ROOT).spec.name == "mine"
    shipped = shipped_specs()["quickstart"]
    quickstart = load_text(shipped.read_text(), str(shipped), ROOT)
    assert load_text(begin, "README.md", ROOT).spec == quickstart.spec, "shortened, and the same"


def test_the_picture_of_the_report_is_there_and_small() -> None:
    (path,) = re.findall(r"^!\[[^]]+\]\(([^)]+)\)$", README, re.MULTILINE)
    with Image.open(ROOT / path) as picture:
        assert picture.format == "PNG"
    assert (ROOT / path).stat().st_size < 100_000


def test_shipped_specifications_are_named() -> None:
    shipped = shipped_specs()
    assert shipped
    for name in shipped:
        assert f"`{name}`" in README


EACH = """
import sys
for example in sys.argv[1:]:
    exec(compile(example, "README.md", "exec"), {"__name__": "__main__"})
"""


def test_the_python_examples_run(tmp_path: Path) -> None:
    """In one folder, in their order; one that begins with the name of a file is that file."""
    examples = blocks("python")
    named = {example: re.match(r"# (\w+\.py)\n", example) for example in examples}
    assert len(examples) >= 3
    for example, name in named.items():
        if name:
            (tmp_path / name[1]).write_text(example)
    run = [example for example, name in named.items() if not name]
    subprocess.run([sys.executable, "-c", EACH, *run], check=True, cwd=tmp_path)


def test_the_training_command_runs(tmp_path: Path) -> None:
    command = re.search(r"uv run python (-m cefl\.train .*)", README)
    assert command is not None
    done = subprocess.run(
        [sys.executable, *command[1].split(), "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "c")],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    assert "test, last epoch" in done.stdout


def test_the_test_commands_are_told_and_ci_runs_one_of_them() -> None:
    assert "$ uv run pytest\n" in README
    told = re.findall(r"^\| `(uv run pytest[a-z -]*)` \|", README, re.MULTILINE)
    assert told == ["uv run pytest", "uv run pytest --all", "uv run pytest --long"]
    (called,) = re.findall(r"^uv run pytest.*$", (ROOT / ".ci" / "run").read_text("utf-8"), re.MULTILINE)
    assert called == "uv run pytest --all"
