"""The conductor: hands out what is left of a plan, takes in rows and ends, and keeps ledger and histories.

It knows no executor: Ray Tune and the in-process one call the same methods (`next`, `row`, `ended`), always
from the driver's thread.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from sweeps.budget import account_of, is_charged
from sweeps.cells import CONFIRM, Cell
from sweeps.entries import Entry, entry_of, next_attempt
from sweeps.history import (
    RESULT,
    History,
    folder_fault,
    is_finite,
    read_result,
    score,
    whole_result,
    write_result,
)
from sweeps.home import Home, Lease
from sweeps.keeping import forget_checkpoints, stored_trial
from sweeps.ledger import Ledger
from sweeps.live import DIVERGED, Assignment, Live, Watcher, config_of
from sweeps.plan import Plan, PlannedTrial
from sweeps.results import asked_for, asks_so_far
from sweeps.retrying import set_aside, to_retry
from sweeps.rungs import standing
from trackers.masking import without_secrets

STOPPED = "stopped"  # Attribute: why a trial must end that may not have ended yet.
TAKEN_OUT = "interrupted, and since taken out of the specification"


class Conductor:
    """One run of a sweep.

    Args:
        fresh: Train every trial that is complete in this home once more, in a folder of its own, after what
            is left.
        seconds: How long earlier drivers of the sweep ran.
        retry: Run what failed again, too.

    Attributes:
        states: How many trials have ended, by their state.
    """

    def __init__(
        self, plan: Plan, ledger: Ledger, home: Home, watchers: tuple[Watcher, ...] = (), fresh: bool = False,
        seconds: float = 0.0, retry: bool = False,
    ) -> None:  # fmt: skip
        self.plan, self.ledger, self.home, self.watchers = plan, ledger, home, watchers
        self.live: dict[str, Live] = {}
        self.leases: dict[str, Lease] = {}
        self.stopping = False
        self.blocked: str | None = None
        self.trained: list[Live] = []
        self.stopped_early = 0
        ledger.close_unfinished_asks()
        rows = [row for row in ledger.rows() if "key" in row.attrs]
        self.states = Counter(row.state for row in asked_for(plan, rows) if row.state != "running")
        self.account = account_of(plan, rows, home, seconds)
        cells = {cell.name: cell for cell in plan.cells}
        self.interrupted: deque[tuple[Entry, Cell]] = deque()
        for row in rows:
            if row.state == "running":
                entry, cell = entry_of(row), cells.get(row.study.split("/")[1])
                if cell is None or not self._is_planned(entry, cell):
                    self.states["failed"] += 1
                    ledger.fail(entry, TAKEN_OUT)
                else:
                    self.interrupted.append((entry, cell))
        started = {row.attrs["key"] for row in rows}
        self.points = deque(point for point in plan.points if point.key not in started)
        self.confirmations = deque(point for point in plan.confirmations if point.key not in started)
        self.closed = False
        self.searches = {search.study: search for search in plan.searches}
        asked = asks_so_far(rows)
        self.asks = {study: search.asks - asked[study] for study, search in self.searches.items()}
        self.retries = deque(to_retry(plan, cells, rows, home) if retry else ())
        self.repeats: deque[tuple[Entry, Cell]] = deque()
        self.fresh = fresh
        if fresh:
            done = [entry_of(row) for row in rows if row.state == "complete" and not row.attrs.get("fresh")]
            self.repeats.extend(
                (entry, cells[name]) for entry in done if (name := entry.study.split("/")[1]) in cells
            )

    def _is_planned(self, entry: Entry, cell: Cell) -> bool:
        if entry.kind == "ask":
            planned = any(search.study == entry.study for search in self.plan.searches)
        else:
            planned = any(point.key == entry.key for point in self.plan.listed)
        return planned and config_of(entry, cell).key() == entry.key

    def extend(self, plan: Plan) -> None:
        """Go on with a plan that has this one's trials and more confirmations."""
        known = {point.key for point in self.plan.confirmations}
        self.confirmations.extend(point for point in plan.confirmations if point.key not in known)
        self.plan = plan

    @property
    def exhausted(self) -> bool:
        """Nothing is left to hand out, now or later."""
        search = bool(self.points or self._open_asks()) and not self.closed and self.refusal() is None
        begun = self.interrupted or self.retries or self.repeats or self.live
        left = search or self.confirmations or begun
        return self.stopping or not left

    def refusal(self) -> str | None:
        """Why the budget lets no trial start now, in words; ``None``: it does."""
        whole = max((cell.base.recipe.epochs for cell in self.plan.cells), default=0)
        begun = sum(1 for entry, _ in self.interrupted if is_charged(entry.kind, entry.fresh))
        pending = whole * begun + sum(
            live.config.recipe.epochs - len(live.history.rows)
            for live in self.live.values()
            if is_charged(live.entry.kind, live.entry.fresh)
        )
        return self.account.refusal(pending, whole)

    @property
    def ended_by(self) -> str | None:
        """Which limit of the budget ended the search, in words; ``None``: nothing was left out for it."""
        waiting = [study for study, count in self.asks.items() if count > 0]
        refused = self.refusal() if self.points or self._open_asks() else None
        return refused or self.account.impatience(waiting)

    def _open_asks(self) -> list[str]:
        """Studies that may still ask."""
        return [study for study, count in self.asks.items() if count > 0 and self.account.is_patient(study)]

    @property
    def waiting(self) -> int:
        """Trials that have not been started."""
        listed = len(self.points) + len(self.confirmations) + len(self.retries) + len(self.repeats)
        return listed + sum(max(0, count) for count in self.asks.values())

    def next(self) -> Assignment | None:
        """The next trial to execute; ``None`` when there is none now: see `exhausted`."""
        if self.stopping:
            return None
        for entry, cell in self._rotate(self.interrupted):
            assignment = self._go_on(entry, cell)
            if assignment is not None:
                return assignment
        for entry, cell in self._rotate(self.retries):
            assignment = self._next_retry(entry, cell)
            if assignment is not None:
                return assignment
        for point in self._rotate(self.confirmations):
            assignment = self._next_point(point, self.confirmations)
            if assignment is not None:
                return assignment
        return self._next_searched() or self._next_repeat()

    def _next_searched(self) -> Assignment | None:
        """A trial that the search has not begun, as far as the budget goes."""
        if self.closed or self.refusal() is not None:
            return None
        for point in self._rotate(self.points):
            assignment = self._next_point(point, self.points)
            if assignment is not None:
                return assignment
        return self._next_ask()

    def _next_repeat(self) -> Assignment | None:
        """A trial that is complete, beside itself."""
        if not self.repeats:
            return None
        entry, cell = self.repeats.popleft()
        folders = (number for number in range(1, 1000) if not self.home.trial(entry.key, number).exists())
        again = (entry.study, cell, entry.loss, entry.params, entry.seed)
        kind = CONFIRM if entry.kind == CONFIRM else "point"  # A repeated ask is no ask.
        return self._execute(self._start(*again, kind, next(folders)), cell)

    @staticmethod
    def _rotate(waiting: deque[Any]) -> Iterator[Any]:
        """Every waiting item once, each taken out; who cannot use one puts it back at the end."""
        for _ in range(len(waiting)):
            yield waiting.popleft()

    def _go_on(self, entry: Entry, cell: Cell) -> Assignment | None:
        """An interrupted trial; ``None`` if it has to wait, or has ended."""
        lease = None if entry.fresh else self._lease(entry.key)
        if lease is None and not entry.fresh:
            self.interrupted.append((entry, cell))
            return None
        folder = self.home.trial(entry.key, entry.fresh)
        result = None if entry.fresh else whole_result(folder)
        # Its driver died between the decision and the end.
        if STOPPED in entry.attrs and folder_fault(folder, "pruned") is None:
            self._execute(entry, cell, lease)
            self.live[entry.ref].pruned = entry.attrs[STOPPED]
            self.ended(entry.ref)
            return None
        if lease is not None and result is not None and result["sweep"] != self.plan.name:
            self._release(entry.key)  # Another sweep has trained it since.
            self._reuse(entry, cell)
            return None
        return self._execute(entry, cell, lease)

    def _next_point(self, point: PlannedTrial, queue: deque[PlannedTrial]) -> Assignment | None:
        config = point.config
        lease = self._lease(point.key)
        if lease is None:  # Another sweep trains this very trial: its result will serve.
            queue.append(point)
            return None
        with_lease = (point.study, point.cell, config.loss, config.params, config.seed, point.kind)
        if whole_result(self.home.trial(point.key)) is not None:
            self._release(point.key)
            self._reuse(self._start(*with_lease), point.cell)
            return None
        self.account.trials += is_charged(point.kind, 0)
        return self._execute(self._start(*with_lease), point.cell, lease)

    def _next_retry(self, entry: Entry, cell: Cell) -> Assignment | None:
        """A trial that failed or is damaged, as a new one of the same key; its run in MLflow is the same."""
        lease = self._lease(entry.key)
        if lease is None:
            self.retries.append((entry, cell))
            return None
        again = (entry.study, cell, entry.loss, entry.params, entry.seed, entry.kind)
        started = self._start(*again, first=entry.first)
        ended = "pruned" if STOPPED in entry.attrs else "failed" if "reason" in entry.attrs else "complete"
        self.states[ended] -= 1
        if ended != "failed":
            set_aside(self.home.trial(entry.key))
        if whole_result(self.home.trial(entry.key)) is not None:  # Another sweep has trained it since.
            self._release(entry.key)
            self._reuse(started, cell)
            return None
        return self._execute(started, cell, lease)

    def _lease(self, key: str) -> Lease | None:
        lease = self.home.lease(key)
        if lease is not None:
            self.leases[key] = lease
        return lease

    def _release(self, key: str) -> None:
        lease = self.leases.pop(key, None)
        if lease is not None:
            lease.release()

    def release(self) -> None:
        """Give back every key, also those that an error has left: the process may go on to another sweep."""
        for key in list(self.leases):
            self._release(key)

    def _start(
        self, study: str, cell: Cell, loss: str, params: Mapping[str, float], seed: int, kind: str,
        fresh: int = 0, first: int | None = None,
    ) -> Entry:  # fmt: skip
        key = cell.config(loss, params, seed, kind).key()
        ranges = self.plan.ranges(study, params)
        return self.ledger.start(study, key, loss, params, ranges, seed, kind, fresh, first)

    def _next_ask(self) -> Assignment | None:
        """An ask of the study that has had the smallest part of its own."""
        open_asks = self._open_asks()
        if not open_asks:
            return None
        study = max(open_asks, key=lambda name: self.asks[name] / self.searches[name].asks)
        search = self.searches[study]
        self.asks[study] -= 1
        params = {**search.undrawn, **self.ledger.ask(study, search.ranges, search.seed)}
        key = search.cell.config(search.loss, params, search.trial_seed).key()
        entry = self.ledger.start(study, key, search.loss, params, search.ranges, search.trial_seed, "ask")
        if whole_result(self.home.trial(entry.key)) is not None:
            self._reuse(entry, search.cell)
            return self.next()
        self.account.trials += 1
        assignment = self._execute(entry, search.cell)
        if assignment is None:
            self.interrupted.append((entry, search.cell))
        return assignment

    def _execute(self, entry: Entry, cell: Cell, lease: Lease | None = None) -> Assignment | None:
        """Make a started trial live; ``None`` while another sweep trains its key."""
        if not entry.fresh and lease is None:
            lease = self._lease(entry.key)
            if lease is None:
                return None
        config = config_of(entry, cell)
        folder = self.home.trial(entry.key, entry.fresh)
        if (folder / RESULT).exists() and whole_result(folder) is None:
            set_aside(folder)
        live = Live(entry, cell, config, History(folder), lease, time.monotonic())
        self.live[entry.ref] = live
        for watcher in self.watchers:
            watcher.started(live)
        if (line := live.history.damage) is not None:
            told = "is damaged; what it had from there on comes from the checkpoint, or is trained again"
            self.warn(entry.ref, f"{live.history.path}:{line}: {told}")
        return Assignment(entry.ref, config, folder, stored_trial(self.home, folder))

    def _reuse(self, entry: Entry, cell: Cell) -> None:
        """A trial that another sweep of this home has trained stands in this one too."""
        folder = self.home.trial(entry.key)
        result = read_result(folder) or {}
        config = config_of(entry, cell)
        live = Live(entry, cell, config, History(folder), None, time.monotonic())
        self.ledger.note(entry, origin=result["sweep"])
        for row in live.history.rows:
            self._compare(live, row["epoch"])
        self._complete(live, result["sweep"])
        if self.fresh:
            self.repeats.append((entry, cell))

    def row(self, ref: str, row: Mapping[str, Any]) -> bool:
        """Take in a row; whether the trial must stop now."""
        live = self.live[ref]
        added = live.history.add(row)
        live.epoch = row["epoch"]  # Only now: what found no room on the disk is not there.
        if added:
            self.account.epochs += is_charged(live.entry.kind, live.entry.fresh)
            for watcher in self.watchers:
                watcher.row(live, row)
        if not is_finite(row):
            live.stopped = DIVERGED
        elif self._compare(live, row["epoch"]) and live.history.rows[-1]["epoch"] == row["epoch"]:
            live.pruned = f"stopped early: at epoch {row['epoch']} it was not among the best of its study"
            self.ledger.note(live.entry, **{STOPPED: live.pruned})
        return live.stopped is not None or live.pruned is not None or self.stopping

    def warn(self, ref: str, text: str) -> None:
        """What a trial warns of stands in the ledger, and is told."""
        live = self.live[ref]
        self.ledger.note(live.entry, warning=text)
        for watcher in self.watchers:
            watcher.warned(live, text)

    def block(self, why: str) -> None:
        """Nothing can be written any more: the sweep ends in order, and goes on when that is mended."""
        self.blocked, self.stopping = self.blocked or why, True

    def _compare(self, live: Live, epoch: int) -> bool:
        """At a rung, put a trial beside the others of its study; whether it must stop."""
        search, entry = self.searches.get(live.entry.study), live.entry
        if search is None or epoch not in search.rungs.epochs or entry.fresh:
            return False
        milestones = live.config.recipe.milestones
        value = standing(live.history.rows, epoch, self.plan.spec.select, milestones)
        if value is None:
            return False
        return self.ledger.report(entry, epoch, value) and (entry.kind == "ask" or search.rungs.points)

    def ended(self, ref: str, error: str | None = None, retry: bool = True) -> None:
        """A trial is no longer executed: done, stopped, interrupted, or with an error."""
        live = self.live.pop(ref)
        error = error and without_secrets(error)  # It may quote whatever the code of a user had at hand.
        done = live.epoch == live.config.recipe.epochs  # Now: the history of a retry was there before it.
        if live.stopped is not None:
            self._fail(live, live.stopped)
        elif live.pruned is not None:
            self._prune(live, live.pruned)
        elif done and error is None:
            self._complete(live, None)
        elif error is None or self.stopping:
            self._watch_end(live, "interrupted", None)
            if not self.stopping:
                self.interrupted.append((live.entry, live.cell))
        elif (
            retry
            and live.entry.attempt < self.plan.spec.resources.attempts
            and error != live.entry.attrs.get("error")
        ):
            entry = next_attempt(live.entry)
            self.ledger.note(entry, attempt=entry.attempt, error=error)
            self._watch_end(live, "interrupted", error)
            self.interrupted.append((replace(entry, attrs={**entry.attrs, "error": error}), live.cell))
        else:
            self._fail(live, error)
        if live.lease is not None:
            self._release(live.entry.key)

    def _complete(self, live: Live, origin: str | None) -> None:
        select, rows = self.plan.spec.select, live.history.rows
        value = score(rows, select.metric, select.split, select.epoch, live.config.recipe.milestones)
        if value is None:
            self._fail(live, f"its rows lack {select.split} {select.metric}")
            return
        if not all(map(is_finite, rows)):  # Of an earlier try that was run again: rows stay as they were.
            self._fail(live, DIVERGED)
            return
        if origin is None:
            write_result(live.history.path.parent, live.entry.key, live.config, rows, self.plan.name)
        self.ledger.complete(live.entry, value)
        if origin is None:
            self._forget_checkpoints(live)
            self.trained.append(live)
        if not live.entry.fresh:
            self.states["complete"] += 1
        self._settle(live, value)
        self._watch_end(live, "complete", None, origin)

    def _prune(self, live: Live, reason: str) -> None:
        self.ledger.prune(live.entry, reason)
        self.states["pruned"] += 1
        self.stopped_early += 1
        self._settle(live, None)
        self._forget_checkpoints(live)
        self._watch_end(live, "pruned", reason)

    def _fail(self, live: Live, reason: str) -> None:
        self.ledger.fail(live.entry, reason)
        if not live.entry.fresh:
            self.states["failed"] += 1
        self._settle(live, None)
        self._forget_checkpoints(live)
        self._watch_end(live, "failed", reason)

    def _settle(self, live: Live, value: float | None) -> None:
        entry = live.entry
        if is_charged(entry.kind, entry.fresh):
            self.account.ended(entry.study, entry.number, entry.kind, value)

    def _watch_end(self, live: Live, state: str, reason: str | None, origin: str | None = None) -> None:
        for watcher in self.watchers:
            watcher.ended(live, state, reason, origin)

    def _forget_checkpoints(self, live: Live) -> None:
        forget_checkpoints(self.home, live.history.path.parent)
