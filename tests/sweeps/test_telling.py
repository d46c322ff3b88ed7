"""A log of JSON lines, and notifications, of a real sweep."""

from __future__ import annotations

import errno
import http.server
import json
import signal
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from simulated_training import DriverDied, Simulated, conductor_of, planned

from sweeps import notifying
from sweeps.cli import main, running
from sweeps.errors import EnvironmentProblem
from sweeps.home import Home
from sweeps.library import Silent
from sweeps.state import read_state
from sweeps.telling import Telling

SECRET = "T0KEN-in-the-address"


class Receiver(http.server.BaseHTTPRequestHandler):
    """Takes messages; answers what its server says."""

    def do_POST(self) -> None:
        server: Any = self.server
        server.messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(server.codes.pop(0) if server.codes else 200)
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        """Nothing."""


@pytest.fixture
def room() -> Iterator[Any]:
    """A real server on the loopback that people could be told by."""
    server: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.messages, server.codes = [], []
    server.address = f"http://127.0.0.1:{server.server_address[1]}/{SECRET}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["sweeps", *map(str, arguments), "--executor", "inline"])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_a_sweep_is_logged_and_notified_and_its_runs_say_what_they_used(
    small_spec: Path, tmp_path: Path, room: Any, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv(notifying.VARIABLE, room.address)
    assert run(monkeypatch, "run", small_spec, "--home", home, "--log", "json", "--json") == 0
    shown = capfd.readouterr()

    lines = [json.loads(line) for line in (home / "sweeps/small/log.jsonl").read_text().splitlines()]
    assert {line["sweep"] for line in lines} == {"small"}
    assert all("time" in line and "level" in line for line in lines)
    assert [line["event"] for line in lines] == [
        "sweep started", *["trial started", "trial ended"] * 3, "sweep ended"
    ]  # fmt: skip
    ended = [line for line in lines if line["event"] == "trial ended"]
    assert {line["state"] for line in ended} == {"complete"}
    assert {(home / "trials" / line["trial"]).is_dir() for line in ended} == {True}
    assert lines[-1]["trials"] == {"complete": 3}
    told = [json.loads(line) for line in shown.err.splitlines()]
    assert [line["event"] for line in told].count("trial ended") == 3, "the same on standard error"

    assert room.messages[-1]["event"] == "ended"
    assert room.messages[-1]["text"] == "small is done: 3 complete"
    assert room.messages[-1]["exit_code"] == 0
    scores = [message["score"] for message in room.messages[:-1]]
    assert scores == sorted(set(scores)), "each best is better than the one before"
    assert {message["event"] for message in room.messages[:-1]} == {"best"}
    (best,) = json.loads(shown.out)
    assert scores[-1] == max(scores) >= best["mean"]
    whole = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert SECRET.encode() not in whole
    assert SECRET not in shown.err + shown.out + json.dumps(room.messages)
    assert str(tmp_path) not in json.dumps(room.messages)

    with closing(sqlite3.connect(home / "mlflow.db")) as database:
        steps = database.execute(
            "SELECT count(*) FROM metrics WHERE key = 'system/cpu_utilization_percentage'"
        ).fetchone()
    assert steps == (6,), "three trials of two epochs"
    environments = list(home.glob("artifacts/**/environment.json"))
    assert len(environments) == 3
    assert json.loads(environments[0].read_text())["versions"]["torch"]

    room.messages.clear()
    assert run(monkeypatch, "run", small_spec, "--home", home) == 0
    assert [message["event"] for message in room.messages] == ["ended"], "no best is new"


