"""Who is told of a sweep beside the terminal and the tracker: its log, and whoever is to be notified."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from types import TracebackType

from sweeps import logbook, notifying
from sweeps.home import Home
from sweeps.ledger import Ledger
from sweeps.live import Watcher
from sweeps.plan import Plan


class Telling:
    """Opens the log of a sweep, and the notifications where they are asked for.

    Args:
        target: Whom to notify; by default what `notifying.VARIABLE` says, if anything.
        say: Told when a notification fails.

    Attributes:
        states: Of the trials, counted; what the end is told with.
    """

    def __init__(
        self, home: Home, plan: Plan, ledger: Ledger, target: str | None, say: Callable[[str], None]
    ) -> None:
        self.states: Mapping[str, int] = {}
        self._book = logbook.Logbook(plan.name, home.sweep(plan.name) / logbook.FILE)
        target = target or os.environ.get(notifying.VARIABLE)
        self._notifier = notifying.Notifier(target, plan, ledger.rows(), say) if target else None
        self._book.say("sweep started", pid=os.getpid())

    @property
    def watchers(self) -> tuple[Watcher, ...]:
        """Whom the conductor tells."""
        return (self._book,) if self._notifier is None else (self._book, self._notifier)

    def finish(self, state: str, code: int, reason: str | None) -> None:
        """The sweep is over."""
        trials = {name: count for name, count in self.states.items() if count}
        self._book.say("sweep ended", state=state, exit_code=code, trials=trials, reason=reason)
        if self._notifier is not None:
            self._notifier.finish(state, code, trials, reason)

    def __enter__(self) -> Telling:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._book.close()
