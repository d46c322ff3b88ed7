"""Bringing MLflow in line with ledger and histories, whatever happened to it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from sweeps.agreement import MENDS, WRITTEN, Disagreement, disagreements, latest
from sweeps.drive import REPORT_FILES, TRACKING_PATIENCE_SECONDS
from sweeps.errors import EnvironmentProblem
from sweeps.home import Home
from sweeps.ledger import Ledger
from sweeps.state import read_state, stored_plan
from sweeps.tracking import PARENT, Tracking, initialise_local, initialise_shared
from trackers.connection import check
from trackers.errors import TrackingError
from trackers.masking import masked

T = TypeVar("T")
AT_ONCE = 200
"""Trials whose rows are in memory together."""


@dataclass(frozen=True)
class Synced:
    """What a synchronisation saw, and what of it is left.

    Attributes:
        runs: How many there should be, with the sweep's own.
        problem: Why MLflow could not be brought in line, ``None`` if it could.
    """

    name: str
    uri: str
    runs: int
    seen: list[Disagreement]
    left: list[Disagreement]
    problem: str | None

    def as_json(self) -> dict[str, Any]:
        """With stable keys."""
        return {
            "name": self.name,
            "uri": self.uri,
            "runs": self.runs,
            "seen": [each.as_json() for each in self.seen],
            "left": [each.as_json() for each in self.left],
            "problem": self.problem,
        }

    @property
    def complete(self) -> bool:
        """Whether MLflow is in line."""
        return self.problem is None and not any(each.mend in WRITTEN for each in self.left)


def sync_sweep(home: Home, name: str) -> Synced:
    """Compare MLflow with ledger and histories, write what is missing, and compare again.

    Raises:
        AlreadyRunning: If a driver runs: it writes MLflow itself.
        EnvironmentProblem: If MLflow does not answer.
    """
    state, plan = read_state(home, name).state, stored_plan(home, name)
    server = home.tracked_at(plan.spec.tracking.uri)
    uri = server or home.mlflow_uri
    with home.driving(name):
        try:
            if server is None:
                initialise_local(home)
            else:
                initialise_shared(server)
            check(uri)
            seen = disagreements(home, plan, ended=True)
            with closing(Ledger(home, name)) as ledger:
                problem = align(Tracking(plan, home, ledger), state, seen)
            left = disagreements(home, plan, ended=True)
        except TrackingError as error:
            raise EnvironmentProblem(str(error)) from None
    return Synced(name, masked(uri), len(latest(home, name)) + 1, seen, left, problem)


def align(tracking: Tracking, state: str, seen: list[Disagreement]) -> str | None:
    """Tell MLflow all that is known, a few hundred trials at a time; why it is still incomplete, if it is."""
    mend: dict[str, set[str]] = defaultdict(set)
    for each in seen:
        if each.mend in MENDS:
            mend[each.ref].add(each.mend)
    ended = state in ("done", "budget")
    files = [tracking.home.sweep(tracking.plan.name) / "report" / each for each in REPORT_FILES]
    tracking.tags.clear()  # Who trained it with which commit stays as it is: this commit did not.
    tracking.open_sweep(mend[PARENT])
    tracking.close_sweep(state, files)  # At once, so that a run which has ended is not opened in between.
    for part in parts(iter(tracking.tracked())):
        for entry, cell, row in part:
            tracking.tell(entry, cell, row, mend[entry.run_ref], weights=ended)
        tracking.writer.start()
        tracking.writer.flush(TRACKING_PATIENCE_SECONDS)
        tracking.writer.stop()
        if tracking.writer.outage:
            break
    tracking.writer.start()
    tracking.finish(state, files, TRACKING_PATIENCE_SECONDS)
    return tracking.problem


def parts(items: Iterator[T]) -> Iterator[list[T]]:
    """Lists of `AT_ONCE` items each."""
    while part := list(islice(items, AT_ONCE)):
        yield part