def test_a_sweep_of_which_nothing_succeeds_is_told_as_failed_to_an_address_from_a_file(
    small_spec: Path, tmp_path: Path, home: Path, room: Any, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    (tmp_path / "address").write_text(f"{room.address}\n")
    monkeypatch.setenv("SWEEPS_NOTIFY_FILE", str(tmp_path / "address"))
    small_spec.write_text(small_spec.read_text().replace("epochs: 2", "epochs: 2, learning_rate: 1.0e+30"))
    assert run(monkeypatch, "run", small_spec, "--home", home) == 4
    (told,) = room.messages
    assert told == {
        "event": "failed", "sweep": "small", "text": "small has failed: 3 failed", "state": "failed",
        "exit_code": 4, "trials": {"failed": 3},
    }  # fmt: skip
    assert SECRET not in "".join(capfd.readouterr())

    monkeypatch.setenv("SWEEPS_NOTIFY_FILE", str(tmp_path / "none"))
    assert run(monkeypatch, "run", small_spec, "--home", tmp_path / "other") == 2
    assert "SWEEPS_NOTIFY_FILE" in capfd.readouterr().err
    assert not (tmp_path / "other" / "sweeps").exists(), "before anything is written"


class Breaking(Silent):
    """Raises something just before the report."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def note(self, text: str) -> None:
        if text != "writing the report":
            return
        if isinstance(self.error, SystemExit):
            signal.raise_signal(signal.SIGTERM)  # Which `main` turns into that.
        raise self.error


def parent_run(home: Path) -> str:
    """How MLflow says that the sweep's own run has ended."""
    with closing(sqlite3.connect(home / "mlflow.db")) as database:
        query = "SELECT status FROM runs WHERE run_uuid NOT IN (SELECT run_uuid FROM tags WHERE key = ?)"
        ((status,),) = database.execute(query, ("mlflow.parentRunId",)).fetchall()
        return str(status)


def test_the_exit_code_that_is_told_is_that_of_the_process_whatever_ends_it(
    small_spec: Path, home: Path, room: Any, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    monkeypatch.setenv(notifying.VARIABLE, room.address)
    errors = {
        OSError(errno.ENOSPC, "No space left on device", str(home / "x")): (7, "interrupted"),
        EnvironmentProblem(f"the store at {home} is away"): (7, "failed"),
        RuntimeError(f"nobody foresaw this, at {room.address}"): (1, "failed"),
        SystemExit(143): (143, "interrupted"),
        KeyboardInterrupt(): (130, "interrupted"),
    }
    for error, (code, state) in errors.items():
        display = Breaking(error)
        monkeypatch.setattr(running, "display_of", lambda *given, display=display: display)
        room.messages.clear()
        assert run(monkeypatch, "run", small_spec, "--home", home) == code
        told = room.messages[-1]
        assert (told["exit_code"], told["state"]) == (code, state), error
        assert told["event"] == ("failed" if state == "failed" else "ended")
        assert str(home) not in json.dumps(told), "no path of this machine"
        assert ("see its log" in told["text"]) == (code in (1, 7))
        last = json.loads((home / "sweeps/small/log.jsonl").read_text().splitlines()[-1])
        assert (last["event"], last["exit_code"], last["state"]) == ("sweep ended", code, state)
        if isinstance(error, Exception):
            assert str(error.args[-1])[:20] in last["reason"], "what it was"
            assert last["level"] == "ERROR"
        assert read_state(Home(home), "small").state == state
        assert parent_run(home) == {"failed": "FAILED", "interrupted": "KILLED"}[state], error
    log = (home / "sweeps/small/log.jsonl").read_text()
    assert SECRET not in log + capfd.readouterr().err, "also where an error quotes it"


class Starting(Silent):
    """Raises something when a trial has begun."""

    def started(self, live: Any) -> None:
        raise RuntimeError("nobody foresaw this")


def test_what_nobody_foresaw_leaves_no_run_that_seems_to_go_on(
    small_spec: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "display_of", lambda *given: Starting())
    assert run(monkeypatch, "run", small_spec, "--home", home) == 1
    with closing(sqlite3.connect(home / "mlflow.db")) as database:
        statuses = sorted(status for (status,) in database.execute("SELECT status FROM runs"))
    assert statuses == ["FAILED", "KILLED"], "that of the sweep, and that of its trial"
    monkeypatch.undo()
    assert run(monkeypatch, "run", small_spec, "--home", home) == 0
    with closing(sqlite3.connect(home / "mlflow.db")) as database:
        assert [each for each in database.execute("SELECT status FROM runs")] == [("FINISHED",)] * 4


def test_a_call_that_fails_is_told_without_the_address_and_changes_nothing(
    small_spec: Path, tmp_path: Path, room: Any, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    room.codes = [500] * 100
    assert run(monkeypatch, "run", small_spec, "--home", tmp_path / "home", "--notify", room.address) == 0
    shown = capfd.readouterr()
    assert "the notification 'ended' failed: HTTP 500" in shown.err
    assert SECRET not in shown.err + shown.out


def test_one_that_is_busy_is_called_again(room: Any) -> None:
    room.codes = [503, 429]
    assert notifying.call(room.address, {"event": "ended"}) is None
    assert len(room.messages) == 3


def test_a_command_reads_the_message_and_what_goes_wrong_has_words(tmp_path: Path) -> None:
    file = tmp_path / "message with a space.json"
    script = "import sys; open(sys.argv[1], 'w').write(sys.stdin.read())"
    command = f'"{sys.executable}" -c "{script}" "{file}"'
    assert notifying.call(command, {"event": "ended", "text": "fertig – 100 %"}) is None
    assert json.loads(file.read_text()) == {"event": "ended", "text": "fertig – 100 %"}
    assert notifying.call(f'"{sys.executable}" -c "exit(3)"', {}) == "the command ended with 3"
    assert notifying.call("/no/such/command", {}) == "FileNotFoundError"
    assert notifying.call(f"http://127.0.0.1:1/{SECRET}", {}) == "ConnectionError"


def test_another_kind_of_log_is_refused(
    small_spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "run", small_spec, "--home", tmp_path / "home", "--log", "xml") == 2
    assert "--log: 'xml' is not one of text, json" in capsys.readouterr().err
    assert not (tmp_path / "home").exists()


ONE = """
name: one
data: {source: "npz:stripes.npz", imbalance: 4}
validation: {unused: 5}
depth: 8
losses: [cross_entropy]
recipe: {preset: digits, epochs: 2, batch_size: 16, precision: float32}
"""


def test_a_trial_that_was_interrupted_is_counted_once_at_the_end(home: Path, stripes: Path) -> None:
    place = Home(home)
    plan = planned(place, ONE, stripes.parent)
    place.sweep("one").mkdir(parents=True)
    first = conductor_of(place, plan)
    with pytest.raises(DriverDied):
        Simulated(lambda config, epoch: 0.5, rows=1).run(first)
    first.ledger.close()
    second = conductor_of(place, plan)
    with closing(second.ledger), Telling(place, plan, second.ledger, None, print) as telling:
        telling.states = second.states
        Simulated(lambda config, epoch: 0.5).run(second)
        telling.finish("done", 0, None)
    last = json.loads((place.sweep("one") / "log.jsonl").read_text().splitlines()[-1])
    assert (last["event"], last["trials"]) == ("sweep ended", {"complete": 1})
