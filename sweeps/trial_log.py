"""One trial, looked at closely: its epochs, why it failed, and where it lies."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeps.entries import Entry, entry_of
from sweeps.errors import InputError
from sweeps.history import Row, read_history
from sweeps.home import Home
from sweeps.snapshot import LedgerRow, read_ledger
from sweeps.tracking_log import read_tracking

POLL_SECONDS = 0.5
MOST_NAMED = 8  # Of the trials that a text may mean.


@dataclass(frozen=True)
class TrialLog:
    """A trial of a sweep, with the other rows of the ledger that have its key.

    Attributes:
        others: Ref and state: earlier tries, repetitions, and the same trial in other sweeps.
    """

    row: LedgerRow
    entry: Entry
    folder: Path
    run_id: str | None
    others: tuple[tuple[str, str], ...]

    @property
    def sweep(self) -> str:
        return self.row.study.partition("/")[0]

    def history(self) -> list[Row]:
        """The epochs that there are by now."""
        return read_history(self.folder, self.sweep)

    def as_json(self) -> dict[str, Any]:
        """With stable keys."""
        entry, attrs = self.entry, self.row.attrs
        return {
            "key": entry.key, "sweep": self.sweep, "study": entry.study, "number": entry.number,
            "state": self.row.state, "attempt": entry.attempt, "kind": entry.kind, "loss": entry.loss,
            "params": dict(entry.params), "seed": entry.seed, "reason": attrs.get("reason"),
            "warning": attrs.get("warning"), "error": attrs.get("error"),
            "origin": attrs.get("origin"), "folder": str(self.folder),
            "run_id": self.run_id, "others": [{"trial": ref, "state": state} for ref, state in self.others],
            "history": self.history(),
        }  # fmt: skip


def find_trial(home: Home, text: str) -> TrialLog:
    """The trial that a text means.

    Args:
        text: The first digits of its key, or ``study#number``. Of several tries the last is meant, and the
            sweep that trained it rather than one that took it over.

    Raises:
        InputError: If it means none, or several.
    """
    rows = [
        row
        for name in home.sweeps()
        for row in read_ledger(home.optuna_url, name)
        if "key" in row.attrs
    ]  # fmt: skip
    if "#" in text:
        chosen = [row for row in rows if ref_of(row) == text]
    else:
        chosen = [row for row in rows if row.attrs["key"].startswith(text)]
    keys = sorted({row.attrs["key"] for row in chosen})
    if not keys:
        raise InputError(
            f"{text}: no trial of {home.root} has such a key or name; `sweeps trials NAME` lists them"
        )
    if len(keys) > 1:
        more = f" and {len(keys) - MOST_NAMED} more" if len(keys) > MOST_NAMED else ""
        raise InputError(f"{text}: may be {', '.join(keys[:MOST_NAMED])}{more}; give more of its key")
    own = [row for row in chosen if "origin" not in row.attrs and not row.attrs.get("fresh")]
    row = (own or chosen)[-1]
    entry = entry_of(row)
    runs = read_tracking(home.sweep(row.study.partition("/")[0]))
    run_id = entry.run_id or runs.get(entry.run_ref, {}).get("run_id")
    others = tuple(
        (ref_of(other), other.state)
        for other in rows
        if other.attrs["key"] == entry.key and other.trial_id != row.trial_id
    )
    return TrialLog(row, entry, home.trial(entry.key, entry.fresh), run_id, others)


def ref_of(row: LedgerRow) -> str:
    """``study#number``."""
    return f"{row.study}#{row.number}"


def followed(home: Home, log: TrialLog) -> Iterator[Row]:
    """Every epoch, as it comes, until the trial has ended or nothing trains it any more."""
    shown = 0
    while True:
        driven = home.is_driven(log.sweep)
        rows = log.history()
        yield from rows[shown:]
        shown = len(rows)
        if not driven or state_now(home, log) != "running":
            yield from log.history()[shown:]
            return
        time.sleep(POLL_SECONDS)


def line(row: Row) -> str:
    """An epoch as one line of JSON, as it stands in the history."""
    return json.dumps(row, ensure_ascii=False)


def state_now(home: Home, log: TrialLog) -> str:
    """State of the trial by now."""
    rows = read_ledger(home.optuna_url, log.sweep, ("key",))
    return next(row.state for row in rows if row.trial_id == log.row.trial_id)
