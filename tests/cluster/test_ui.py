"""`sweeps ui` of a sweep whose runs are on a server elsewhere, and whose studies are on PostgreSQL."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from commands import sweeps
from mlflow_server import Server, free_port
from postgres import Postgres


@pytest.fixture
def tracking(tmp_path: Path) -> Iterator[Server]:
    (folder := tmp_path / "server").mkdir()
    server = Server(folder)
    server.start()
    yield server
    server.kill()


def got(url: str) -> Any:
    """What a page says, read as JSON where it is."""
    with urllib.request.urlopen(url, timeout=60) as answer:
        assert answer.status == 200
        text = answer.read().decode()
    return json.loads(text) if "json" in answer.headers["Content-Type"] else text


def said(process: subprocess.Popen[str], text: str, log: Path) -> str:
    """What a command has said once a text is among it."""
    deadline = time.monotonic() + 90
    while text not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
    return log.read_text()


def test_runs_are_shown_where_they_are_and_studies_from_postgresql(
    small_spec: Path, tmp_path: Path, tracking: Server, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWEEPS_LEDGER_URL", postgres.new_database("shown"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking.uri)
    home, log = tmp_path / "home", tmp_path / "said.txt"
    assert sweeps("run", small_spec, "--home", home, "--executor", "inline") == 0
    monkeypatch.delenv("SWEEPS_LEDGER_URL")  # The home remembers both, but no password.
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.setenv("PGPASSWORD", postgres.password)
    command = [sys.executable, "-m", "sweeps", "ui", "small", "--home", str(home), "--port", str(free_port())]
    with log.open("w") as out:
        ui = subprocess.Popen(command, stdout=out, stderr=out, text=True)
    try:
        shown = said(ui, "(Ctrl-C ends them)", log)
        family = [ui.pid, *(child.pid for child in psutil.Process(ui.pid).children(recursive=True))]
        seen = [" ".join(psutil.Process(number).cmdline()) for number in family]
        assert not any("mlflow" in each for each in seen), "the server is elsewhere"
        assert not any(postgres.password in each for each in (shown, *seen))
        runs = re.search(rf"runs of small: ({re.escape(tracking.uri)}/\S*experiments/(\d+)\S*)", shown)
        assert runs is not None, shown
        assert "<html" in got(runs[1])
        experiment = got(f"{tracking.uri}/api/2.0/mlflow/experiments/get?experiment_id={runs[2]}")
        assert experiment["experiment"]["name"] == "small"
        studies = re.search(r"studies: (http://127\.0\.0\.1:\d+)/dashboard", shown)
        assert studies is not None, shown
        assert "<html" in got(f"{studies[1]}/dashboard")
        found = got(f"{studies[1]}/api/studies")["study_summaries"]
        assert {each["study_name"].split("/")[0] for each in found} == {"small"}
        trials = [
            trial["state"]
            for each in found
            for trial in got(f"{studies[1]}/api/studies/{each['study_id']}")["trials"]
        ]
        assert trials == ["Complete"] * 3
    finally:
        ui.send_signal(signal.SIGINT)
        ui.wait(timeout=60)
    assert ui.returncode == 0
