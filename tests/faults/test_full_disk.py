"""A disk that is full to the byte, at any moment: said, nothing lost, and gone on with once there is room."""

from __future__ import annotations

import os
import random
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from commands import run, sweeps
from faulty import fault, write_spec
from filling import FillAtWrite, fill, make_room, mounted, read_only
from forked import ended, start, until
from inspecting import assert_whole, histories, ledger

from cefl import trial
from cefl.checkpoint_files import found
from cefl.checkpoints import load_checkpoint
from sweeps import drive
from sweeps.home import LEAST_FREE

KINDS = {
    "data cache": "labels.npy",
    "ledger": "locks/trial-",  # A moment before the ledger is written.
    "checkpoint": "checkpoint-",
    "history": "history.jsonl",
    "weights": "weights.safetensors",
    "predictions": "predictions.npz",
    "result": "result.json",
    "tracking log": "tracking.jsonl",
    "specification": "spec.yaml",
    "artifact": "artifacts/",
    "report": "report.html",
    "state": "state.json",
}
"""What is written when the disk fills up: a part of its path."""

BRIEF = ("data cache", "history", "checkpoint", "ledger", "artifact", "report")
HOMES = count()
"""Each home has a path of its own, since MLflow keeps every database open to the end of the process."""


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small disk."""
    try:
        with mounted(tmp_path_factory.mktemp("disk") / "small") as folder:
            yield folder
    except PermissionError as error:
        pytest.skip(f"no small disk can be mounted here: {error}")


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_spec(tmp_path_factory.mktemp("spec"), which=(1, 2))


@pytest.fixture(scope="module")
def undisturbed(spec: Path, tmp_path_factory: pytest.TempPathFactory, empty: Path) -> Path:
    """A home with room for everything."""
    home = tmp_path_factory.mktemp("undisturbed") / "home"
    shutil.copytree(empty, home)
    assert run(spec, home) == 0
    assert_whole(home, "faulty")
    return home


@pytest.fixture
def small(disk: Path, empty: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home on the small disk; every epoch has a checkpoint."""
    monkeypatch.setattr(trial, "CHECKPOINT_SHARE", float("inf"))
    home = disk / f"home{next(HOMES)}"
    shutil.copytree(empty, home)
    yield home
    for path in disk.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def trials(home: Path) -> list[tuple[Any, ...]]:
    return [(row.study, row.number, row.state, row.value, row.attrs["key"]) for row in ledger(home, "faulty")]


def assert_interrupted(home: Path, disk: Path, message: str) -> None:
    """It is told where and how much; databases, checkpoints and lines are whole; no trial is blamed."""
    told = message.partition("error: ")[2]
    assert str(disk) in told
    assert " of 50.3 MB are free" in told
    assert "make room" in told or "free some" in told
    assert "Traceback" not in message
    for name in ("optuna.db", "mlflow.db"):
        with closing(sqlite3.connect(home / name)) as connected:
            assert connected.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    damaged: list[str] = []
    for folder in (home / "trials").glob("*/"):
        assert (load_checkpoint(folder, damaged.append) is not None) == bool(found(folder))
    assert damaged == []
    histories(home)
    assert list(home.glob("trials/**/*.tmp")) == []
    assert "failed" not in {row.state for row in ledger(home, "faulty")}


def test_a_disk_that_is_full_while_something_is_written_loses_nothing(
    spec: Path, small: Path, disk: Path, undisturbed: Path, capsys: pytest.CaptureFixture[str], long: bool
) -> None:
    draw, faults = random.Random(5), []
    for kind in [*KINDS, *draw.choices(list(KINDS), k=12)] if long else BRIEF:
        capsys.readouterr()
        with FillAtWrite(disk, KINDS[kind], draw.randrange(1, 4) if kind in BRIEF[1:3] else 1) as filled:
            code = run(spec, small)
        message = capsys.readouterr().err
        if filled.opened is None:
            assert (code, kind) in [(0, each) for each in KINDS], "it was not written so often"
            continue
        faults.append(kind)
        assert code == 7, (kind, message)
        assert_interrupted(small, disk, message)
        make_room(disk)
    assert set(faults) >= set(KINDS if long else BRIEF) - {"artifact"}
    assert run(spec, small) == 0, capsys.readouterr().err
    assert_whole(small, "faulty")
    assert trials(small) == trials(undisturbed)
    assert histories(small) == histories(undisturbed), "the same to the last bit"
    print(f"{len(faults)} full disks ({', '.join(faults)}), 0 trials lost, 0 doubled")


