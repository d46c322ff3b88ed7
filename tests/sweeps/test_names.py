"""What a sweep may be called: folder, locks and studies carry the name, so that no other is taken."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import sweeps

from sweeps.cluster.head import submitted
from sweeps.errors import InputError
from sweeps.home import Home
from sweeps.names import check_name

WRONG = ["a/b", "../../evil", "..", ".hidden", "-n", "a b", "a\n", "é", "", "a" * 65]


@pytest.mark.parametrize("name", WRONG)
def test_a_name_that_is_a_path_or_hidden_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="--name: a sweep's name begins with a letter or digit"):
        check_name(name)


@pytest.mark.parametrize("name", ["a", "7", "a.b_c-D", "a" * 64, "home"])
def test_others_are_not(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    "command",
    [("plan",), ("run", "--executor", "inline"), ("submit", "--address", "http://127.0.0.1:9")],
    ids=lambda command: command[0],
)
def test_a_wrong_name_makes_no_folder_and_no_lock(
    command: tuple[str, ...], small_spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "deep" / "home"
    verb, *options = command
    assert sweeps(verb, small_spec, *options, "--name", "../../evil", "--home", place) == 2
    assert "--name: a sweep's name" in capsys.readouterr().err
    assert not [path for path in tmp_path.rglob("*") if "evil" in path.name]
    assert not (place / "sweeps").exists()


def test_a_job_with_a_wrong_name_keeps_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        submitted("../../evil", "small.yaml", ["--home", str(tmp_path / "home")])
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_may_be_called_home(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.create()
    with home.driving("home"), home.initialising():
        assert home.driver("home") is not None
