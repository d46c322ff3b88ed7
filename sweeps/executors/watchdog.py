"""Looks after the trials that Ray Tune runs: ends those that hang, and all at once when the sweep stops.

Imported by `sweeps.executors.ray_tune`, which first sets what Ray reads when it is imported.
"""

from __future__ import annotations

import time
from typing import Any, Protocol

import ray
from ray import tune

from sweeps.live import Live
from sweeps.watching import WATCH_SECONDS, Silence


class Watched(Protocol):
    """The searcher, as far as it is needed here."""

    silence: Silence

    @property
    def stopping(self) -> bool: ...

    def live(self, trial_id: str) -> Live | None: ...

    def give_up(self, trial_id: str, reason: str) -> None: ...


class Watchdog(tune.Callback):
    """Called by Tune in every step of its loop."""

    def __init__(self, search: Watched) -> None:
        self.search, self.due = search, 0.0

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial has a process, new or warm."""
        live = self.search.live(trial.trial_id)
        if live is not None:
            self.search.silence.begun(live.entry.ref)

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """End the processes of trials that hang."""
        now = time.monotonic()
        if now < self.due:
            return
        self.due = now + WATCH_SECONDS
        self.search.silence.listen(now)
        for trial in trials:
            live = self.search.live(trial.trial_id)
            if live is None:
                continue
            reason = self.search.silence.reason(live.entry.ref, live.cell.name)
            if reason is not None:
                self.search.give_up(trial.trial_id, reason)
                end_process(trial)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Tune would wait for the epochs that are under way, up to 10 s."""
        if self.search.stopping:
            for trial in trials:
                end_process(trial)


def end_process(trial: Any) -> None:
    """Kill the process of a trial, if it has one; Tune learns it as it learns any death."""
    actor = trial.temporary_state.ray_actor
    if actor is not None:
        ray.kill(actor)
