"""Trials that are run again because they failed, or because what they came to is lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sweeps.cells import Cell
from sweeps.entries import Entry, entry_of
from sweeps.history import HISTORY, RESULT, aside_of, folder_fault
from sweeps.home import Home
from sweeps.live import config_of
from sweeps.plan import Plan
from sweeps.results import asked_for
from sweeps.snapshot import LedgerRow


def to_retry(
    plan: Plan, cells: Mapping[str, Cell], rows: Sequence[LedgerRow], home: Home
) -> Iterator[tuple[Entry, Cell]]:
    """Trials that the plan still asks for and that have no whole result: failed, or their folder is damaged.

    One that was stopped early has a result: that it fell behind. Its curve is shown, and must be whole, too.
    """
    for row in asked_for(plan, list(rows)):
        entry, cell = entry_of(row), cells.get(row.study.split("/")[1])
        if cell is None or config_of(entry, cell).key() != entry.key:
            continue
        damaged = (
            row.state in ("complete", "pruned") and folder_fault(home.trial(entry.key), row.state) is not None
        )
        if row.state == "failed" or damaged:
            yield entry, cell


def set_aside(folder: Path) -> None:
    """Take what is left of a damaged history out of the way, and the result that does not fit it."""
    for name in (HISTORY, RESULT):
        path = folder / name
        if path.exists():
            path.replace(aside_of(path))
