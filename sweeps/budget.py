"""What a sweep has used of its budget, and why its next trial may not start."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence

from sweeps.cells import CONFIRM
from sweeps.history import found_in
from sweeps.home import Home
from sweeps.plan import Plan
from sweeps.results import counted
from sweeps.snapshot import LedgerRow
from sweeps.spec.budget import Budget, Patience

ASK = "ask"


def is_charged(kind: str, fresh: int) -> bool:
    """Whether trials of a kind count: confirmations and repetitions do not."""
    return kind != CONFIRM and not fresh


class Account:
    """Everything that counts towards a budget, kept by the conductor.

    Args:
        budget: The limits; ``None``: there are none.
        seconds: How long earlier drivers of the sweep ran.
    """

    def __init__(self, budget: Budget | None, seconds: float = 0.0) -> None:
        self.budget = budget or Budget()
        self.trials = self.epochs = 0
        self.begin = time.monotonic() - seconds
        self._values: dict[str, dict[int, tuple[bool, float | None]]] = defaultdict(dict)

    def ended(self, study: str, number: int, kind: str, value: float | None) -> None:
        """A trial of a study has ended: with its score, or without one."""
        self._values[study][number] = kind == ASK, value

    def refusal(self, pending: int, largest: int) -> str | None:
        """Why no trial may start now, in words; ``None``: it may.

        Args:
            pending: Epochs that the trials which have started still may train.
            largest: Epochs of a whole trial.
        """
        budget = self.budget
        if budget.trials is not None and self.trials >= budget.trials:
            return f"trials: {self.trials:,} of {budget.trials:,} were started"
        if budget.epochs is not None and self.epochs + pending + largest > budget.epochs:
            return (
                f"epochs: {self.epochs:,} of {budget.epochs:,} were trained, and no trial of {largest:,} fits"
            )
        return self.out_of_time()

    def out_of_time(self) -> str | None:
        """That the hours are used up, in words; ``None``: they are not."""
        hours = (time.monotonic() - self.begin) / 3600
        if self.budget.hours is not None and hours >= self.budget.hours:
            return f"hours: it ran for {hours:.2f} of {self.budget.hours:g}"
        return None

    def is_patient(self, study: str) -> bool:
        """Whether asks of a study may still find something better."""
        patience, values = self.budget.patience, self._values[study]
        return patience is None or not in_vain([values[number] for number in sorted(values)], patience)

    def impatience(self, studies: Iterable[str]) -> str | None:
        """Why studies ask no more, in words; ``None``: none of them has lost patience."""
        patience, over = self.budget.patience, [name for name in studies if not self.is_patient(name)]
        if patience is None or not over:
            return None
        names = ", ".join(name.partition("/")[2] for name in over)
        better = f"better by more than {100 * patience.by:g} points" if patience.by else "better"
        return f"patience: the last {patience.trials:,} asks were not {better} in {names}"


def in_vain(ended: Sequence[tuple[bool, float | None]], patience: Patience) -> bool:
    """Whether the last asks of a study were all no better than what was there before them.

    Args:
        ended: Of every trial that has ended, in the order of their numbers: whether it was asked for, and its
            score (``None``: it was stopped early, or failed). Listed points count as what was there before.
    """
    asked = [position for position, (is_ask, _) in enumerate(ended) if is_ask][-patience.trials :]
    last = [ended[position][1] for position in asked]
    before = [
        value for position, (_, value) in enumerate(ended) if position not in asked and value is not None
    ]
    if len(asked) < patience.trials or not before:
        return False
    return all(value is None or value <= max(before) + patience.by for value in last)


def account_of(plan: Plan, rows: list[LedgerRow], home: Home, seconds: float) -> Account:
    """The account of a sweep as its ledger has it.

    Args:
        rows: Started trials, with their keys.
        seconds: How long earlier drivers ran.
    """
    account = Account(plan.spec.budget, seconds)
    whole = {cell.name: cell.base.recipe.epochs for cell in plan.cells}
    for row in counted(rows):
        kind, cell = row.attrs["kind"], row.study.split("/")[1]
        if kind == CONFIRM:
            continue
        if row.state != "running":
            account.ended(row.study, row.number, kind, row.value)
        if "origin" in row.attrs:
            continue
        account.trials += 1
        if row.state == "complete" and cell in whole:
            account.epochs += whole[cell]
        elif account.budget.epochs is not None:  # Otherwise the histories need not be read.
            account.epochs += len(found_in(home.trial(row.attrs["key"])).rows)
    return account
