"""What a run of a sweep is asked for, who takes part in it, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sweeps.live import Watcher

if TYPE_CHECKING:
    from sweeps.conductor import Conductor
    from sweeps.confirming import Asked
    from sweeps.plan import Plan


class Executor(Protocol):
    """Who trains: see `sweeps.executors`."""

    @property
    def slots(self) -> int: ...

    def run(self, conductor: Conductor) -> None: ...

    def interrupt(self) -> None:
        """End what is under way; called again every few seconds until `run` has returned."""


class Display(Watcher, Protocol):
    """Who shows the progress."""

    def note(self, text: str) -> None: ...

    def preparing(self, source: str, done: int, total: int) -> None: ...

    def running(self, conductor: Conductor, slots: int) -> Any: ...


@dataclass(frozen=True)
class Options:
    """How a sweep is run, beside what its specification says."""

    name: str | None = None
    executor: str = "ray"
    offline: bool = False
    fresh: bool = False
    concurrent: int | None = None
    asks: int | None = None
    confirm: Asked | None = None
    retry: bool = False
    address: str | None = None  # Of the cluster to join: see `sweeps.joining`.
    notify: str | None = None  # Whom to call: see `sweeps.notifying`; by default what the environment says.


@dataclass(frozen=True)
class Outcome:
    """How a run of a sweep ended."""

    plan: Plan
    state: str
    exit_code: int
    report: Path | None
    repeated: list[dict[str, Any]]
    tracking_problem: str | None
    trained: int
    reason: str | None = None
    stopped_early: int = 0
    unkept: tuple[str, ...] = ()  # Best arms whose weights are not there.
