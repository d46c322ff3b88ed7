"""Whole sweeps as a user runs them: a real Ray, a real MLflow server, signals, no server."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from commands import run, sweeps, told
from listening import listening
from mlflow_server import Server, free_port

from sweeps.home import Home
from sweeps.snapshot import LedgerRow, read_ledger
from trackers.readback import read_mlflow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, empty: Path) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("server"))
    shutil.copy(empty / "mlflow.db", running.database)
    try:
        running.start()
        yield running
    finally:
        running.kill()


def command(*arguments: object) -> list[str]:
    """A driver of Ray in a process of its own."""
    return [sys.executable, "-m", "sweeps", *map(str, arguments)]


@contextmanager
def started(*arguments: object, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A driver that is gone afterwards, with all that it started, however the test ends."""
    driver = subprocess.Popen(command(*arguments), stderr=subprocess.PIPE, text=True, **options)
    try:
        yield driver
    finally:
        kill(driver)
        driver.communicate()


def kill(driver: subprocess.Popen[str]) -> None:
    if driver.poll() is None:
        process = psutil.Process(driver.pid)
        for each in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()


def until(condition: Callable[[], object], driver: subprocess.Popen[str], seconds: float = 200.0) -> None:
    """Wait for what a driver is to bring about: a fresh Ray takes long on a busy machine."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert driver.poll() is None, "the driver ended by itself"
        assert time.monotonic() < deadline
        time.sleep(0.05)


def numbers(home: Path) -> dict[str, list[dict[str, float]]]:
    timing = {"seconds", "images_per_second"}
    return {
        path.parent.name: [
            {name: value for name, value in json.loads(line)["metrics"].items() if name not in timing}
            for line in path.read_text().splitlines()
        ]
        for path in (home / "trials").glob("*/history.jsonl")
    }


OWN_LOSS = """
import torch.nn.functional as F

def cold(logits, targets, temperature=1.0):
    return F.cross_entropy(logits / temperature, targets)
