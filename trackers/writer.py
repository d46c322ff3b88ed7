"""The MLflow writer: the driver says what every run should be, and one thread makes it so.

No call of the driver waits for the server. While the server is away, what is missing stays in memory, merged;
when it is back, it is written in as few calls as MLflow allows. Short epochs are merged too, so that writing
takes no more than a small share of a processor from the training. What is still missing when the process ends
can be written by another writer from the same rows: nothing is doubled.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from trackers import connection
from trackers.entry import Entry
from trackers.errors import TrackingError
from trackers.table import Row
from trackers.wanted import ENDED, Artifact, Run, Wanted

if TYPE_CHECKING:
    from trackers.runs import Held, Runs

NOT_YET = "not written yet"
FIRST_WAIT = 0.25
LONGEST_WAIT = 15.0
"""Seconds between attempts while the server is away; each wait is twice the one before."""

SHARE = 0.01
LONGEST_REST = 2.0
"""After a call that took a processor c seconds, a running run rests for c / `SHARE`, at most 2 s."""


@dataclass(frozen=True)
class Tracked:
    """News of one run; ``complete``: it has ended and MLflow holds all of it; ``problem``: why not."""

    ref: str
    run_id: str
    complete: bool
    problem: str | None = None


class RunWriter:
    """Writes the runs of one sweep.

    Args:
        uri: MLflow server or database, see `connection.resolved`. A fresh database needs `initialise`
            under a lock if other processes may open it at the same time.
        experiment: Name of the experiment, created if it is not there, restored if it was deleted.
        sweep: Name of the sweep, the tag ``sweep.name`` of all its runs.
        artifact_root: Where a new experiment keeps its artifacts: a folder or an address. By default
            ``artifacts`` beside a local database, and the server's choice otherwise.
        experiment_tags: Tags that the experiment shall carry.
        prepare: Called by the writer's thread before it connects; what it raises is an outage.

    Raises:
        TrackingError: If ``uri`` is no address of a server or database.
    """

    def __init__(
        self, uri: str | Path, experiment: str, sweep: str, artifact_root: str | Path | None = None,
        experiment_tags: Mapping[str, str] | None = None, prepare: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        self.uri = connection.resolved(uri)
        self.experiment = experiment
        self.sweep = sweep
        self._experiment_tags = dict(experiment_tags or {})
        self._prepare = prepare
        self._artifact_root = connection.artifact_root(self.uri, artifact_root)
        self._entries: dict[str, Entry] = {}
        self._parent: str | None = None
        self._queue: dict[str, None] = {}  # refs that are out of line, the next one first
        self._news: dict[str, None] = {}
        self._failures = 0  # attempts in a row that found no server
        self._next_attempt = 0.0
        self._outage: str | None = None
        self._busy = False
        self._flushing = False
        self._stopping = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._runs: Runs | None = None  # this and _held belong to the thread
        self._held: dict[str, Held] = {}

    # what the driver calls; none of it waits for the server, but check, flush and stop

    def check(self, timeout: float = 10.0) -> None:
        """Raise `TrackingUnavailable`, with the next step, if nothing answers within ``timeout`` s."""
        connection.check(self.uri, timeout)

    def start(self) -> None:
        """Start the thread; what was said before is not lost."""
        with self._changed:
            self._stopping = False
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="tracking-writer", daemon=True)
                self._thread.start()

    def open(self, run: Run) -> None:
        """A run should be there and running; one that had ended is re-opened and keeps its history.

        The sweep's own run (``parent=True``) comes first.
        """
        with self._changed:
            if run.ref in self._entries:
                self._entries[run.ref].reopen(run)
            else:
                self._entries[run.ref] = Entry.of(run)
            if run.parent:
                self._parent = run.ref
            self._enqueue(run.ref)

    def knows(self, ref: str) -> bool:
        """Whether a run was opened."""
        return ref in self._entries

    def log(self, ref: str, row: Row) -> None:
        """A run should have this epoch; epochs ascend, one that was given before is passed over."""
        with self._changed:
            self._entry(ref).add(row)
            self._enqueue(ref)

    def close(
        self,
        ref: str,
        status: str,
        *,
        tags: Mapping[str, str | None] | None = None,
        end_time_ms: int | None = None,
        artifacts: Iterable[Artifact] = (),
    ) -> None:
        """A run should have ended.

        Args:
            ref: The run.
            status: One of `ENDED`.
            tags: Changed tags; ``None`` removes one.
            end_time_ms: In ms since 1970; by default now, or what MLflow has for a run that ended so.
            artifacts: Files to upload; they must stay until the run is complete.

        Raises:
            TrackingError: If the status is none of the three, or the run was never opened.
        """
        if status not in ENDED:
            raise TrackingError(f"a run ends as one of {', '.join(ENDED)}, not {status!r}")
        with self._changed:
            self._entry(ref).end(status, tags or {}, end_time_ms, artifacts)
            self._enqueue(ref)

    def drain(self) -> list[Tracked]:
        """What has changed since the last call, as it stands now; runs not yet in MLflow are left out."""
        told: list[Tracked] = []
        with self._changed:
            for ref in self._news:
                entry = self._entries[ref]
                news = (entry.run_id, entry.complete, entry.why)
                if entry.run_id is not None and news != entry.announced:
                    entry.announced = news
                    told.append(Tracked(ref, entry.run_id, entry.complete, entry.why))
            self._news.clear()
        return told

    @property
    def incomplete(self) -> list[str]:
        """The runs that MLflow does not hold everything of."""
        with self._changed:
            return [ref for ref, entry in self._entries.items() if not entry.in_line]

    @property
    def problems(self) -> dict[str, str]:
        """Why, for every incomplete run, without credentials."""
        with self._changed:
            return {
                ref: entry.why or entry.outage or self._outage or NOT_YET
                for ref, entry in self._entries.items()
                if not entry.in_line
            }

    @property
    def outage(self) -> str | None:
        """Why the last attempt found no server, without credentials; ``None``: it answered."""
        with self._changed:
            return self._outage

    def flush(self, timeout: float) -> bool:
        """Try all that is missing at once, refused values too, and wait at most ``timeout`` seconds.

        Returns:
            Whether MLflow holds everything.
        """
        with self._changed:
            for ref, entry in self._entries.items():
                if entry.problems:
                    self._enqueue(ref)
            self._failures, self._next_attempt, self._flushing = 0, 0.0, True
            self._changed.notify_all()
            try:
                self._changed.wait_for(lambda: not self._queue and not self._busy, timeout)
            finally:
                self._flushing = False
        return not self.incomplete

    def stop(self, timeout: float = 5.0) -> None:
        """End the thread after the call that it is in, without writing what is left: see `flush`."""
        with self._changed:
            thread = self._thread
            self._stopping = True
            self._changed.notify_all()
        if thread is not None:
            thread.join(timeout)

    def __enter__(self) -> RunWriter:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _entry(self, ref: str) -> Entry:
        try:
            return self._entries[ref]
        except KeyError:
            raise TrackingError(f"run {ref!r} was never opened: call open() first") from None

    def _enqueue(self, ref: str) -> None:
        self._queue[ref] = None
        self._news[ref] = None
        self._changed.notify_all()

    # what the thread does

    def _work(self) -> None:
        while (job := self._next()) is not None:
            entry, version, wanted = job
            problems: list[str] = []
            failure: Exception | None = None
            begin = time.thread_time()
            try:
                problems = self._settle(wanted, entry)
            except Exception as error:
                failure = error
            with self._changed:
                self._busy = False
                entry.rests_until = time.monotonic() + min(LONGEST_REST, (time.thread_time() - begin) / SHARE)
                self._account(entry, version, wanted, problems, failure)
                self._changed.notify_all()

    def _next(self) -> tuple[Entry, int, Wanted] | None:
        """Wait for a run that is out of line; the sweep's own comes before its children exist."""
        with self._changed:
            while not self._stopping:
                parent = self._entries[self._parent] if self._parent else None
                waiting = parent is not None and parent.run_id is None and self._parent in self._queue
                ref = self._parent if waiting and self._parent else self._first()
                wait = self._next_attempt if ref is None else max(self._next_attempt, self._due(ref))
                wait -= time.monotonic()
                if ref is not None and wait <= 0:
                    del self._queue[ref]
                    self._busy = True
                    entry = self._entries[ref]
                    return entry, entry.version, entry.snapshot(parent.run_id if parent else None)
                self._changed.wait(None if ref is None else wait)
            self._thread = None
            return None

    def _first(self) -> str | None:
        """Of the runs that are due the one that has waited longest, else the one that is due first."""
        now = time.monotonic()
        due = (ref for ref in self._queue if self._due(ref) <= now)
        return next(due, None) or min(self._queue, key=self._due, default=None)

    def _due(self, ref: str) -> float:
        """When a run may be written again; one that has ended, and every one in a `flush`, may at once."""
        entry = self._entries[ref]
        return 0.0 if self._flushing or entry.status in ENDED else entry.rests_until

    def _settle(self, wanted: Wanted, entry: Entry) -> list[str]:
        """Bring one run in line, with no lock held."""
        ref = wanted.run.ref
        if self._runs is None:
            from trackers.runs import Runs

            if self._prepare is not None:
                self._prepare()
            client = connection.connect(self.uri)
            found = connection.experiment_id(
                client, self.experiment, self._artifact_root, self._experiment_tags
            )
            self._runs = Runs(client, found, self.sweep)
        held = self._held.pop(ref, None)  # put back when it is known to be up to date
        if held is None:
            held = self._runs.adopt(wanted, entry.run_id)
            with self._changed:
                entry.run_id = held.run_id
        problems = self._runs.settle(wanted, held)
        if wanted.status in ENDED:
            self._runs.remove_doubles(wanted, held)
        elif not problems:
            self._held[ref] = held
        return problems

    def _account(
        self, entry: Entry, version: int, wanted: Wanted, problems: list[str], failure: Exception | None
    ) -> None:
        ref = entry.run.ref
        self._news[ref] = None
        if failure is not None and not connection.rejects(failure):
            self._failures += 1
            wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(self._failures - 1, 10))
            self._next_attempt = time.monotonic() + wait
            self._outage = entry.outage = connection.reason(failure)
            self._queue[ref] = None
            return
        self._failures, self._outage = 0, None
        entry.settled(version, wanted, problems if failure is None else [connection.reason(failure)])