@pytest.mark.fuller
def test_a_disk_that_is_full_when_a_trial_is_about_to_begin_again_ends_the_sweep_in_order(
    tmp_path: Path, small: Path, disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = write_spec(tmp_path)
    fault(tmp_path, 1, "raise")
    assert run(spec, small) == 3
    fault(tmp_path, 1, "raise", times=0)
    tracked = small / "sweeps" / "faulty" / "tracking.jsonl"
    size = tracked.stat().st_size
    whole_pages = " " * (-size % resource.getpagesize()) + "\n"  # The next line needs one.
    tracked.write_text(tracked.read_text().removesuffix("\n") + whole_pages)
    retry = ("retry", "faulty", "--home", small, "--executor", "inline")
    with FillAtWrite(disk, KINDS["tracking log"]) as filled:
        code = sweeps(*retry)
    message = capsys.readouterr().err
    assert filled.opened is not None
    assert code == 7, message
    assert "tracking.jsonl" in message
    assert "Traceback" not in message
    make_room(disk)
    assert sweeps(*retry) == 0, capsys.readouterr().err
    assert_whole(small, "faulty")
    assert [row.state for row in ledger(small, "faulty")].count("complete") == 2


def test_a_disk_that_fills_up_under_workers_of_ray_ends_the_sweep_in_order(
    tmp_path: Path, small: Path, disk: Path, log: Path, long: bool
) -> None:
    if not long:
        pytest.skip("a Ray of its own takes half a minute: --long")
    spec = write_spec(tmp_path, which=(1, 2), epochs=2000)
    driver = start(log, "run", spec, "--home", small)
    until(lambda: bool(list(small.glob("trials/*/checkpoint-*"))), driver, log, 120)
    fill(disk)
    assert ended(driver) == 7, log.read_text()
    assert_interrupted(small, disk, log.read_text())
    make_room(disk)
    assert ended(start(log, "run", spec, "--home", small)) == 0, log.read_text()
    assert_whole(small, "faulty")


def test_a_full_disk_of_the_tracker_alone_stops_no_trial(
    spec: Path, small: Path, disk: Path, tmp_path: Path, empty: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(drive, "OFFLINE_PATIENCE_SECONDS", 10.0)  # Of a busy machine.
    home, other = tmp_path / "home", spec.with_name("other.yaml")
    shutil.copytree(empty, home)
    database = shutil.copy(empty / "mlflow.db", disk / "other.db")
    other.write_text(spec.read_text() + f"tracking: {{uri: 'sqlite:///{database}'}}\n")
    with FillAtWrite(home, "history.jsonl", 2, disk):
        assert run(other, home, "--offline") == 5, "which waits less for it in the end"
    said = capsys.readouterr()
    assert "database or disk is full" in said.out
    assert {row.state for row in ledger(home, "faulty")} == {"complete"}
    make_room(disk)
    assert sweeps("sync", "faulty", "--home", home) == 0
    assert_whole(home, "faulty", Path(database))


CALLED = """
import sys
from sweeps.cli import main
try:
    main()
finally:
    print("loaded:", {"ray", "torch", "mlflow", "optuna"} & set(sys.modules))
"""


def refused(spec: Path, home: Path, before: tuple[str, ...] = ()) -> str:
    """What a run says that must not begin, nor load anything slow."""
    begin = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [*before, sys.executable, "-c", CALLED, "run", spec, "--home", home], capture_output=True, text=True
    )
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 7, done.stderr
    assert "loaded: set()" in done.stdout
    assert end.ru_utime + end.ru_stime - begin.ru_utime - begin.ru_stime < 2, "seconds of a processor"
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def test_a_home_on_a_full_disk_is_refused_at_once(spec: Path, disk: Path, small: Path) -> None:
    before = sorted(small.rglob("*"))
    fill(disk)
    assert "No space left on device" in refused(spec, small)
    os.truncate(disk / "ballast", (disk / "ballast").stat().st_size - LEAST_FREE // 2)
    told = refused(spec, small)
    assert f"home {small}: its disk must have 16.8 MB free, but has 8.4; make room" in told
    assert sorted(small.rglob("*")) == before


def test_a_home_that_is_read_only_is_refused_at_once(spec: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    if os.geteuid():
        home.mkdir(mode=0o500)
        assert f"home {home}: cannot be written (Permission denied)" in refused(spec, home)
        return
    try:
        with mounted(home):
            read_only(home)
            told = refused(spec, home)
    except PermissionError as error:
        pytest.skip(f"nothing can be mounted here: {error}")
    assert f"home {home}: cannot be written (Read-only file system); choose another with --home" in told
