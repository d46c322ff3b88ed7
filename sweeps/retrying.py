"""Trials that are run again because they failed, or because what they came to is lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sweeps.cells import Cell
from sweeps.entries import Entry, entry_of
from sweeps.history import read_result
from sweeps.home import Home
from sweeps.live import config_of
from sweeps.plan import Plan
from sweeps.results import asked_for
from sweeps.snapshot import LedgerRow


def to_retry(
    plan: Plan, cells: Mapping[str, Cell], rows: Sequence[LedgerRow], home: Home
) -> Iterator[tuple[Entry, Cell]]:
    """Trials that the plan still asks for and that have no result: failed, or complete without their folder.

    One that was stopped early has a result: that it fell behind.
    """
    for row in asked_for(plan, list(rows)):
        entry, cell = entry_of(row), cells.get(row.study.split("/")[1])
        if cell is None or config_of(entry, cell).key() != entry.key:
            continue
        if row.state == "failed" or (row.state == "complete" and read_result(home.trial(entry.key)) is None):
            yield entry, cell
