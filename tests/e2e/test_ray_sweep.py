"""Whole sweeps as a user runs them: a real Ray, a real MLflow server, signals, no server."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from listening import listening
from mlflow_server import Server, free_port

from sweeps.home import Home
from sweeps.snapshot import LedgerRow, read_ledger
from trackers import connection
from trackers.readback import read_mlflow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("server"))
    connection.initialise(connection.resolved(running.database))
    try:
        running.start()
        yield running
    finally:
        running.kill()


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "sweeps", *map(str, arguments)]


def sweeps(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=240)


def shown(*arguments: object) -> Any:
    done = sweeps(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


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
    small_spec: Path, tmp_path: Path, server: Server
) -> None:
    inline, ray = tmp_path / "inline", tmp_path / "ray"
    small_spec.with_name("own_losses.py").write_text(OWN_LOSS)
    own = "losses:\n  - {loss: 'own_losses:cold', temperature: 2}"
    small_spec.write_text(small_spec.read_text().replace("losses:", own))
    assert sweeps("run", small_spec, "--home", inline, "--executor", "inline").returncode == 0
    tracked = small_spec.with_name("tracked.yaml")
    tracked.write_text(small_spec.read_text() + f"tracking: {{uri: '{server.uri}'}}\n")
    done = sweeps("run", tracked, "--home", ray)
    assert done.returncode == 0, done.stderr
    chatter = [line for line in done.stderr.splitlines() if not known(line)]
    assert not chatter, "Ray and Tune are silent"
    assert numbers(ray) == numbers(inline), "the same to the last bit"
    found = shown("trials", "small", "--home", ray)
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


def test_an_interrupt_ends_in_order_and_the_same_command_goes_on(small_spec: Path, tmp_path: Path) -> None:
    small_spec.write_text(small_spec.read_text().replace("epochs: 2", "epochs: 120"))
    home = tmp_path / "home"
    driver = subprocess.Popen(
        command("run", small_spec, "--home", home), stderr=subprocess.PIPE, text=True,
        env={**os.environ, "RAY_AUTH_MODE": "disabled"},
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not list((home / "trials").glob("*/history.jsonl")):
        assert driver.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.2)
    children = psutil.Process(driver.pid).children(recursive=True)
    assert children
    assert listening(driver.pid).keys() == {"127.0.0.1"}, "Ray listens on the loopback alone"
    servers = [each for each in children if each.name() in ("gcs_server", "raylet")]
    assert [each.environ()["RAY_AUTH_MODE"] for each in servers] == ["token"] * 2, "and asks for its token"
    driver.send_signal(signal.SIGINT)
    _, said = driver.communicate(timeout=60)
    assert driver.returncode == 130
    assert "stopping" in said
    _, alive = psutil.wait_procs(children, timeout=15)
    assert not alive, "no process is left"
    assert shown("status", "small", "--home", home)["state"] == "interrupted"
    before = numbers(home)
    assert sweeps("run", small_spec, "--home", home, "--executor", "inline").returncode == 0
    after = numbers(home)
    assert all(after[key][: len(rows)] == rows for key, rows in before.items()), "no row is rewritten"
    assert [len(rows) for rows in after.values()] == [120] * 3
    assert [row.state for row in read_ledger(Home(home).optuna_url, "small")] == ["complete"] * 3


def test_a_search_on_ray_that_is_killed_stops_the_same_trials_as_one_that_is_not(
    small_spec: Path, tmp_path: Path
) -> None:
    text = small_spec.read_text().replace("epochs: 2", "epochs: 6")
    small_spec.write_text(text + "study: {losses: cefl, asks: 12, grace: 2, prune: all}\n")
    killed, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    assert sweeps("run", small_spec, "--home", undisturbed, "--executor", "inline").returncode == 0
    driver = subprocess.Popen(
        command("run", small_spec, "--home", killed, "--concurrent", "1"), stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not any(row.state == "pruned" for row in ledger(killed)):
        assert driver.poll() is None, "the driver ended by itself"
        assert time.monotonic() < deadline
        time.sleep(0.1)
    family = [driver, *psutil.Process(driver.pid).children(recursive=True)]
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    driver.wait()
    assert len(ledger(killed)) < 15, "killed in the middle"
    assert sweeps("run", small_spec, "--home", killed, "--executor", "inline").returncode == 0
    assert [(row.attrs["key"], row.state) for row in ledger(killed)] == [
        (row.attrs["key"], row.state) for row in ledger(undisturbed)
    ]
    assert numbers(killed) == numbers(undisturbed)


def ledger(home: Path) -> list[LedgerRow]:
    return read_ledger(Home(home).optuna_url, "small")


def test_a_tracker_that_does_not_answer_is_told_before_anything_starts(
    small_spec: Path, tmp_path: Path
) -> None:
    home, port = tmp_path / "home", free_port()
    small_spec.write_text(
        small_spec.read_text() + f"tracking: {{uri: 'http://user:secret@127.0.0.1:{port}'}}\n"
    )
    refused = sweeps("run", small_spec, "--home", home, "--executor", "inline")
    assert refused.returncode == 7
    assert "--offline" in refused.stderr
    assert "secret" not in refused.stderr
    assert not any((home / name).exists() for name in ("trials", "sweeps", "optuna.db", "mlflow.db"))
    offline = sweeps("run", small_spec, "--home", home, "--executor", "inline", "--offline")
    assert offline.returncode == 5, "all trials are done, tracking is not"
    assert shown("status", "small", "--home", home)["trials"]["complete"] == 3
    assert "secret" not in offline.stdout + offline.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere: run the tests as an ordinary user")
def test_a_home_that_cannot_be_written_is_refused(small_spec: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o500)
    refused = sweeps("run", small_spec, "--home", home)
    assert refused.returncode == 7
    assert "cannot be written" in refused.stderr


def test_a_home_below_a_file_is_refused(small_spec: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = sweeps("run", small_spec, "--home", tmp_path / "file" / "home")
    assert refused.returncode == 7
    assert "cannot be written" in refused.stderr
    assert "--home" in refused.stderr
