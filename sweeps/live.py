"""Trials that are being executed, and who is told of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from cefl.config import TrialConfig
from sweeps.cells import Cell
from sweeps.entries import Entry
from sweeps.history import History
from sweeps.home import Lease
from sweeps.mirroring import Stored

DIVERGED = "diverged: loss or metric is not finite"


@dataclass(frozen=True)
class Assignment:
    """A trial to execute: what to train, in which folder, and where that is kept if not there."""

    ref: str
    config: TrialConfig
    folder: Path
    stored: Stored | None = None


@dataclass
class Live:
    """A trial that is being executed; ``epoch``: the last one that this execution has reported."""

    entry: Entry
    cell: Cell
    config: TrialConfig
    history: History
    lease: Lease | None
    started: float
    stopped: str | None = None
    pruned: str | None = None
    epoch: int = 0


class Watcher(Protocol):
    """Who is told of everything that happens: the tracker, the display."""

    def started(self, live: Live) -> None: ...

    def row(self, live: Live, row: Mapping[str, Any]) -> None: ...

    def warned(self, live: Live, text: str) -> None: ...

    def ended(self, live: Live, state: str, reason: str | None, origin: str | None) -> None: ...


def config_of(entry: Entry, cell: Cell) -> TrialConfig:
    """What a started trial of a cell trains."""
    return cell.config(entry.loss, entry.params, entry.seed, entry.kind)
