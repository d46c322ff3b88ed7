"""Any sequence of starts, results, faults, kills and resumes keeps ledger, histories and MLflow together.

Ledger, conductor, tracker and their databases are real; what trains gives made-up rows, and keeps files as
checkpoints. A driver is killed by an exception at one of its writes, after which nothing of its memory is
used again.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
import sys
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from filelock import FileLock
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from inspecting import assert_whole, runs
from killing import RENAMES, is_writing
from small_data import write_stripes
from sqlalchemy import event

from sweeps.disk import MindingConductor
from sweeps.entries import entry_of
from sweeps.home import Home
from sweeps.ledger import Ledger
from sweeps.live import Assignment
from sweeps.plan import Plan, build_plan
from sweeps.results import objective, read_results
from sweeps.snapshot import LedgerRow, read_ledger
from sweeps.spec import load_text
from sweeps.tracking import Tracking
from trackers.compare import leaderboard

EPOCHS, SLOTS = 3, 2
STEPS = st.lists(st.tuples(st.integers(0, 1), st.booleans()), min_size=3, max_size=12)
"""Which of the workers has an epoch next, and whether it writes a checkpoint after it."""
SPEC = """
name: any
data: {{source: "npz:stripes.npz", imbalance: 4}}
validation: {{unused: 5}}
depth: 8
losses: [cross_entropy, {{loss: cefl, gamma: [1, 2]}}]
seeds: {seeds}
recipe: {{preset: digits, epochs: {epochs}, batch_size: 16, precision: float32}}
study: {{losses: cefl, gamma: [0, 5], asks: 2, grace: 1, reduction: 2, prune: all}}
"""
TALLY: Counter[str] = Counter()
"""What was tried, in all examples together."""


class Killed(BaseException):
    """The driver is no more."""


LEASES: list[FileLock] = []
"""What this process holds, also where whoever took it is gone."""


class Remembered(Home):
    """A home that remembers which leases it gave."""

    def lease(self, key: str) -> FileLock | None:
        lock = super().lease(key)
        if lock is not None:
            LEASES.append(lock)
        return lock


class Fuse:
    """Raises at the ``count``-th write of this thread from when it is lit: to a file, or to the ledger."""

    def __init__(self) -> None:
        self.left = 0
        self.error: Callable[[], BaseException] = Killed
        sys.addaudithook(self.on_file)

    def light(self, writes: int, error: Callable[[], BaseException]) -> None:
        self.left, self.error = writes, error

    def on_file(self, name: str, args: tuple[Any, ...]) -> None:
        if name in RENAMES or (name == "open" and is_writing(args)):
            self.burn()

    def burn(self, *_: Any) -> None:
        if self.left <= 0 or threading.current_thread() is not threading.main_thread():
            return
        self.left -= 1
        if self.left == 0:
            raise self.error()

    def watch(self, ledger: Ledger) -> None:
        """Burn at what it writes: before a statement that changes something, and before it is committed."""

        def on_statement(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
            if statement.lstrip().startswith(("INSERT", "UPDATE", "DELETE")):
                self.burn()

        event.listen(ledger.storage.engine, "before_cursor_execute", on_statement)
        event.listen(ledger.storage.engine, "commit", self.burn)


FUSE = Fuse()


def no_room() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def curve(key: str, epoch: int) -> float:
    """What training comes to: the same whenever it is done."""
    return int(hashlib.sha256(f"{key}/{epoch}".encode()).hexdigest()[:6], 16) / 16**6


STAMPS = count(1_764_000_000_000)


@dataclass
class Worker:
    """Trains nothing; goes on from its checkpoint, whose rows come again."""

    assignment: Assignment
    done: int = 0

    def row(self, saves: bool, value: float | None = None) -> dict[str, Any]:
        """The next epoch; ``saves``: with a checkpoint, which is written before the row is told."""
        self.done += 1
        folder = self.assignment.folder
        saved = [path for path in sorted(folder.glob("checkpoint-*.pt")) if path.stat().st_size]
        rows: list[dict[str, Any]] = json.loads(saved[-1].read_text()) if saved else []
        if self.done <= len(rows):
            return rows[self.done - 1]
        worth = curve(self.assignment.config.key(), self.done) if value is None else value
        metrics = {"train/loss": 1.0, "val/balanced_accuracy": worth, "test/balanced_accuracy": worth}
        row = {"epoch": self.done, "timestamp": next(STAMPS), "metrics": {**metrics, "seconds": 1.0}}
        if saves and len(rows) == self.done - 1:
            path = folder / f"checkpoint-{self.done:06d}-{'0' * 64}.pt"
            path.write_text(json.dumps([*rows, row]))
        return row


class Driver:
    """What a driver has in memory, once it is open."""

    ledger: Ledger
    tracking: Tracking
    conductor: MindingConductor

    def __init__(self) -> None:
        self.workers: list[Worker] = []

    def open(self, plan: Plan, home: Home, retry: bool = False) -> Driver:
        self.ledger = Ledger(home, plan.name, {each.study: each.rungs for each in plan.searches})
        FUSE.watch(self.ledger)
        self.tracking = Tracking(plan, home, self.ledger)
        self.conductor = MindingConductor(plan, self.ledger, home, (self.tracking,), retry=retry)
        self.tracking.start()
        return self

    def die(self) -> None:
        """Write nothing more; the system gives back what it held."""
        if hasattr(self, "tracking"):
            self.tracking.writer.stop()
        self.close()

    def close(self) -> None:
        """What the end of a process does by itself."""
        while LEASES:
            LEASES.pop().release(force=True)
        if hasattr(self, "ledger"):
            self.ledger.close()


class Sweep(RuleBasedStateMachine):
    """One sweep of one home, whose driver is there or not; what stands in files and databases only grows."""

    home: Home
    numbers = count()

    def __init__(self) -> None:
        super().__init__()
        self.driver: Driver | None = None
        self.texts: dict[Path, bytes] = {}
        self.ended: dict[int, LedgerRow] = {}
        self.retries = 0

    @initialize()
    def begin(self) -> None:
        number = next(self.numbers)  # Keys of its own, in the databases of all.
        text = SPEC.format(seeds=[2 * number, 2 * number + 1], epochs=EPOCHS)
        self.plan = build_plan(
            load_text(text, "any.yaml", self.home.root.parent), self.home.data, f"any{number}"
        )
        self.home.sweep(self.plan.name).mkdir(parents=True)
        TALLY["sweeps"] += 1

    # what happens

    @contextmanager
    def surviving(self) -> Any:
        """Have a driver that is killed be gone."""
        try:
            yield
        except Killed:
            TALLY["kills at a write"] += 1
            self.kill()
        finally:
            FUSE.left = 0
        if self.driver is not None and self.driver.conductor.blocked is not None:
            TALLY["full disks"] += 1
            self.stop()

    def living(self) -> Driver:
        """The driver that is there, or a new one: whatever is drawn can be done.

        When a kill strikes hangs on the tracker's thread too, and what can be drawn must not.
        """
        if self.driver is None:
            TALLY["starts"] += 1
            self.driver = Driver().open(self.plan, self.home)
        return self.driver

    def kill(self) -> None:
        if self.driver is not None:
            self.driver.die()
        self.driver = None

    @rule(retry=st.booleans(), writes=st.sampled_from([0, 0, 1, 3, 7, 15]))
    def start(self, retry: bool, writes: int) -> None:
        """Start a driver, which may be killed at one of its first writes; one that is there dies first."""
        self.kill()
        self.retries += retry
        TALLY["starts"] += 1
        driver = Driver()
        FUSE.light(writes, Killed)
        try:
            self.driver = driver.open(self.plan, self.home, retry)
        except Killed:
            TALLY["kills at a start"] += 1
            driver.die()
        finally:
            FUSE.left = 0

    @rule(steps=STEPS)
    def work(self, steps: list[tuple[int, bool]]) -> None:
        self.living()
        with self.surviving():
            self.take(steps)

    @rule(steps=STEPS, writes=st.sampled_from([1, 2, 3, 5, 8, 13, 21, 34]), full=st.booleans())
    def break_at_a_write(self, steps: list[tuple[int, bool]], writes: int, full: bool) -> None:
        """Work, until the driver is killed or its disk is full."""
        self.living()
        FUSE.light(writes, no_room if full else Killed)
        with self.surviving():
            while FUSE.left and self.take(steps):
                pass

    def take(self, steps: list[tuple[int, bool]]) -> bool:
        """At every step hand out what has a slot, and train an epoch; whether there is more to do."""
        assert self.driver is not None
        conductor, workers = self.driver.conductor, self.driver.workers
        for which, saves in steps:
            while len(workers) < SLOTS and (assignment := conductor.next()) is not None:
                keys = {each.assignment.config.key() for each in workers}
                assert assignment.config.key() not in keys, "no key is trained by two at once"
                workers.append(Worker(assignment))
            if not workers or conductor.blocked:
                return False
            self.epoch(which, saves)
        return True

    def epoch(self, which: int, saves: bool, value: float | None = None) -> None:
        assert self.driver is not None
        worker = self.driver.workers[which % len(self.driver.workers)]
        ref = worker.assignment.ref
        if self.driver.conductor.row(ref, worker.row(saves, value)) or worker.done == EPOCHS:
            self.driver.workers.remove(worker)
            self.driver.conductor.ended(ref)

    @rule(which=st.integers(0, 2), error=st.sampled_from("abc"), again=st.booleans())
    def fail(self, which: int, error: str, again: bool) -> None:
        driver = self.living()
        if not driver.workers:
            return
        TALLY["errors"] += 1
        with self.surviving():
            worker = driver.workers.pop(which % len(driver.workers))
            driver.conductor.ended(worker.assignment.ref, f"error {error}", again)

    @rule(which=st.integers(0, 2), saves=st.booleans())
    def diverge(self, which: int, saves: bool) -> None:
        if not self.living().workers:
            return
        TALLY["diverged"] += 1
        with self.surviving():
            self.epoch(which, saves, math.nan)

    @rule()
    def be_killed(self) -> None:
        TALLY["kills between writes"] += 1
        self.living()
        self.kill()

    @rule()
    def stop(self) -> None:
        """In order; then MLflow says what ledger and histories say."""
        driver = self.living()
        driver.conductor.stopping = True
        for worker in driver.workers:
            driver.conductor.ended(worker.assignment.ref)
        for ref in list(driver.conductor.live):
            driver.conductor.ended(ref)
        assert driver.tracking.finish("interrupted", [], 60), driver.tracking.problem
        driver.close()
        self.driver = None
        if driver.conductor.blocked is None:  # Else the next start tells what could not be written.
            self.compare_with_mlflow()

    # what must hold

    def rows(self) -> list[LedgerRow]:
        return read_ledger(self.home.optuna_url, self.plan.name)

    def history(self, row: LedgerRow) -> tuple[Path, bytes]:
        """The file of a trial's history, which is made with its first epoch, and its whole lines."""
        path = self.home.trial(row.attrs["key"]) / "history.jsonl"
        text = path.read_bytes() if path.exists() else b""
        return path, text[: text.rfind(b"\n") + 1]

    @invariant()
    def ledger_holds(self) -> None:
        if not hasattr(self, "plan"):
            return
        rows = self.rows()
        complete = Counter(row.attrs["key"] for row in rows if row.state == "complete")
        assert set(complete.values()) <= {1}, "a key is complete twice"
        assert all("key" in row.attrs for row in rows)
        for row in rows:
            assert row.attrs["attempt"] <= self.plan.spec.resources.attempts
            before = self.ended.get(row.trial_id)
            assert before in (None, row), "what has ended does not change"
            if row.state != "running":
                self.ended[row.trial_id] = row
            if row.state == "complete":
                folder = self.home.trial(row.attrs["key"])
                assert row.value == curve(row.attrs["key"], EPOCHS)
                assert json.loads((folder / "result.json").read_text())["epochs"] == EPOCHS
        assert self.ended.keys() <= {row.trial_id for row in rows}, "nothing is forgotten"
        tries = Counter(row.attrs["key"] for row in rows)
        assert max(tries.values(), default=0) <= 1 + self.retries, "no key is started twice by itself"
        asked = {row.attrs["key"] for row in rows if row.attrs["kind"] == "ask"}
        assert len(asked) <= sum(search.asks for search in self.plan.searches)

    @invariant()
    def histories_only_grow(self) -> None:
        if not hasattr(self, "plan"):
            return
        for row in self.rows():
            path, whole = self.history(row)
            assert whole.startswith(self.texts.get(path, b"")), "a row is never written again"
            self.texts[path] = whole
            epochs = [json.loads(line)["epoch"] for line in whole.splitlines()]
            assert epochs == list(range(1, len(epochs) + 1)), "no epoch is missing or there twice"
            if row.state == "complete":
                assert len(epochs) == EPOCHS

    def compare_with_mlflow(self) -> None:
        """Every trial has one run, of its state, with its epochs; what is ranked is complete."""
        statuses = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED", "running": "KILLED"}
        shown = runs(self.home.root / "mlflow.db", self.plan.name)
        last = {entry_of(row).run_ref: row for row in self.rows()}
        assert shown.keys() == {*last, "sweep"}
        for ref, row in last.items():
            epochs = self.history(row)[1].count(b"\n")
            assert shown[ref]["status"] == statuses[row.state], ref
            assert shown[ref]["steps"] == list(range(1, epochs + 1)), ref
            assert shown[ref]["tags"]["sweep.key"] == row.attrs["key"]
        ranked = leaderboard(read_results(self.home, self.plan), objective(self.plan))
        complete = Counter(row.attrs["loss"] for row in self.rows() if row.state == "complete")
        assert sum(len(each.scores) for each in ranked) == complete.total()

    def teardown(self) -> None:
        """With no more faults it comes to its end, and nothing is lost or there twice."""
        if not hasattr(self, "plan"):
            return
        self.kill()
        driver = Driver().open(self.plan, self.home)
        while (assignment := driver.conductor.next()) is not None:
            worker = Worker(assignment)
            while not driver.conductor.row(assignment.ref, worker.row(True)) and worker.done < EPOCHS:
                pass
            driver.conductor.ended(assignment.ref)
        assert driver.conductor.exhausted
        assert driver.tracking.finish("done", [], 60), driver.tracking.problem
        driver.close()
        self.ledger_holds()
        self.histories_only_grow()
        self.compare_with_mlflow()
        assert_whole(self.home.root, self.plan.name)
        rows = self.rows()
        keys = {row.attrs["key"] for row in rows}
        assert {point.key for point in self.plan.points} <= keys, "none is lost"
        asked = {row.attrs["key"] for row in rows if row.attrs["kind"] == "ask"}
        assert len(asked) == sum(search.asks for search in self.plan.searches)
        TALLY.update({"trials": len(keys), **Counter(f"trials {row.state}" for row in rows)})
        note(f"{len(rows)} started")


