"""How many trainings share a device, what they make together, and the daemon that lets them share a GPU."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from packing import CONTROL, LOGS, PIPES, Way, environ, mps, numbers, on_cpu, on_gpu, rate, served, told


def test_processes_share_all_cores_and_none_gets_less_than_one() -> None:
    assert on_cpu([1, 2, 4, 8], 6) == [Way(1, 6), Way(2, 3), Way(4, 1)]
    assert on_gpu([1, 2], 1) == [Way(1, 1), Way(2, 1), Way(1, 1, True), Way(2, 1, True)]
    assert [str(way) for way in on_gpu([2], 4)] == ["2 processes x 2 threads", "2 processes x 2 threads, MPS"]


def test_one_process_is_always_measured_and_other_numbers_are_refused() -> None:
    assert numbers("4,2") == [1, 2, 4]
    for wrong in ("0,2", "2,x", ""):
        with pytest.raises(SystemExit, match="--processes: must be numbers from 1 on"):
            numbers(wrong)


def test_images_are_counted_between_the_two_moments_alone() -> None:
    ends = [10.0, 12.0, 14.0, 18.0]
    assert rate(100, ends, 10.0, 14.0) == 50
    assert rate(100, ends, 10.0, 16.0) == pytest.approx(250 / 6), "half of the last epoch"
    random = np.random.default_rng(0)
    steady = np.cumsum(np.r_[0.0, random.uniform(0.9, 1.1, 60)])
    assert rate(7, steady.tolist(), 0.0, 50.0) == pytest.approx(7, rel=0.02)


class Collected:
    """A bench that keeps what it is told."""

    def __init__(self, device: str) -> None:
        self.options = Namespace(device=device)
        self.figures: dict[str, list[float]] = {}
        self.notes: list[str] = []

    def add(self, title: str, values: list[float], unit: str) -> None:
        self.figures[title] = values

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_ratios_are_of_one_repetition_and_the_best_way_is_said_as_a_specification_has_it() -> None:
    bench = Collected("cuda")
    measured = {Way(1, 8): [10.0, 20.0], Way(4, 2): [15.0, 10.0], Way(4, 2, True): [30.0, 40.0]}
    told(bench, measured)  # type: ignore[arg-type]
    assert bench.figures["4 processes x 2 threads: over one process"] == [1.5, 0.5]
    assert bench.figures["4 processes x 2 threads, MPS: over one process"] == [3.0, 2.0]
    assert "4 processes x 2 threads, MPS" in bench.notes[-1]
    assert "gpus: 0.25" in bench.notes[-1]
    with pytest.raises(SystemExit, match="one process alone"):
        told(bench, {Way(2, 1): [1.0]})  # type: ignore[arg-type]


def daemon(folder: Path, code: int) -> None:
    """A program of the control daemon's name that writes down what it is asked."""
    folder.mkdir()
    program = folder / CONTROL
    program.write_text(
        f"#!{sys.executable}\nimport os, sys\n"
        f"with open({str(folder / 'asked')!r}, 'a') as file:\n"
        f"    file.write(' '.join(sys.argv[1:]) or sys.stdin.read().strip())\n"
        f"    file.write(' ' + os.environ[{PIPES!r}] + '\\n')\n"
        f"print('not permitted' if {code} else '4711')\nsys.exit({code})\n"
    )
    program.chmod(0o755)


def test_the_daemon_of_mps_is_our_own_and_ends_with_the_benchmark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon(tmp_path / "bin", 0)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    with mps(tmp_path) as environment, environ(environment):
        assert os.environ[LOGS] == str(tmp_path / "logs")
        assert served(environment)
    assert LOGS not in os.environ
    pipes = tmp_path / "pipes"
    asked = (tmp_path / "bin" / "asked").read_text().splitlines()
    assert asked == [f"-d {pipes}", f"get_server_list {pipes}", f"quit {pipes}"]


def test_where_there_is_no_mps_it_is_said_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match=f"there is no {CONTROL} here"), mps(tmp_path):
        pass
    daemon(tmp_path / "bin", 1)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(RuntimeError, match="exit code 1; not permitted"), mps(tmp_path):
        pass
