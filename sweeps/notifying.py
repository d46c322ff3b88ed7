"""Notifications: a command or address is called with JSON when a sweep ends, fails or has a new best score.

Where to is a secret (addresses of chat rooms are), and therefore no part of a specification: it stands in
``SWEEPS_NOTIFY``, in the file that ``SWEEPS_NOTIFY_FILE`` names, or behind ``--notify``. What is sent holds
no address, path or environment of this machine. A thread of its own calls; a call that fails is noted,
without the address, and changes nothing.
"""

from __future__ import annotations

import json
import queue
import shlex
import subprocess
import threading
from collections.abc import Callable, Mapping
from typing import Any

from sweeps.cells import CONFIRM
from sweeps.errors import ENVIRONMENT, UNEXPECTED
from sweeps.live import Live
from sweeps.plan import Plan
from sweeps.results import outcome
from sweeps.snapshot import LedgerRow
from trackers.table import arm_label

VARIABLE = "SWEEPS_NOTIFY"
CALL_SECONDS, LAST_SECONDS = 10.0, 10.0
"""Longest call, and longest wait for those that are left at the end."""

RETRIES = 3
_WHY = {
    UNEXPECTED: "an unexpected error: see its log",
    ENVIRONMENT: "its disk, data, database or tracking server: see its log",
}
_ENDINGS = {
    "done": "is done",
    "budget": "has reached its budget",
    "failed": "has failed",
    "interrupted": "was interrupted",
}


class Notifier:
    """Calls ``target`` with what a person waits for.

    Args:
        target: ``https://...`` (or ``http``): called with POST; anything else is a command, which reads the
            JSON from its standard input.
        plan: Of the sweep.
        rows: What the ledger holds: a best score that was there before is not new.
        say: Told when a call fails.
    """

    def __init__(self, target: str, plan: Plan, rows: list[LedgerRow], say: Callable[[str], None]) -> None:
        self.target, self.plan, self.say = target, plan, say
        self.best: dict[str, float] = {}
        for row in rows:
            if row.state == "complete" and row.value is not None and row.attrs.get("kind") != CONFIRM:
                cell = row.study.split("/")[1]
                self.best[cell] = max(row.value, self.best.get(cell, row.value))
        self._waiting: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._work, name="notifications", daemon=True)
        self._thread.start()

    # what a sweep tells

    def started(self, live: Live) -> None:
        """Nothing."""

    def row(self, live: Live, row: Mapping[str, Any]) -> None:
        """Nothing."""

    def warned(self, live: Live, text: str) -> None:
        """Nothing."""

    def ended(self, live: Live, state: str, reason: str | None, origin: str | None) -> None:
        """A trial of the search may be the best of its cell."""
        if state != "complete" or live.entry.kind == CONFIRM or live.entry.fresh:
            return
        value = outcome(self.plan, state, live.history.rows, live.config.recipe)
        cell = live.cell.name
        if value is None or value <= self.best.get(cell, -1.0):
            return
        self.best[cell] = value
        select, arm = self.plan.spec.select, arm_label(live.entry.loss, live.entry.params)
        text = (
            f"{self.plan.name}: {arm} has the highest {select.split} {select.metric} of {cell} so far:"
            f" {value:.4f} (one training; a search score, not a performance)"
        )
        facts = {"loss": live.entry.loss, "params": dict(live.entry.params), "seed": live.entry.seed}
        where = {"cell": cell, "trial": live.entry.key, "metric": select.metric, "split": select.split}
        self.send("best", text, **where, **facts, score=value)

    def finish(self, state: str, code: int, trials: Mapping[str, int], reason: str | None) -> None:
        """The sweep is over: say so, and wait a little for what is still to be told."""
        event = "failed" if state == "failed" else "ended"
        counts = ", ".join(f"{count} {name}" for name, count in trials.items() if count)
        text = f"{self.plan.name} {_ENDINGS.get(state, state)}" + (f": {counts}" if counts else "")
        reason = reason or _WHY.get(code)
        text += f"; {_WHY[code]}" if code in _WHY else ""
        more = {} if reason is None else {"reason": reason}
        self.send(event, text, state=state, exit_code=code, trials=dict(trials), **more)
        self._waiting.put(None)
        self._thread.join(LAST_SECONDS)

    def send(self, event: str, text: str, **facts: Any) -> None:
        """Call in good time; ``text`` is what chat rooms show."""
        self._waiting.put({"event": event, "sweep": self.plan.name, "text": text, **facts})

    # what the thread does

    def _work(self) -> None:
        while (message := self._waiting.get()) is not None:
            if problem := call(self.target, message):
                self.say(f"the notification '{message['event']}' failed: {problem}")


def call(target: str, message: Mapping[str, Any]) -> str | None:
    """Hand over one message; why it failed, in words that do not hold the address."""
    try:
        return post(target, message) if target.startswith(("http://", "https://")) else run(target, message)
    except Exception as error:  # Whatever it is: nothing may come of it. Its text may hold the address.
        return type(error).__name__


def post(address: str, message: Mapping[str, Any]) -> str | None:
    """Call an address, again where it is too busy or away."""
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    retry = Retry(
        RETRIES, backoff_factor=0.3, status_forcelist=(429, 502, 503, 504), allowed_methods=None, redirect=0
    )
    with requests.Session() as session:
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(max_retries=retry))
        answer = session.post(address, json=dict(message), timeout=CALL_SECONDS)
    return None if answer.ok else f"HTTP {answer.status_code}"


def run(command: str, message: Mapping[str, Any]) -> str | None:
    """Run a command, without a shell."""
    done = subprocess.run(
        shlex.split(command), input=json.dumps(message, ensure_ascii=False).encode(), timeout=CALL_SECONDS,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    return None if done.returncode == 0 else f"the command ended with {done.returncode}"
