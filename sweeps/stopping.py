"""Ending a sweep in order: by a signal, or by a request that `sweeps stop` leaves in its folder."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from types import FrameType
from typing import TYPE_CHECKING

from sweeps.errors import INTERRUPTED, TERMINATED, AlreadyRunning
from sweeps.files import read_note, write_json
from sweeps.heartbeat import is_elsewhere
from sweeps.home import Home, described
from sweeps.state import read_state

if TYPE_CHECKING:
    from sweeps.conductor import Conductor
    from sweeps.options import Executor

REQUEST = "stop.json"
POLL_SECONDS = 0.5
AGAIN_SECONDS = 2.0
"""After an interrupt that came to nothing, the next: what is raised in a destructor, say, is lost."""
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


def stop_all(home: Home, patience: float, say: Callable[[str], None]) -> list[str]:
    """Ask all drivers of a home on this machine to end their sweeps in order, and wait for all at once.

    Args:
        patience: Longest wait in seconds.
        say: Told whom is waited for.

    Returns:
        Names of the sweeps that have ended.

    Raises:
        AlreadyRunning: With those that have not ended in time; the requests stand.
    """
    asked = {}
    for holder in sorted((home.root / "locks").glob("*.json")):
        name, driver = holder.stem, read_note(holder)
        if isinstance(driver, dict) and not is_elsewhere(driver) and home.is_locked(name):
            asked[name] = driver
            write_json(home.sweep(name) / REQUEST, driver)
            say(f"asked the driver of {name} to stop: {described(driver)}")
    left, deadline = set(asked), time.monotonic() + patience
    while left and time.monotonic() < deadline:
        time.sleep(0.1)
        left = {name for name in left if read_note(home.holder(name)) == asked[name] and home.is_locked(name)}
    for name in asked.keys() - left:
        (home.sweep(name) / REQUEST).unlink(missing_ok=True)
    if left:
        told = ", ".join(f"sweep {name} is still {described(asked[name])}" for name in sorted(left))
        raise AlreadyRunning(f"{told}; each will stop after the epoch that it is in")
    return sorted(asked)


def is_requested(home: Home, name: str) -> bool:
    """Whether this driver was asked to stop, or another one has taken its sweep over; else it goes on."""
    holder = read_note(home.holder(name))
    taken_over = is_elsewhere(holder)  # It was not heard of for a while: it slept, say.
    return taken_over or (holder is not None and holder == read_note(home.sweep(name) / REQUEST))


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

    def interrupt() -> None:
        if in_main_thread:  # Elsewhere nobody takes the signal that it sends.
            executor.interrupt()

    def stop(code: int) -> None:
        received.append(code)
        conductor.stopping = True
        with suppress(RuntimeError):  # The signal may have come in the middle of another line.
            say("stopping; what is running goes on next time (again to end at once)")
        interrupt()

    def on_signal(number: int, frame: FrameType | None) -> None:
        for each in CODES:
            signal.signal(each, signal.SIG_DFL)
        if received:  # Tune puts this handler back.
            signal.raise_signal(number)
        stop(CODES[signal.Signals(number)])

    def watch(has_come: Callable[[], bool]) -> None:
        while not over.wait(POLL_SECONDS):
            if received:
                if not over.wait(AGAIN_SECONDS):
                    interrupt()
            elif has_come():
                wake()
            elif requested() and not conductor.stopping:
                stop(TERMINATED)

    def on_wake(number: int, frame: FrameType | None) -> None:
        """Nothing: the executor is not in an epoch. Without a handler the signal would end the process."""

    handlers = {**dict.fromkeys(CODES, on_signal), WAKE: on_wake} if in_main_thread else {}
    before = {each: signal.signal(each, handler) for each, handler in handlers.items()}
    with hearing() if in_main_thread else nullcontext(lambda: False) as has_come:
        watching = threading.Thread(target=watch, args=(has_come,), name="stop-requests", daemon=True)
        watching.start()
        try:
            yield received
        finally:
            over.set()
            watching.join()
            for each, handler in before.items():
                signal.signal(each, handler)


@contextmanager
def hearing() -> Iterator[Callable[[], bool]]:
    """Whether a signal has come that is to end the sweep, also before the main thread has taken it.

    Python only notes a signal when it comes, and the main thread looks at its notes before it waits for
    something, and not again. What comes in between is not seen until the wait is over.
    """
    read, write = os.pipe()
    for end in (read, write):
        os.set_blocking(end, False)
    before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    come: set[int] = set()

    def has_come() -> bool:
        with suppress(BlockingIOError):
            come.update(os.read(read, 4096))
        return not come.isdisjoint(CODES)

    try:
        yield has_come
    finally:
        signal.set_wakeup_fd(before)
        os.close(read)
        os.close(write)


def wake() -> None:
    """Let the main thread look up from whatever it waits for, and take the signals that have come."""
    signal.pthread_kill(threading.main_thread().ident or 0, WAKE)
