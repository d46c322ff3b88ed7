"""An executor that trains nothing: rows come from a function, so that a whole search takes a second.

Everything else is real: specification, plan, conductor, histories, and the ledger in its database.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from cefl.config import TrialConfig
from sweeps.conductor import Conductor
from sweeps.home import Home
from sweeps.ledger import Ledger
from sweeps.live import Assignment
from sweeps.plan import Plan, build_plan
from sweeps.spec import load_text

Curve = Callable[[TrialConfig, int], float]
"""Balanced accuracy on the validation images after an epoch, counted from 1."""


class DriverDied(Exception):
    """The driver was killed, as far as the ledger can see."""


def planned(home: Home, text: str, base: Path) -> Plan:
    """The plan of a specification."""
    home.create()
    return build_plan(load_text(text, "simulated.yaml", base), home.data)


def conductor_of(home: Home, plan: Plan, seconds: float = 0.0) -> Conductor:
    """A driver's conductor, as `sweeps.driver` makes it; ``seconds`` ran before it."""
    ledger = Ledger(home, plan.name, {each.study: each.rungs for each in plan.searches})
    return Conductor(plan, ledger, home, seconds=seconds)


def row_of(value: float, epoch: int) -> dict[str, Any]:
    """An epoch as a worker reports it."""
    metrics = {"train/loss": 1.0, "val/balanced_accuracy": value, "seconds": 1.0}
    return {"epoch": epoch, "timestamp": 1_732_000_000_000 + epoch, "metrics": metrics}


def die(conductor: Conductor) -> NoReturn:
    """Be a driver that is killed: nothing is written, and the system gives its locks back."""
    for live in conductor.live.values():
        if live.lease is not None:
            live.lease.release()
    raise DriverDied


class Simulated:
    """Runs trials side by side, one epoch each in turn.

    Args:
        curve: What training would come to.
        slots: Trials at a time.
        rows: Epochs after which the driver dies, without a word; ``None``: never.
    """

    def __init__(self, curve: Curve, slots: int = 1, rows: int | None = None) -> None:
        self.curve, self.slots, self.rows = curve, slots, rows
        self.order: list[TrialConfig] = []

    def run(self, conductor: Conductor) -> None:
        """Execute until nothing is left.

        Raises:
            DriverDied: When it was to die.
        """
        active: list[tuple[Assignment, int]] = []
        while True:
            while len(active) < self.slots and (assignment := conductor.next()) is not None:
                self.order.append(assignment.config)
                active.append((assignment, 0))
            if not active:
                return
            active = [
                (each, epoch + 1) for each, epoch in active if not self._epoch(conductor, each, epoch + 1)
            ]

    def _epoch(self, conductor: Conductor, trial: Assignment, epoch: int) -> bool:
        """Train one epoch; whether it was the last one."""
        if self.rows is not None:
            self.rows -= 1
            if self.rows < 0:
                die(conductor)
        row = row_of(self.curve(trial.config, epoch), epoch)
        if conductor.row(trial.ref, row) or epoch == trial.config.recipe.epochs:
            conductor.ended(trial.ref)
            return True
        return False
