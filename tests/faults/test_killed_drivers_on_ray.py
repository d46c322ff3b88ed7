"""Drivers that are killed on a Ray that stands by itself, and a node that is lost: all goes on as it was."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from faulty import fault, write_spec
from forked import ended, run_inline, start, until
from inspecting import assert_whole, histories, ledger
from standing import Environment, StandingRay, family, standing_ray, trainers

pytestmark = pytest.mark.fuller  # A Ray that stands by itself.

EPOCHS, SLOW = 30, (1, 2, 3)
ORPHANED_SECONDS = 20.0


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandingRay]:
    with standing_ray(tmp_path_factory.mktemp("ray"), cpus=2) as ray:
        yield ray


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, empty: Path) -> tuple[Path, Path]:
    """A specification of four trials of some seconds each, and a home in which nothing was killed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    shutil.copytree(empty, folder / "home")
    spec = write_spec(folder, SLOW, EPOCHS, "resources: {gpus: 0}")
    assert ended(run_inline(folder / "log.txt", spec, folder / "home")) == 0, (folder / "log.txt").read_text()
    for which in SLOW:
        fault(folder, which, "slow", epoch=0)
    return spec, folder / "home"


def epochs(home: Path) -> int:
    """How many rows there are."""
    return sum(path.read_bytes().count(b"\n") for path in (home / "trials").glob("*/history.jsonl"))


def gone(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those that are still alive after so long."""
    return psutil.wait_procs(processes, timeout=seconds)[1]


def test_kills_of_a_driver_on_a_standing_ray_change_nothing_and_leave_no_orphan(
    undisturbed: tuple[Path, Path], standing: StandingRay, home: Path, log: Path, long: bool
) -> None:
    spec, whole = undisturbed
    draw = random.Random(3)
    kills = 4 if long else 1
    for _ in range(kills):
        wanted = epochs(home) + draw.randrange(5, 20)
        driver = start(log, "run", spec, "--home", home, before=standing.joining)
        until(lambda wanted=wanted: epochs(home) >= wanted, driver, log, seconds=240)
        until(lambda: bool(standing.workers()), driver, log)
        orphans = standing.workers()
        assert driver.pid is not None
        os.kill(driver.pid, signal.SIGKILL)
        ended(driver)
        if draw.random() < 0.5:  # Otherwise the next driver comes while they still train.
            begin = time.monotonic()
            assert not gone(orphans, ORPHANED_SECONDS), "a worker without a driver trains on"
            print(f"{len(orphans)} workers ended {time.monotonic() - begin:.1f} s after their driver")
    assert ended(start(log, "run", spec, "--home", home, before=standing.joining), 400) == 0, log.read_text()
    assert not gone(orphans, ORPHANED_SECONDS), "a worker without a driver trains on"
    assert_whole(home, "faulty")
    assert histories(home) == histories(whole), "the same to the last bit"
    attempts = {row.attrs["attempt"] for row in ledger(home, "faulty")}
    assert attempts == {1}, "the death of a driver is no attempt"
    print(f"{kills} kills, 0 lost, 0 doubled")


def test_the_trials_of_a_node_that_is_lost_go_on_elsewhere_from_their_checkpoints(
    undisturbed: tuple[Path, Path], standing: StandingRay, home: Path, log: Path
) -> None:
    spec, whole = undisturbed
    node = standing.add(cpus=2)
    driver = start(log, "run", spec, "--home", home, before=standing.joining)
    until(lambda: bool(standing.workers(node)) and epochs(home) >= EPOCHS // 2, driver, log, seconds=240)
    time.sleep(1)
    lost = len(standing.workers(node))
    standing.kill(node)
    assert ended(driver, 400) == 0, log.read_text()
    found = assert_whole(home, "faulty")
    assert histories(home) == histories(whole), "the same to the last bit"
    attempts = [row.attrs["attempt"] for row in ledger(home, "faulty")]
    again = sorted(attempt for attempt in attempts if attempt > 1)  # 3: put there before Ray missed the node.
    assert 1 <= len(again) <= lost
    told = (int(run["tags"].get("sweep.attempt", 1)) for run in found.values())
    assert sorted(attempt for attempt in told if attempt > 1) == again
    print(f"a node with {lost} trials lost, 0 lost, 0 doubled")


@pytest.mark.long
def test_a_ray_of_its_own_ends_with_a_driver_that_is_killed(
    undisturbed: tuple[Path, Path], home: Path, log: Path
) -> None:
    spec, whole = undisturbed
    driver = start(log, "run", spec, "--home", home, before=Environment({"RAY_worker_niceness": "0"}))
    until(lambda: epochs(home) >= 5, driver, log, seconds=240)
    assert driver.pid is not None
    children, training = family(driver.pid), trainers(driver.pid)
    assert training
    os.kill(driver.pid, signal.SIGKILL)
    ended(driver)
    assert not gone(training, ORPHANED_SECONDS), "a worker without a driver trains on"
    assert not gone(children, 180), "a process of its Ray is left; its agents look for it now and then only"
    assert ended(run_inline(log, spec, home)) == 0, log.read_text()
    assert_whole(home, "faulty")
    assert histories(home) == histories(whole)
