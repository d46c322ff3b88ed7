"""Servers that are away, broken, asleep or killed: the driver never waits, nothing is lost or doubled."""

from __future__ import annotations

import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from mlflow_server import Server, free_port
from tracked_runs import WAIT, row, rows_in, runs_of, values, writing

from trackers.errors import TrackingUnavailable
from trackers.wanted import Artifact, Run
from trackers.writer import RunWriter


def test_an_upload_that_fails_is_tried_again_and_does_not_keep_the_run_open(
    local: str, sweep: str, tmp_path: Path
) -> None:
    blocked = tmp_path / "artifacts"
    blocked.write_text("a file where the folder should be")
    (tmp_path / "x.txt").write_text("x")
    with writing(local, sweep) as writer:
        writer.open(Run("t1", "one"))
        writer.close("t1", "FINISHED", artifacts=[Artifact(tmp_path / "x.txt")])
        assert not writer.flush(1.5)
        assert writer.incomplete == ["t1"]
        assert runs_of(local, sweep)["t1"].info.status == "FINISHED"
        blocked.unlink()
        assert writer.flush(WAIT)


def test_a_server_that_is_not_there_never_keeps_the_driver_waiting(sweep: str) -> None:
    writer = RunWriter(f"http://user:secret@127.0.0.1:{free_port()}", "nowhere", sweep)
    with pytest.raises(TrackingUnavailable) as failure:
        writer.check(10)
    assert f"http://***@127.0.0.1:{writer.uri.rpartition(':')[2]}" in str(failure.value)
    assert "does not answer: Connection refused; start it" in str(failure.value)
    assert "secret" not in str(failure.value)
    writer.start()
    started = time.perf_counter()
    for number in range(100):
        writer.open(Run(f"t{number}", "one"))
        writer.log(f"t{number}", row(1))
        writer.close(f"t{number}", "FINISHED")
        writer.drain()
    assert time.perf_counter() - started < 1.0
    assert not writer.flush(0.5)
    assert len(writer.incomplete) == 100
    assert writer.drain() == []
    assert "secret" not in str(writer.problems)
    assert "127.0.0.1" in writer.problems["t0"]
    writer.stop()


def test_a_server_that_hangs_is_reported_in_time(sweep: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            released.wait(20)

        do_POST = do_GET

    released = threading.Event()
    silent = ThreadingHTTPServer(("127.0.0.1", 0), Silent)
    threading.Thread(target=silent.serve_forever, daemon=True).start()
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "3")
    try:
        started = time.perf_counter()
        with pytest.raises(TrackingUnavailable, match="no answer within 1 s"):
            RunWriter(f"http://127.0.0.1:{silent.server_port}", "nowhere", sweep).check(1)
        assert time.perf_counter() - started < 3
    finally:
        released.set()
        silent.shutdown()
        silent.server_close()


def test_a_server_that_answers_500_is_asked_again(sweep: str) -> None:
    class Broken(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(500)
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    asked: list[str] = []
    broken = ThreadingHTTPServer(("127.0.0.1", 0), Broken)
    threading.Thread(target=broken.serve_forever, daemon=True).start()
    with writing(f"http://127.0.0.1:{broken.server_port}", sweep) as writer:
        writer.open(Run("t1", "one"))
        assert not writer.flush(1.5)
        assert writer.incomplete == ["t1"]
        assert "500" in writer.problems["t1"]
    broken.shutdown()
    broken.server_close()
    assert 2 <= len(asked) <= 10


def test_a_suspended_server_gets_everything_once_when_it_goes_on(
    server: Server, sweep: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with writing(server.uri, sweep) as writer:
        writer.open(Run("sweep", sweep, parent=True))
        writer.open(Run("t1", "one"))
        assert writer.flush(WAIT)
        server.signal(signal.SIGSTOP)
        try:
            writer.open(Run("t2", "created while the server slept"))
            for epoch in range(1, 31):
                writer.log("t1", row(epoch))
                writer.log("t2", row(epoch))
            writer.close("t2", "FINISHED")
            assert not writer.flush(3)
            assert set(writer.incomplete) == {"t1", "t2"}
        finally:
            server.signal(signal.SIGCONT)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
        assert writer.flush(WAIT)
    found = runs_of(server.uri, sweep)
    assert set(found) == {"sweep", "t1", "t2"}
    assert rows_in(server.database, found["t1"]) == 60
    assert rows_in(server.database, found["t2"]) == 60
    assert found["t2"].info.status == "FINISHED"


def test_a_killed_server_that_comes_back_misses_and_doubles_nothing(server: Server, sweep: str) -> None:
    with writing(server.uri, sweep) as writer:
        writer.open(Run("sweep", sweep, parent=True))
        for number in range(4):
            writer.open(Run(f"t{number}", str(number)))
        for epoch in range(1, 41):
            for number in range(4):
                writer.log(f"t{number}", row(epoch))
            if epoch == 20:
                server.kill()
            time.sleep(0.01)
        for number in range(4):
            writer.close(f"t{number}", "FINISHED")
        assert not writer.flush(0.5)
        server.start()
        assert writer.flush(WAIT)
    found = runs_of(server.uri, sweep)
    assert len(found) == 5
    for number in range(4):
        run = found[f"t{number}"]
        assert run.info.status == "FINISHED"
        assert rows_in(server.database, run) == 80
        assert [step for step, _, _ in values(server.uri, run, "train/loss")] == list(range(1, 41))


def test_a_writer_can_be_stopped_and_started(local: str, sweep: str) -> None:
    writer = RunWriter(local, "experiment", sweep)
    for epoch in (1, 2, 3):
        writer.start()
        writer.open(Run("t1", "one"))
        writer.log("t1", row(epoch))
        assert writer.flush(WAIT)
        writer.stop()
    assert len(values(local, runs_of(local, sweep)["t1"], "train/loss")) == 3