"""


def test_ray_and_a_server_give_what_the_in_process_executor_and_a_file_give(
    small_spec: Path, tmp_path: Path, home: Path, server: Server,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(sys, "path", list(sys.path))
    inline, ray = home, tmp_path / "ray"
    small_spec.with_name("own_losses.py").write_text(OWN_LOSS)
    own = "losses:\n  - {loss: 'own_losses:cold', temperature: 2}"
    small_spec.write_text(small_spec.read_text().replace("losses:", own))
    assert run(small_spec, inline) == 0
    tracked = small_spec.with_name("tracked.yaml")
    tracked.write_text(small_spec.read_text() + f"tracking: {{uri: '{server.uri}'}}\n")
    driver = command("run", tracked, "--home", ray)
    done = subprocess.run(driver, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    chatter = [line for line in done.stderr.splitlines() if not known(line)]
    assert not chatter, "Ray and Tune are silent"
    assert numbers(ray) == numbers(inline), "the same to the last bit"
    found = told(capsys, "trials", "small", "--home", ray)
    assert [trial["state"] for trial in found] == ["complete"] * 4
    by_key = {trial.key: trial for trial in read_mlflow(server.uri, "small")}
    assert {trial["key"]: trial["run_id"] for trial in found} == {
        key: trial.run_id for key, trial in by_key.items()
    }
    for trial in found:
        assert by_key[trial["key"]].as_json()["metrics"] == pytest.approx(trial["metrics"])
    report = ray / "sweeps" / "small" / "report"
    assert {path.name for path in report.iterdir()} == {
        "report.html",
        "report.md",
        "results.csv",
        "best.yaml",
        "tables",
    }
    assert not (ray / "mlflow.db").exists(), "a server given by address is the only tracker"


def known(line: str) -> bool:
    starts = ("preparing", "starting Ray", "4 trials to train", "[", "writing the report")
    return not line.strip() or line.startswith(starts)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.long)]
)
def test_a_signal_ends_in_order_within_30_seconds_and_the_same_command_goes_on(
    number: signal.Signals, code: int, small_spec: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small_spec.write_text(small_spec.read_text().replace("epochs: 2", "epochs: 60"))
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled"}
    with started("run", small_spec, "--home", home, env=environment) as driver:
        until(lambda: list((home / "trials").glob("*/history.jsonl")), driver)
        children = psutil.Process(driver.pid).children(recursive=True)
        assert children
        assert listening(driver.pid).keys() == {"127.0.0.1"}, "Ray listens on the loopback alone"
        servers = [each for each in children if each.name() in ("gcs_server", "raylet")]
        modes = [each.environ()["RAY_AUTH_MODE"] for each in servers]
        assert modes == ["token"] * 2, "and asks for its token"
        commands = [each.cmdline() for each in children if each.is_running()]
        assert not [command for command in commands if "monitor.py" in " ".join(command)], (
            "nor what it needs not"
        )
        driver.send_signal(number)
        _, said = driver.communicate(timeout=30)  # All that a pod or a container has.
    assert driver.returncode == code
    assert "stopping" in said
    _, alive = psutil.wait_procs(children, timeout=15)
    assert not alive, "no process is left"
    assert told(capsys, "status", "small", "--home", home)["state"] == "interrupted"
    before = numbers(home)
    assert run(small_spec, home) == 0
    after = numbers(home)
    assert all(after[key][: len(rows)] == rows for key, rows in before.items()), "no row is rewritten"
    assert [len(rows) for rows in after.values()] == [60] * 3
    assert [row.state for row in read_ledger(Home(home).optuna_url, "small")] == ["complete"] * 3


def test_a_search_on_ray_that_is_killed_stops_the_same_trials_as_one_that_is_not(
    small_spec: Path, tmp_path: Path, home: Path
) -> None:
    text = small_spec.read_text().replace("epochs: 2", "epochs: 6")
    small_spec.write_text(text + "study: {losses: cefl, asks: 12, grace: 2, prune: all}\n")
    killed, undisturbed = shutil.copytree(home, tmp_path / "killed"), home
    assert run(small_spec, undisturbed) == 0
    with started("run", small_spec, "--home", killed, "--concurrent", "1") as driver:
        until(lambda: any(row.state == "pruned" for row in ledger(killed)), driver)
        kill(driver)
    assert len(ledger(killed)) < 15, "killed in the middle"
    assert run(small_spec, killed) == 0
    assert [(row.attrs["key"], row.state) for row in ledger(killed)] == [
        (row.attrs["key"], row.state) for row in ledger(undisturbed)
    ]
    assert numbers(killed) == numbers(undisturbed)


def ledger(home: Path) -> list[LedgerRow]:
    return read_ledger(Home(home).optuna_url, "small")


def test_a_tracker_that_does_not_answer_is_told_before_anything_starts(
    small_spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, port = tmp_path / "home", free_port()
    small_spec.write_text(
        small_spec.read_text() + f"tracking: {{uri: 'http://user:secret@127.0.0.1:{port}'}}\n"
    )
    assert run(small_spec, home) == 7
    refused = capsys.readouterr().err
    assert "--offline" in refused
    assert "secret" not in refused
    assert not any((home / name).exists() for name in ("trials", "sweeps", "optuna.db", "mlflow.db"))
    assert run(small_spec, home, "--offline") == 5, "all trials are done, tracking is not"
    assert "secret" not in "".join(capsys.readouterr())
    assert told(capsys, "status", "small", "--home", home)["trials"]["complete"] == 3


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere: run the tests as an ordinary user")
def test_a_home_that_cannot_be_written_is_refused(
    small_spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o500)
    assert sweeps("run", small_spec, "--home", home) == 7
    assert "cannot be written" in capsys.readouterr().err


def test_a_home_below_a_file_is_refused(
    small_spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert sweeps("run", small_spec, "--home", tmp_path / "file" / "home") == 7
    refused = capsys.readouterr().err
    assert "cannot be written" in refused
    assert "--home" in refused
