"""Ending a sweep in order: by a signal, or by a request that `sweeps stop` leaves in its folder."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING

from sweeps.errors import INTERRUPTED, TERMINATED, AlreadyRunning
from sweeps.heartbeat import is_elsewhere
from sweeps.home import Home, described, read_json, write_json
from sweeps.state import read_state

if TYPE_CHECKING:
    from sweeps.conductor import Conductor
    from sweeps.options import Executor

REQUEST = "stop.json"
POLL_SECONDS = 0.5
CODES = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}
WAKE = signal.SIGUSR1
"""What an executor sends to its own process, so that it looks up from an epoch."""


def stop_sweep(home: Home, name: str, patience: float, say: Callable[[str], None]) -> bool:
    """Ask the driver of a sweep to end it in order, and wait until it has.

    The request names its driver, so that one which comes too late ends no later run.

    Args:
        patience: Longest wait in seconds.
        say: Told whom is waited for.

    Returns:
        Whether there was a driver.

    Raises:
        InputError: If there is no such sweep.
        AlreadyRunning: If the driver has not ended in time; the request stands.
    """
    driver = home.driver(name)
    if driver is None:
        read_state(home, name)
        return False
    request = home.sweep(name) / REQUEST
    write_json(request, driver)
    say(f"asked the driver of {name} to stop: {described(driver)}")
    deadline = time.monotonic() + patience
    while home.driver(name) == driver:
        if time.monotonic() > deadline:
            raise AlreadyRunning(
                f"sweep {name} is still {described(driver)}, and will stop after the epoch that it is in;"
                f" wait for it: sweeps stop {name}, or end that process there"
            )
        time.sleep(0.1)
    request.unlink(missing_ok=True)
    return True


def is_requested(home: Home, name: str) -> bool:
    """Whether this driver was asked to stop, or another one has taken its sweep over."""
    holder = read_json(home.holder(name))
    taken_over = is_elsewhere(holder)  # It was not heard of for a while: it slept, say.
    return taken_over or (holder is not None and holder == read_json(home.sweep(name) / REQUEST))


@contextmanager
def stopping_in_order(
    conductor: Conductor, executor: Executor, say: Callable[[str], None], requested: Callable[[], bool]
) -> Iterator[list[int]]:
    """The first SIGINT or SIGTERM, or a request, ends the sweep in order; one more signal ends the process.

    Either way the ledger can go on from where it was.

    Returns:
        What ended it, as an exit code; empty while nothing did.
    """
    received: list[int] = []
    in_main_thread = threading.current_thread() is threading.main_thread()
    over = threading.Event()

    def stop(code: int) -> None:
        received.append(code)
        conductor.stopping = True
        with suppress(RuntimeError):  # The signal may have come in the middle of another line.
            say("stopping; what is running goes on next time (again to end at once)")
        if in_main_thread:  # Elsewhere nobody takes the signal that it sends.
            executor.interrupt()

    def on_signal(number: int, frame: FrameType | None) -> None:
        for each in CODES:
            signal.signal(each, signal.SIG_DFL)
        stop(CODES[signal.Signals(number)])

    def on_request() -> None:
        while not over.wait(POLL_SECONDS):
            if requested() and not conductor.stopping:
                stop(TERMINATED)
                return

    def on_wake(number: int, frame: FrameType | None) -> None:
        """Nothing: the executor is not in an epoch. Without a handler the signal would end the process."""

    handlers = {**dict.fromkeys(CODES, on_signal), WAKE: on_wake} if in_main_thread else {}
    before = {each: signal.signal(each, handler) for each, handler in handlers.items()}
    watching = threading.Thread(target=on_request, name="stop-requests", daemon=True)
    watching.start()
    try:
        yield received
    finally:
        over.set()
        watching.join()
        for each, handler in before.items():
            signal.signal(each, handler)
