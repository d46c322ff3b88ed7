"""What early stopping saved: epochs that stopped trials did not train."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from trackers.compare import searched
from trackers.table import TrialResult


@dataclass(frozen=True)
class Savings:
    """Of the trials of a search that ended by themselves: how many were stopped, and epochs of both kinds."""

    stopped: int
    trials: int
    trained: int
    full: int

    @property
    def share(self) -> float:
        """Epochs that were not trained, a share of all."""
        return 1 - self.trained / self.full if self.full else 0.0


def savings(trials: Iterable[TrialResult]) -> Savings:
    """What stopped trials saved; failed and running ones tell nothing of it."""
    ended = [trial for trial in searched(trials) if trial.state in ("complete", "pruned")]
    stopped = [trial for trial in ended if trial.state == "pruned"]
    full = sum(trial.epochs for trial in ended)
    left = sum(trial.epochs - len(trial.history) for trial in stopped)
    return Savings(len(stopped), len(ended), full - left, full)


def in_words(found: Savings) -> str:
    """A sentence; empty where nothing was stopped."""
    if not found.stopped:
        return ""
    return (
        f"Early stopping ended {found.stopped:,} of {found.trials:,} trials of the search and saved"
        f" {100 * found.share:.0f}% of its epochs: {found.trained:,} were trained instead of {found.full:,}."
    )
