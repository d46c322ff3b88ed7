"""What happens in a sweep as lines of JSON, each with sweep, cell and trial: for a file, and for collectors.

The file is ``log.jsonl`` in the sweep's folder. A line that cannot be written is told once, and that is all.
"""

from __future__ import annotations

import itertools
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pythonjsonlogger.json import JsonFormatter

from sweeps.live import Live

if TYPE_CHECKING:
    from sweeps.conductor import Conductor

FILE = "log.jsonl"
_LEVELS = {"failed": logging.WARNING}
_numbers = itertools.count()


class Logbook:
    """Writes lines; can also stand in for the display of a terminal.

    Args:
        sweep: Name of the sweep, in every line.
        file: Where to, by default standard error.
    """

    def __init__(self, sweep: str, file: Path | None = None) -> None:
        self.sweep = sweep
        handler = _Stream(sys.stderr) if file is None else _File(file)
        handler.setFormatter(
            JsonFormatter(
                ["levelname", "message"],
                rename_fields={"levelname": "level", "message": "event"},
                timestamp="time",
                json_ensure_ascii=False,
            )
        )
        self._logger = logging.getLogger(f"sweeps.logbook.{next(_numbers)}")
        self._logger.propagate = False
        self._logger.setLevel(logging.INFO)
        self._logger.addHandler(handler)

    def say(self, event: str, level: int = logging.INFO, **facts: Any) -> None:
        """One line."""
        self._logger.log(level, event, extra={"sweep": self.sweep, **facts})

    def close(self) -> None:
        """Write nothing more."""
        for handler in list(self._logger.handlers):
            self._logger.removeHandler(handler)
            handler.close()

    # what a sweep tells

    def note(self, text: str) -> None:
        """What goes on beside the trials."""
        self.say("note", text=text)

    def preparing(self, source: str, done: int, total: int) -> None:
        """How far a data set is; said at the end."""
        if done == total:
            self.say("data prepared", source=source, images=total)

    @contextmanager
    def running(self, conductor: Conductor, slots: int) -> Iterator[None]:
        """Trials are trained meanwhile."""
        self.say("training", waiting=conductor.waiting, slots=slots)
        yield

    def started(self, live: Live) -> None:
        """A trial begins, or goes on."""
        self.say("trial started", **about(live), epoch=len(live.history.rows))

    def row(self, live: Live, row: Mapping[str, Any]) -> None:
        """Nothing: the epochs stand in the history of the trial."""

    def warned(self, live: Live, text: str) -> None:
        """A trial warns of something."""
        self.say("trial warned", logging.WARNING, **about(live), text=text)

    def ended(self, live: Live, state: str, reason: str | None, origin: str | None) -> None:
        """A trial has ended, or waits to go on."""
        facts = {**about(live), "state": state, "epoch": len(live.history.rows)}
        facts |= {name: text for name, text in (("reason", reason), ("origin", origin)) if text is not None}
        self.say("trial ended", _LEVELS.get(state, logging.INFO), **facts)


def about(live: Live) -> dict[str, Any]:
    """Which trial it is."""
    entry = live.entry
    return {
        "cell": live.cell.name,
        "trial": entry.key,
        "kind": entry.kind,
        "loss": entry.loss,
        "params": dict(entry.params),
        "seed": entry.seed,
        "attempt": entry.attempt,
    }


class _Once:
    """Says once why lines are missing, instead of a traceback for each."""

    told = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (the name is logging's)
        """A line could not be written."""
        if not self.told:
            self.told = True
            print(
                f"the log cannot be written ({sys.exception()}); the sweep goes on without", file=sys.stderr
            )


class _Stream(_Once, logging.StreamHandler):  # type: ignore[type-arg]
    pass


class _File(_Once, logging.FileHandler):
    def __init__(self, path: Path) -> None:
        super().__init__(path, mode="a", encoding="utf-8", delay=True)
