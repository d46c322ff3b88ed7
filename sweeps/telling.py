"""Who is told of a sweep beside the terminal and the tracker: its log, and whoever is to be notified."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from types import TracebackType

from sweeps import logbook, notifying
from sweeps.home import Home
from sweeps.ledger import Ledger
from sweeps.live import Watcher
from sweeps.plan import Plan
from trackers.masking import masked


class Telling:
    """Opens the log of a sweep, and the notifications where they are asked for.

    Args:
        target: Whom to notify, if anybody: see `notifying`.
        say: Told when a notification fails.

    Attributes:
        states: Of the trials, counted; what the end is told with.
    """

    def __init__(
        self, home: Home, plan: Plan, ledger: Ledger, target: str | None, say: Callable[[str], None]
    ) -> None:
        self.states: Mapping[str, int] = {}
        self._book = logbook.Logbook(plan.name, home.sweep(plan.name) / logbook.FILE)
        self._notifier = notifying.Notifier(target, plan, ledger.rows(), say) if target else None
        self._book.say("sweep started", pid=os.getpid())

    @property
    def watchers(self) -> tuple[Watcher, ...]:
        """Whom the conductor tells."""
        return (self._book,) if self._notifier is None else (self._book, self._notifier)

    def finish(self, state: str, code: int, reason: str | None, problem: str | None = None) -> None:
        """The sweep is over.

        Args:
            code: Exit code of the process.
            reason: Which limit of its budget ended it.
            problem: The error that ended it, for the log alone: it may name paths of this machine.
        """
        trials = {name: count for name, count in self.states.items() if count}
        why = reason if problem is None else masked(problem)
        level = logging.INFO if problem is None else logging.ERROR
        self._book.say("sweep ended", level, state=state, exit_code=code, trials=trials, reason=why)
        if self._notifier is not None:
            self._notifier.finish(state, code, trials, reason)

    def __enter__(self) -> Telling:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._book.close()
