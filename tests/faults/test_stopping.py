"""A sweep is ended in order from another terminal and by signals, at once by two; it can go on afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from commands import sweeps
from faulty import fault, write_spec
from forked import ended, run_inline, start, until
from inspecting import assert_whole, histories

from sweeps.files import write_json
from sweeps.heartbeat import this_host
from sweeps.home import Home
from sweeps.snapshot import read_ledger
from sweeps.state import read_state


@pytest.fixture
def running(small_spec: Path, home: Path, log: Path) -> BaseProcess:
    """A driver with a row of its first trial, and work for minutes."""
    small_spec.write_text(small_spec.read_text().replace("epochs: 2", "epochs: 3000"))
    driver = run_inline(log, small_spec, home)
    until(lambda: bool(list((home / "trials").glob("*/history.jsonl"))), driver, log)
    return driver


def pid(driver: BaseProcess) -> int:
    assert driver.pid is not None
    return driver.pid


def ended_in_order(home: Path) -> bool:
    place = Home(home)
    states = [row.state for row in read_ledger(place.optuna_url, "small")]
    holds = place.holder("small").exists() or place.is_driven("small")
    return states == ["running"] and read_state(place, "small").state == "interrupted" and not holds


def test_a_stop_from_another_terminal_is_waited_for(
    home: Path, log: Path, running: BaseProcess, tmp_path: Path
) -> None:
    said = tmp_path / "said.txt"
    assert ended(start(said, "stop", "small", "--home", home)) == 0
    assert f"process {running.pid}" in said.read_text()
    assert "sweep small has stopped: it is interrupted" in said.read_text()
    assert ended(running, 20) == 143
    assert "stopping; what is running goes on next time" in log.read_text()
    assert ended_in_order(home)
    assert not (home / "sweeps" / "small" / "stop.json").exists()


def test_all_that_are_driven_on_this_machine_are_stopped_and_others_left_alone(
    home: Path, running: BaseProcess, tmp_path: Path
) -> None:
    elsewhere = {"host": "there", "boot": "another", "process": 1, "started": 1.0}
    write_json(home / "locks" / "remote.json", elsewhere)
    write_json(home / "locks" / "left.json", {**this_host(), "process": 1, "started": 1.0})
    begin, said = time.monotonic(), tmp_path / "said.txt"
    assert ended(start(said, "stop", "--all", "--home", home)) == 0
    assert time.monotonic() - begin < 15, "it does not listen for those on other machines"
    assert f"asked the driver of small to stop: being driven by process {running.pid}" in said.read_text()
    assert "sweep small has stopped" in said.read_text()
    assert ended(running, 20) == 143
    assert ended_in_order(home)
    assert sorted(home.rglob("stop.json")) == []
    again = tmp_path / "again.txt"
    assert ended(start(again, "stop", "--all", "--home", home)) == 0
    assert again.read_text() == "no sweep of this home is driven on this machine\n"


@pytest.mark.parametrize("arguments", [(), ("small", "--all")])
def test_a_stop_is_of_one_sweep_or_of_all(
    arguments: tuple[str, ...], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweeps("stop", *arguments, "--home", home) == 2
    assert "either the NAME of a sweep (see `sweeps list`), or --all" in capsys.readouterr().err


def test_what_does_not_run_is_not_stopped_and_an_old_request_stops_no_later_run(
    small_spec: Path, home: Path, log: Path, tmp_path: Path
) -> None:
    said = tmp_path / "said.txt"
    assert ended(start(said, "stop", "small", "--home", home)) == 2
    assert "no such sweep" in said.read_text()
    write_json(home / "sweeps" / "small" / "stop.json", {"host": "there", "process": 1, "started": 1.0})
    assert ended(run_inline(log, small_spec, home)) == 0, log.read_text()
    assert ended(start(said, "stop", "small", "--home", home)) == 0
    assert "sweep small does not run: it is done" in said.read_text()


def test_a_driver_that_hangs_is_named_and_the_request_stands(
    home: Path, running: BaseProcess, tmp_path: Path
) -> None:
    said = tmp_path / "said.txt"
    os.kill(pid(running), signal.SIGSTOP)
    try:
        for which in ("small", "--all"):
            assert ended(start(said, "stop", which, "--home", home, "--wait", "0.5")) == 6
            assert f"is still being driven by process {running.pid}" in said.read_text()
            said.unlink()
    finally:
        os.kill(pid(running), signal.SIGCONT)
    assert ended(running, 20) == 143
    assert ended_in_order(home)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_sweep_in_order(
    number: signal.Signals, code: int, home: Path, running: BaseProcess
) -> None:
    os.kill(pid(running), number)
    assert ended(running, 20) == code
    assert ended_in_order(home)


def test_a_second_signal_ends_the_process_at_once(home: Path, log: Path, running: BaseProcess) -> None:
    os.kill(pid(running), signal.SIGINT)
    until(lambda: "stopping" in log.read_text(), running, log)
    os.kill(pid(running), signal.SIGINT)
    assert ended(running, 20) in (130, -signal.SIGINT), "unless it was quicker in order"
    assert read_state(Home(home), "small").state == "interrupted"


@pytest.mark.parametrize(
    ("number", "do"),
    [
        (signal.SIGINT, "hang"),
        (signal.SIGTERM, "hang"),
        (None, "hang"),
        (signal.SIGINT, "deaf"),
        pytest.param(signal.SIGTERM, "deaf", marks=pytest.mark.fuller),
        pytest.param(signal.SIGINT, "careless", marks=pytest.mark.fuller),
        pytest.param(None, "careless", marks=pytest.mark.fuller),
    ],
)
def test_an_epoch_that_would_take_minutes_is_cut_short_and_trained_again(
    number: signal.Signals | None, do: str, tmp_path: Path, home: Path, log: Path
) -> None:
    spec = write_spec(tmp_path)
    fault(tmp_path, 1, do, times=1)
    driver = run_inline(log, spec, home)
    until(lambda: json.loads((tmp_path / "fault-1.json").read_text())["times"] == 0, driver, log)
    begin = time.monotonic()
    if number is None:
        assert ended(start(tmp_path / "said.txt", "stop", "faulty", "--home", home)) == 0
    else:
        os.kill(pid(driver), number)
    assert ended(driver, 30) == (130 if number == signal.SIGINT else 143)
    assert time.monotonic() - begin < 15
    assert any(
        line.startswith("go on") and line.endswith(f"sweeps run {spec} --home {home}")
        for line in log.read_text().splitlines()
    ), "it says what goes on"
    assert ended(run_inline(log, spec, home)) == 0, log.read_text()
    assert_whole(home, "faulty")
    assert sorted(len(rows) for rows in histories(home).values()) == [4, 4]


def test_two_signals_end_it_at_once_and_lose_nothing(tmp_path: Path, home: Path, log: Path) -> None:
    spec = write_spec(tmp_path)
    fault(tmp_path, 1, "hang", times=1)
    driver = run_inline(log, spec, home)
    until(lambda: json.loads((tmp_path / "fault-1.json").read_text())["times"] == 0, driver, log)
    begin = time.monotonic()
    os.kill(pid(driver), signal.SIGTERM)
    until(lambda: "stopping" in log.read_text(), driver, log)
    os.kill(pid(driver), signal.SIGTERM)
    assert ended(driver, 30) in (143, -signal.SIGTERM), "unless it was quicker in order"
    assert time.monotonic() - begin < 15
    assert ended(run_inline(log, spec, home)) == 0, log.read_text()
    assert_whole(home, "faulty")
    assert sorted(len(rows) for rows in histories(home).values()) == [4, 4]


BESIDE_TUNE = """
import signal, time
from types import SimpleNamespace

import sweeps.executors.ray_tune
from ray.tune.tune import _setup_signal_catching
from sweeps.stopping import WAKE, stopping_in_order

executor = SimpleNamespace(interrupt=lambda: signal.raise_signal(WAKE))
with stopping_in_order(SimpleNamespace(stopping=False), executor, print, lambda: False):
    _setup_signal_catching()
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.mark.fuller
def test_a_second_signal_ends_the_process_at_once_also_where_tune_puts_the_handler_back() -> None:
    command = [sys.executable, "-u", "-c", BESIDE_TUNE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as driver:
        assert driver.stdout is not None
        for said in ("ready", "stopping"):
            assert driver.stdout.readline().startswith(said)
            driver.send_signal(signal.SIGINT)
        try:
            assert driver.wait(10) == -signal.SIGINT
        finally:
            driver.kill()
