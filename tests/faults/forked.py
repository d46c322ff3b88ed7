"""Commands in processes of their own that start at once: forked from a process that has everything imported.

A fork is a real process: it is killed, stopped and waited for like one that a person started.
"""

from __future__ import annotations

import faulthandler
import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import cache
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

LOGS: WeakKeyDictionary[BaseProcess, Path] = WeakKeyDictionary()


@cache
def context() -> ForkServerContext:
    """The process that others are forked from; it goes when this one goes."""
    chosen = multiprocessing.get_context("forkserver")
    chosen.set_forkserver_preload(["preloaded"])
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path(__file__).parent), before]))
    try:
        forkserver.ensure_running()
    finally:
        del os.environ["PYTHONPATH"]
        if before is not None:
            os.environ["PYTHONPATH"] = before
    return chosen


def command(
    arguments: list[str], log: str, out: str | None = None, before: Callable[[], object] | None = None
) -> None:
    """Be ``sweeps ARGUMENTS``, its output in a file; what it prints for programs in another."""
    for number, path in ((1, out or log), (2, log)):
        with open(path, "ab", buffering=0) as file:
            os.dup2(file.fileno(), number)
    faulthandler.enable()  # What hangs says where: see `ended`.
    assert "sweeps.driver" in sys.modules, "everything was to be imported before the fork"
    if before is not None:
        before()
    from sweeps.cli import main

    sys.argv = ["sweeps", *arguments]
    main()


def start(
    log: Path, *arguments: object, out: Path | None = None, before: Callable[[], object] | None = None
) -> BaseProcess:
    """Start a command; ``before`` is called in its process first."""
    told = ([*map(str, arguments)], str(log), None if out is None else str(out), before)
    process = context().Process(target=command, args=told, daemon=True)
    process.start()
    LOGS[process] = log
    return process


def answer(
    folder: Path, *arguments: object, code: int = 0, before: Callable[[], object] | None = None
) -> Any:
    """What a command prints as JSON, ``None`` where it prints nothing."""
    out, log = folder / "answer.json", folder / "answer.log"
    out.unlink(missing_ok=True)
    found = ended(start(log, *arguments, "--json", out=out, before=before))
    assert found == code, log.read_text()
    return json.loads(out.read_text() or "null")


def run_inline(
    log: Path, spec: Path, home: Path, *more: object, before: Callable[[], object] | None = None
) -> BaseProcess:
    """Start ``sweeps run`` with the in-process executor."""
    return start(log, "run", spec, "--home", home, "--executor", "inline", *more, before=before)


def ended(process: BaseProcess, seconds: float = 120.0) -> int:
    """Exit code of a command, negative for the signal that killed it."""
    process.join(seconds)
    if process.exitcode is None:
        assert process.pid is not None
        os.kill(process.pid, signal.SIGABRT)
        process.join(10)
        raise AssertionError(f"has not ended after {seconds} s; {LOGS[process].read_text()[-5000:]}")
    return process.exitcode


def until(condition: Callable[[], bool], driver: BaseProcess, log: Path, seconds: float = 60.0) -> None:
    """Wait for what a living driver is to bring about."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert driver.is_alive(), log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.01)
