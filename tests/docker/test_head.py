"""docker/head.py: what is told to end ends the sweeps on this machine first, in order, and then Ray."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from compose_file import DOCKER

from sweeps.home import Home
from sweeps.state import read_state

RAY = """
import pathlib, signal, sys, time

def end(*_):
    pathlib.Path(sys.argv[1]).write_text("told")
    sys.exit(5)

signal.signal(signal.SIGTERM, end)
pathlib.Path(sys.argv[2]).touch()
time.sleep(120)
"""


@pytest.mark.fuller
def test_a_driver_ends_in_order_before_what_it_runs_on_is_told(
    small_spec: Path, home: Path, tmp_path: Path
) -> None:
    small_spec.write_text(small_spec.read_text().replace("epochs: 2", "epochs: 3000"))
    told, up = tmp_path / "told", tmp_path / "up"
    environment = {**os.environ, "SWEEPS_HOME": str(home)}
    drive = [sys.executable, "-m", "sweeps", "run", str(small_spec), "--executor", "inline"]
    head = [sys.executable, str(DOCKER / "head.py"), sys.executable, "-c", RAY, str(told), str(up)]
    with (
        subprocess.Popen(drive, env=environment, stderr=subprocess.DEVNULL) as driver,
        subprocess.Popen(head, env=environment, start_new_session=True) as running,
    ):
        try:
            deadline = time.monotonic() + 60
            while not (up.exists() and list((home / "trials").glob("*/history.jsonl"))):
                assert driver.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
            begin = time.monotonic()
            running.send_signal(signal.SIGTERM)
            while not told.exists():
                assert time.monotonic() - begin < 30
                time.sleep(0.01)
            assert read_state(Home(home), "small").state == "interrupted"
            assert not Home(home).is_driven("small"), "before the other is told"
            assert driver.wait(20) == 143
            assert running.wait(20) == 5, "the status of what it ran"
        finally:
            driver.kill()
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGKILL)


def test_what_ends_by_itself_gives_its_status() -> None:
    assert subprocess.run([sys.executable, str(DOCKER / "head.py"), "sh", "-c", "exit 3"]).returncode == 3
