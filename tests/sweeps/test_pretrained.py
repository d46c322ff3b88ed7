"""Pretrained weights are looked at before a sweep begins: whether they fit, and whether they can be had."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import run, sweeps
from published_weights import put_weights, write_pretrained

from sweeps.driver import check_weights
from sweeps.plan import build_plan
from sweeps.spec import load_spec


@pytest.mark.parametrize(("size", "channels", "depth"), [(8, 3, 18), (72, 1, 18), (72, 3, 20)])
def test_weights_that_do_not_fit_are_a_problem_of_the_plan(
    size: int, channels: int, depth: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = write_pretrained(tmp_path, size, channels, depth)
    assert sweeps("plan", spec, "--home", tmp_path / "home") == 2
    told = capsys.readouterr().err
    assert (
        "pre.yaml:6: pretrained: pretrained weights are for resnet18, resnet34, resnet50, resnet101 with 3"
        in told
    )
    assert f"but got resnet{depth} with {channels} channels at {size} px; leave `pretrained` out" in told
    assert told.count("but got") == 1


def test_weights_that_cannot_be_had_end_a_sweep_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "empty"))
    monkeypatch.setattr("urllib.request._opener", None)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    spec, home = write_pretrained(tmp_path, 72), tmp_path / "home"
    assert run(spec, home) == 7
    said = capsys.readouterr()
    assert "put resnet18-f37072fd.pth into " in said.err
    assert said.err.count("error") <= 2, said.err
    assert not (home / "sweeps" / "pre").exists()
    assert not (home / "optuna.db").exists()

    put_weights(tmp_path / "torch", monkeypatch)
    notes: list[str] = []
    check_weights(build_plan(load_spec(str(spec)), home / "data"), None, notes.append)
    assert notes == ["pretrained weights of resnet18: looked for, and downloaded where there are none"]
