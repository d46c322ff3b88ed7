"""A cluster that grows and shrinks while a sweep runs on it: the sweep uses what comes, and loses nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from faulty import fault, write_spec
from forked import ended, start, until
from inspecting import assert_whole, histories, ledger
from standing import StandingRay, standing_ray

pytestmark = pytest.mark.fuller  # A Ray that stands by itself.

WAITING = (1, 2, 3, 4, 5)  # Losses that wait after an epoch, until the test has seen enough.
EPOCHS = 4
SECONDS = 180.0


@pytest.fixture
def head(tmp_path: Path) -> Iterator[StandingRay]:
    """A Ray whose only node trains nothing."""
    with standing_ray(tmp_path, cpus=0) as ray:
        yield ray


def training(home: Path) -> dict[str, int]:
    """Attempt of every trial that runs and has come to an epoch in it, by key."""
    rows = {row.attrs["key"]: row for row in ledger(home, "faulty") if row.state == "running"}
    return {key: row.attrs["attempt"] for key, row in rows.items() if epochs(home, key)}


def epochs(home: Path, key: str) -> int:
    history = home / "trials" / key / "history.jsonl"
    return history.read_bytes().count(b"\n") if history.exists() else 0


def test_a_sweep_takes_the_nodes_that_join_and_goes_on_without_those_that_leave(
    tmp_path: Path, home: Path, head: StandingRay
) -> None:
    spec, log = write_spec(tmp_path, WAITING, EPOCHS, "resources: {gpus: 0}"), tmp_path / "log.txt"
    for which in WAITING:
        fault(tmp_path, which, "wait", epoch=1)
    first = head.add(cpus=1)
    driver = start(log, "run", spec, "--home", home, before=head.joining)
    most = 0

    def so_many(wanted: int) -> bool:
        nonlocal most
        now = len(training(home))
        most = max(most, now)
        return now >= wanted

    until(lambda: so_many(1), driver, log, SECONDS)
    joined = head.add(cpus=2)
    assert most == 1, "there is room for no other"
    until(lambda: so_many(3), driver, log, SECONDS)
    assert len(head.workers(first)) == 1
    assert len(head.workers(joined)) == 2, "what came is used"
    before = training(home)
    head.kill(joined)
    for waiting in tmp_path.glob("fault-*.json"):
        waiting.unlink()
    assert ended(driver, SECONDS) == 0, log.read_text()
    assert_whole(home, "faulty")
    rows = ledger(home, "faulty")
    assert [row.state for row in rows] == ["complete"] * (1 + len(WAITING))
    found = histories(home)
    numbers = [found[row.attrs["key"]] for row in rows if row.attrs["params"]]
    assert numbers == numbers[:1] * len(WAITING), "the same loss by five names: the same to the last bit"
    again = {row.attrs["key"] for row in rows if row.attrs["attempt"] > 1}
    assert len(again) == 2, "those of the node that went"
    assert again < set(before)
    print(f"1 at a time, then {most}, then {len(again)} trials elsewhere: 0 lost, 0 doubled")
