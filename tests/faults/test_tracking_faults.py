"""MLflow's server killed, gone, slow, broken or refusing: no trial waits for it, and `sync` mends it all."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from faulty import write_spec
from forked import answer, ended, run_inline
from inspecting import assert_whole, ledger, runs
from served import Fault, ForkedServer, Proxy


@dataclass(frozen=True)
class Impatient:
    """Lets a driver give up on tracking sooner than people want it to."""

    answer: float
    end: float

    def __call__(self) -> None:
        os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = f"{self.answer:g}"
        import sweeps.drive
        import sweeps.syncing

        sweeps.drive.TRACKING_PATIENCE_SECONDS = self.end
        sweeps.syncing.TRACKING_PATIENCE_SECONDS = self.end


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, empty: Path) -> Iterator[ForkedServer]:
    running = ForkedServer(tmp_path_factory.mktemp("server"))
    shutil.copy(empty / "mlflow.db", running.database)
    try:
        running.start()
        yield running
    finally:
        running.kill()


@pytest.fixture
def proxy(server: ForkedServer) -> Iterator[Proxy]:
    standing = Proxy(server)
    yield standing
    standing.close()


@dataclass
class Swept:
    """A sweep behind a proxy, in a home of its own and under a name of its own."""

    folder: Path
    home: Path
    database: Path
    proxy: Proxy
    patience: Impatient

    def __post_init__(self) -> None:
        self.name, self.log = f"faulty-{self.proxy.uri.rpartition(':')[2]}", self.folder / "log.txt"

    def run(self, epochs: int = 100) -> int:
        spec = write_spec(
            self.folder, which=(1, 2), epochs=epochs, more=f'tracking: {{uri: "{self.proxy.uri}"}}'
        )
        at = ("--name", self.name)
        return ended(run_inline(self.log, spec, self.home, *at, before=self.patience), 300)

    def sync(self, code: int) -> Any:
        """What a synchronisation says."""
        patience = Impatient(answer=20, end=60) if code == 0 else self.patience
        at = ("sync", self.name, "--home", self.home)
        return answer(self.folder, *at, code=code, before=patience)

    def assert_trained(self) -> None:
        """Every trial came to its end, and no epoch waited for the server."""
        assert [row.state for row in ledger(self.home, self.name)] == ["complete"] * 3, self.log.read_text()
        rows = [
            json.loads(line)
            for path in (self.home / "trials").glob("*/history.jsonl")
            for line in path.read_text().splitlines()
        ]
        times = sorted(row["timestamp"] / 1000 for row in rows)
        assert self.proxy.began < times[-1], "the fault was to come while it trains"
        took = math.fsum(row["metrics"]["seconds"] for row in rows)
        assert times[-1] - times[0] < 2 * took + 1, "it trained all the time"

    def assert_whole(self) -> None:
        """Nothing is lost, nothing doubled."""
        assert len(assert_whole(self.home, self.name, self.database)) == 4
        print(f"{self.proxy.met} requests met a fault, 0 trials lost, 0 doubled")


@pytest.fixture
def swept(tmp_path: Path, home: Path, server: ForkedServer, proxy: Proxy, long: bool) -> Swept:
    patience = Impatient(answer=20, end=60) if long else Impatient(answer=4, end=1)
    return Swept(tmp_path, home, server.database, proxy, patience)


def test_a_server_that_is_killed_and_fails_in_every_way_has_everything_once_in_the_end(
    swept: Swept, long: bool
) -> None:
    swept.patience = Impatient(answer=swept.patience.answer, end=120)
    ways = [Fault(do, times=2, seconds=0.3) for do in ("cut", "deafen", "slow", "break")]
    swept.proxy.faults = [Fault("kill", times=1, seconds=10 if long else 0.5), *ways]
    assert swept.run(epochs=400 if long else 100) == 0, swept.log.read_text()
    swept.assert_trained()
    assert swept.proxy.met == 9
    swept.assert_whole()


@pytest.mark.parametrize(
    "do", ["deafen", *(pytest.param(do, marks=pytest.mark.fuller) for do in ("cut", "slow", "break"))]
)
def test_while_a_server_does_not_come_back_all_is_trained_and_sync_writes_the_rest(
    swept: Swept, do: str, long: bool
) -> None:
    swept.proxy.faults = [Fault(do, after=6, seconds=30 if long else 5)]
    assert swept.run() == 5, swept.log.read_text()
    assert f"sweeps sync {swept.name}" in swept.log.read_text()
    swept.assert_trained()
    assert swept.sync(code=7) is None
    swept.proxy.mend()
    said = swept.sync(code=0)
    assert (said["left"], said["problem"]) == ([], None)
    assert said["seen"]
    swept.assert_whole()


def test_a_value_that_is_refused_is_told_and_all_else_is_written(swept: Swept) -> None:
    swept.patience = Impatient(answer=20, end=60)
    swept.proxy.faults = [Fault("refuse", after=0, only=b'"val/accuracy"')]
    assert swept.run() == 5, swept.log.read_text()
    assert "this value is not taken" in swept.log.read_text()
    swept.assert_trained()
    found = runs(swept.database, swept.name)
    assert {run["status"] for run in found.values()} == {"FINISHED"}
    assert "this value is not taken" in swept.sync(code=5)["problem"]
    swept.proxy.mend()
    assert swept.sync(code=0)["problem"] is None
    swept.assert_whole()
