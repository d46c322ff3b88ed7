"""A clock that is set back an hour, between the runs of a sweep and beside one: nothing depends on it."""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from faulty import write_spec
from forked import ended, run_inline, start, until
from inspecting import assert_whole
from killing import KillAtCall

from sweeps.home import Home
from sweeps.state import read_state

HOUR = 3600


@dataclass(frozen=True)
class ClockSetBack:
    """Sets the clock of a process back: `time.time` and `time.time_ns`, for all its libraries alike.

    What asks the system itself still gets the true time: SQLite, `datetime`, and the times of files.
    """

    seconds: int

    def __call__(self) -> None:
        plain, plain_ns, seconds = time.time, time.time_ns, self.seconds

        def set_back() -> float:
            return plain() - seconds

        def set_back_ns() -> int:
            return plain_ns() - seconds * 10**9

        for module in [time, *sys.modules.values()]:
            for name, value in list(vars(module).items()):
                if value is plain:
                    setattr(module, name, set_back)
                elif value is plain_ns:
                    setattr(module, name, set_back_ns)


@dataclass(frozen=True)
class KilledWhile:
    """A driver whose clock is so many seconds behind, killed in the middle of its ``count``-th epoch."""

    seconds: int
    count: int

    def __call__(self) -> None:
        ClockSetBack(self.seconds)()
        KillAtCall("add", self.count, after=True, of="sweeps.history:History")()


def test_a_sweep_goes_on_an_hour_later_and_two_hours_earlier(tmp_path: Path, home: Path, log: Path) -> None:
    spec = write_spec(tmp_path, which=(1, 2), epochs=60, more="budget: {hours: 0.9}")
    for before in (KilledWhile(HOUR, 30), KilledWhile(0, 90)):
        assert ended(run_inline(log, spec, home, before=before)) < 0, log.read_text()
    assert ended(run_inline(log, spec, home, before=ClockSetBack(2 * HOUR))) == 0, log.read_text()
    found = assert_whole(home, "faulty")
    state = read_state(Home(home), "faulty")
    assert (state.state, state.reason) == ("done", None), "an hour that was not trained counts for no budget"
    assert 0 < state.seconds < HOUR / 2
    rows = [
        [json.loads(line) for line in path.read_text().splitlines()]
        for path in (home / "trials").glob("*/history.jsonl")
    ]
    jumps = [late["timestamp"] - early["timestamp"] for each in rows for early, late in pairwise(each)]
    assert max(jumps) > 0.9 * HOUR * 1000, "within one trial the clock went forth"
    assert min(jumps) < -1.9 * HOUR * 1000, "and within another one back"
    with closing(sqlite3.connect(home / "mlflow.db")) as connected:
        for begin, end in connected.execute("SELECT start_time, end_time FROM runs"):
            assert begin <= end
        latest = dict(
            connected.execute("SELECT run_uuid, step FROM latest_metrics WHERE key = 'train/loss'").fetchall()
        )
    assert {latest[run["id"]] for ref, run in found.items() if ref != "sweep"} == {60}
    print("2 kills, 2 jumps of the clock, 0 lost, 0 doubled")


def test_locks_and_requests_do_not_look_at_the_clock(tmp_path: Path, home: Path, log: Path) -> None:
    spec, other, said = write_spec(tmp_path, epochs=3000), tmp_path / "other.txt", tmp_path / "said.txt"
    driver = run_inline(log, spec, home)
    until(lambda: bool(list((home / "trials").glob("*/history.jsonl"))), driver, log)
    assert ended(run_inline(other, spec, home, before=ClockSetBack(HOUR))) == 6
    assert f"process {driver.pid}" in other.read_text()
    assert ended(start(said, "stop", "faulty", "--home", home, before=ClockSetBack(HOUR))) == 0
    assert "sweep faulty has stopped: it is interrupted" in said.read_text()
    assert ended(driver) == 143