def test_an_epoch_that_found_no_room_is_missing_also_when_there_is_room_again(
    tmp_path: Path, empty: Path
) -> None:
    home = Remembered(shutil.copytree(empty, tmp_path / "home"))
    write_stripes(tmp_path / "stripes.npz")
    text = SPEC.format(seeds=[0], epochs=EPOCHS)
    plan = build_plan(load_text(text, "any.yaml", tmp_path), home.data, "any")
    home.sweep(plan.name).mkdir(parents=True)
    driver = Driver().open(plan, home)
    assignment = driver.conductor.next()
    assert assignment is not None
    worker = Worker(assignment)
    for _ in range(EPOCHS - 1):
        assert not driver.conductor.row(assignment.ref, worker.row(True))
    row = worker.row(True)
    FUSE.light(1, no_room)
    assert driver.conductor.row(assignment.ref, row), "it stops"
    assert FUSE.left == 0
    driver.conductor.ended(assignment.ref)
    driver.die()
    assert [row.state for row in read_ledger(home.optuna_url, plan.name)] == ["running"], "it goes on"
    assert not (assignment.folder / "result.json").exists()


def test_any_sequence_of_faults_loses_nothing_and_doubles_nothing(
    tmp_path: Path, empty: Path, long: bool
) -> None:
    shutil.copytree(empty, tmp_path / "home")
    write_stripes(tmp_path / "stripes.npz")
    Sweep.home = Remembered(tmp_path / "home")
    TALLY.clear()
    run_state_machine_as_test(
        Sweep,
        settings=settings(
            derandomize=True, database=None, deadline=None, max_examples=60 if long else 4,
            stateful_step_count=30 if long else 14, phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck), print_blob=False,
        ),
    )  # fmt: skip
    assert TALLY["kills at a write"] + TALLY["kills between writes"]
    print(f"{dict(TALLY)}, 0 lost, 0 doubled")
