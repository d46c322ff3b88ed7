"""``sweeps figures``: every figure of a sweep, some of them, or the losses alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import run, sweeps, told


def test_the_losses_need_no_sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = told(capsys, "figures", "--out", tmp_path / "out", "--home", tmp_path / "home")
    assert len(found["figures"]) == 6
    assert {Path(each["file"]).name for each in found["figures"]} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }
    assert not (tmp_path / "home").exists()


def test_a_sweep_has_its_figures_beside_its_report(
    small_spec: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(small_spec, home) == 0
    found = told(capsys, "figures", "small", "--only", "accuracy,confusion", "--home", home)
    assert {each["name"].split("-")[0] for each in found["figures"]} == {"accuracy", "confusion"}
    folder = home / "sweeps" / "small" / "report" / "figures"
    assert Path(found["folder"]) == folder
    for each in found["figures"]:
        assert json.loads((folder / f"{each['name']}.json").read_text())["data"]
    assert sweeps("figures", "small", "--only", "depth", "--home", home) == 2
    assert "of small there is no figure of kind depth" in capsys.readouterr().err
    assert sweeps("figures", "small", "--only", "depth,confusion", "--home", home) == 0
    assert "note: --only: of small there is no figure of kind depth\n" in capsys.readouterr().err


def test_an_unknown_kind_or_sweep_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweeps("figures", "--only", "pies", "--home", tmp_path) == 2
    assert "there are no figures of kind 'pies'; there are differences, means" in capsys.readouterr().err
    assert sweeps("figures", "nothing", "--home", tmp_path) == 2
