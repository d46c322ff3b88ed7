"""Several drivers in one home at once: one of each name, and no trial is trained by two of them."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from threading import Barrier

import pytest
from faulty import write_spec
from forked import context, ended, run_inline, start, until
from inspecting import assert_whole, ledger
from repeating import repeating

from sweeps.files import read_json, write_json
from sweeps.home import Home

ELSEWHERE = {"host": "far", "boot": "0" * 8, "process": os.getpid(), "started": 4e9}
"""A driver on another host, whose process has the number of a living one here, and whose clock is wrong."""


@dataclass(frozen=True)
class Listens:
    """Lets a driver beat faster, and listen for so many seconds to others."""

    seconds: float

    def __call__(self) -> None:
        import sweeps.heartbeat

        sweeps.heartbeat.BEAT_SECONDS, sweeps.heartbeat.LISTEN_SECONDS = 0.05, self.seconds


@dataclass(frozen=True)
class Waits:
    """Lets a driver wait until another one is as far."""

    gate: Barrier

    def __call__(self) -> None:
        self.gate.wait(60)


@contextmanager
def living_elsewhere(home: Path, name: str) -> Iterator[None]:
    """What a driver on another host does to a home whose locks are not seen from there."""
    beat, numbers = Home(home).beat(name), count(1)
    with repeating(lambda: beat.write_text(f"{next(numbers)}\n"), every=0.05):
        yield


def trained(home: Path, *names: str) -> Counter[str]:
    """How often each key was trained in the sweeps of these names."""
    rows = [row for name in names for row in ledger(home, name)]
    return Counter(row.attrs["key"] for row in rows if "origin" not in row.attrs)


def test_of_two_drivers_of_one_name_one_runs_and_the_other_says_which(
    tmp_path: Path, home: Path, log: Path, long: bool
) -> None:
    for number in range(6 if long else 1):
        spec = write_spec(tmp_path, epochs=200 + number)
        name, logs = f"twice{number}", [log.with_name(f"log{number}-{each}.txt") for each in (0, 1)]
        gate = context().Barrier(2)
        drivers = [run_inline(each, spec, home, "--name", name, before=Waits(gate)) for each in logs]
        codes = [ended(driver) for driver in drivers]
        assert sorted(codes) == [0, 6], [each.read_text() for each in logs]
        winner, loser = codes.index(0), codes.index(6)
        said = logs[loser].read_text()
        assert f"sweep {name} is being driven by process {drivers[winner].pid} on " in said
        assert f"sweeps stop {name}" in said
        assert_whole(home, name)
        assert set(trained(home, name).values()) == {1}


def test_what_a_killed_driver_left_behind_is_taken_over_at_once(
    tmp_path: Path, home: Path, log: Path
) -> None:
    spec = write_spec(tmp_path, epochs=100)
    driver = run_inline(log, spec, home)
    until(lambda: bool(list((home / "trials").glob("*/history.jsonl"))), driver, log)
    assert driver.pid is not None
    os.kill(driver.pid, signal.SIGKILL)
    ended(driver)
    assert read_json(Home(home).holder("faulty"))["process"] == driver.pid, "it is left behind"
    assert ended(run_inline(log, spec, home)) == 0, log.read_text()
    assert "listening" not in log.read_text()
    assert_whole(home, "faulty")
    assert not list((home / "locks").glob("*.json")) + list((home / "locks").glob("*.beat"))


def test_what_a_dead_driver_of_another_host_left_is_taken_over_when_nothing_is_heard_of_it(
    tmp_path: Path, home: Path, log: Path, long: bool
) -> None:
    spec = write_spec(tmp_path)
    write_json(Home(home).holder("faulty"), ELSEWHERE)
    Home(home).beat("faulty").write_text("17\n")
    assert ended(run_inline(log, spec, home, before=Listens(20 if long else 0.3))) == 0, log.read_text()
    assert f"being driven by process {os.getpid()} on far since" in log.read_text()
    assert "nothing is heard from far: going on here" in log.read_text()
    assert_whole(home, "faulty")


def test_a_driver_that_lives_on_another_host_is_heard_and_nothing_is_touched(
    tmp_path: Path, home: Path, log: Path
) -> None:
    spec, place, said = write_spec(tmp_path), Home(home), tmp_path / "said.txt"
    write_json(place.holder("faulty"), ELSEWHERE)
    with living_elsewhere(home, "faulty"):
        assert ended(run_inline(log, spec, home, before=Listens(20))) == 6
        assert ended(start(said, "gc", "--yes", "--home", home, before=Listens(20))) == 6, said.read_text()
    assert f"sweep faulty is being driven by process {os.getpid()} on far since" in log.read_text()
    assert "end it there" in log.read_text()
    assert read_json(place.holder("faulty")) == ELSEWHERE
    assert not ledger(home, "faulty")


def test_a_driver_that_was_asleep_and_taken_over_ends_in_order(tmp_path: Path, home: Path, log: Path) -> None:
    spec, place = write_spec(tmp_path, epochs=3000), Home(home)
    driver = run_inline(log, spec, home)
    until(lambda: bool(list((home / "trials").glob("*/history.jsonl"))), driver, log)
    write_json(place.holder("faulty"), ELSEWHERE)  # As a driver there does.
    assert ended(driver, 30) == 143, log.read_text()
    assert read_json(place.holder("faulty")) == ELSEWHERE, "what is another's stays"


@pytest.mark.fuller
def test_four_first_starts_in_one_empty_home_train_what_they_share_once(tmp_path: Path, long: bool) -> None:
    for number in range(4 if long else 1):
        folder = tmp_path / str(number)
        folder.mkdir()
        spec, home, names = write_spec(folder, which=(1, 2), epochs=20), folder / "home", "abcd"
        logs = [folder / f"{name}.txt" for name in names]
        drivers = [run_inline(log, spec, home, "--name", name) for log, name in zip(logs, names, strict=True)]
        assert [ended(driver) for driver in drivers] == [0] * 4, [log.read_text() for log in logs]
        assert set(trained(home, *names).values()) == {1}
        for name in names:
            assert_whole(home, name)
        print(f"4 first starts of {len(trained(home, *names))} shared trials, 0 lost, 0 trained twice")


@pytest.mark.fuller
def test_a_sweep_takes_over_the_trial_that_another_was_killed_in(
    tmp_path: Path, home: Path, log: Path, long: bool
) -> None:
    other = tmp_path / "other.txt"
    for number in range(3 if long else 1):
        spec = write_spec(tmp_path, which=(1, 2), epochs=150 + number)
        names = (f"one{number}", f"two{number}")
        killed = run_inline(log, spec, home, "--name", names[0])
        waits = run_inline(other, spec, home, "--name", names[1])
        until(lambda name=names[0]: bool(ledger(home, name)), killed, log)  # type: ignore[misc]
        assert killed.pid is not None
        os.kill(killed.pid, signal.SIGKILL)
        ended(killed)
        assert ended(waits) == 0, other.read_text()
        assert ended(run_inline(log, spec, home, "--name", names[0])) == 0, log.read_text()
        for name in names:
            assert_whole(home, name)
        assert {len(set(row.attrs["key"] for row in ledger(home, name))) for name in names} == {3}
        complete = trained(home, *names)
        print(f"1 kill, 0 lost, {sum(complete.values()) - len(complete)} trained twice")
        assert set(complete.values()) == {1}
