"""What all benchmarks share: options, conditions, medians with their spread, targets, text or JSON.

    bench = Bench("engine", __doc__)                      # reads --json, --quick and --repetitions
    bench.add("an epoch", timed(epoch, bench.repetitions), "s", at_most=2.0)
    bench.add("faster than plain", [ratio, ...], "x", at_least=3)
    bench.add("runs in a wrong state", counts, "", at_most=0, worst=True)
    bench.finish()

Every figure is printed as soon as it is known; a figure with a target says whether its median meets it, or,
where something may never happen, its worst value.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import multiprocessing
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "tests"), str(ROOT / "tests" / "trackers")]  # Real servers and small data.
LIBRARIES = ("torch", "ray", "optuna", "mlflow", "numpy")


class Bench:
    """One benchmark: its options, its conditions, its figures.

    Args:
        name: As in ``tests/bench/NAME.py``.
        about: Docstring of the benchmark, shown by ``--help``.
        repetitions: Unless ``--repetitions`` says otherwise; 1 with ``--quick``.
        options: Further options: name to default; a default's type is the option's.
        conditions: What else decides the figures.
    """

    def __init__(
        self, name: str, about: str | None, repetitions: int = 5,
        options: Mapping[str, Any] | None = None, conditions: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        parser = argparse.ArgumentParser(
            description=about, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        parser.add_argument("--json", action="store_true", help="the figures as JSON, at the end")
        parser.add_argument("--quick", action="store_true", help="a tiny run: does it work?")
        parser.add_argument("--repetitions", type=int, default=None, help=f"default {repetitions}")
        for option, default in (options or {}).items():
            parser.add_argument(f"--{option}", type=type(default), default=default, help=f"default {default}")
        self.options = parser.parse_args()
        self.quick: bool = self.options.quick
        self.repetitions: int = self.options.repetitions or (1 if self.quick else repetitions)
        self.name = name
        self.conditions = {**machine(), **(conditions or {}), "quick": self.quick}
        self.figures: list[dict[str, Any]] = []
        self.note(f"{name}: {'; '.join(f'{key} {value}' for key, value in self.conditions.items())}")

    def note(self, text: str) -> None:
        """Say what is going on; with ``--json`` beside the result, not in it."""
        print(text, file=sys.stderr if self.options.json else sys.stdout, flush=True)

    def add(
        self, title: str, values: Sequence[float], unit: str,
        *, at_most: float | None = None, at_least: float | None = None, worst: bool = False, note: str = "",
    ) -> float:  # fmt: skip
        """Take in a figure, one value a repetition, and print it; its median.

        Args:
            worst: Every value must meet the target, not only the median: for counts of faults, and for what
                may never take longer.
        """
        median = statistics.median(values)
        high, low = (max(values), min(values)) if worst else (median, median)
        missed = (at_most is not None and high > at_most) or (at_least is not None and low < at_least)
        target = "" if at_least is None else f"at least {at_least:g}"
        target = target if at_most is None else f"at most {at_most:g}"
        if target and worst:
            target = f"each {target}"
        figure: dict[str, Any] = {
            "title": title, "median": median, "min": min(values), "max": max(values), "n": len(values),
            "unit": unit, "at_most": at_most, "at_least": at_least, "judged": "worst" if worst else "median",
            "met": not missed if target else None, "note": note,
        }  # fmt: skip
        self.figures.append(figure)
        spread = f"({min(values):.4g} to {max(values):.4g}, n = {len(values)})"
        told = f"{target}: {'MISSED' if missed else 'met'}" if target else ""
        self.note(f"  {title:<52} {median:9.4g} {unit:<4} {spread:<34} {told:<24} {note}".rstrip())
        return median

    def finish(self) -> None:
        """Say which targets were missed; print the JSON that was asked for."""
        self.conditions["load at the end"] = load()
        missed = [figure["title"] for figure in self.figures if figure["met"] is False]
        self.note(f"{self.name}: missed: {'; '.join(missed)}" if missed else f"{self.name}: no target missed")
        if self.options.json:
            result = {"name": self.name, "conditions": self.conditions, "figures": self.figures}
            print(json.dumps(result, indent=2))


def machine() -> dict[str, Any]:
    """What of this machine decides figures; the GPU stands there once torch has been imported."""
    model = platform.processor() or platform.machine()
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=ROOT
    ).stdout.strip()
    found: dict[str, Any] = {
        "processor": model,
        "cores": cores(),
        "load at the start": load(),
        "commit": commit or "unknown",
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in LIBRARIES},
    }
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    return found


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load() -> str:
    """Processes that want a core, on average over 1, 5 and 15 minutes."""
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


def timed(call: Callable[[], object], repetitions: int) -> list[float]:
    """Seconds of each call."""
    seconds = []
    for _ in range(repetitions):
        begin = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begin)
    return seconds


class Timed:
    """Stands for an object and notes in ``seconds`` how long each call of its methods takes."""

    def __init__(self, watched: Any) -> None:
        self.watched = watched
        self.seconds: list[float] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            begin = time.perf_counter()
            try:
                return getattr(self.watched, name)(*arguments, **named)
            finally:
                self.seconds.append(time.perf_counter() - begin)

        return call


def run(
    *command: object, timeout: float = 600, code: int = 0, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """``python COMMAND`` in a process group of its own; nothing of it is left when it ends or takes too long.

    Raises:
        RuntimeError: If it ends with another exit code, with the end of what it said.
        subprocess.TimeoutExpired: If it takes too long.
    """
    with subprocess.Popen(
        [sys.executable, *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True, cwd=cwd,
    ) as process:  # fmt: skip
        try:
            out, err = process.communicate(timeout=timeout)
        finally:
            kill(process)
    if process.returncode != code:
        raise RuntimeError(f"{' '.join(map(str, command))}: exit code {process.returncode}\n{err[-10_000:]}")
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def kill(process: subprocess.Popen[Any]) -> None:
    """SIGKILL for a process and for all that it started, also what left its group, as Ray's processes do."""
    family = kill_tree(process.pid)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    psutil.wait_procs(family, timeout=10)


def kill_tree(pid: int) -> list[psutil.Process]:
    """SIGKILL for a process and its descendants; those that there were."""
    try:
        family = [psutil.Process(pid)]
        family += family[0].children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    for member in family:
        with suppress(psutil.NoSuchProcess):
            member.kill()
    return family


@contextmanager
def apart(serve: Callable[..., None], *given: Any) -> Iterator[Connection]:
    """A process for ``serve(*given, connection)``, which ends when our end of the connection is closed.

    `Connection.recv` raises EOFError where it has died. Nothing of it is left afterwards.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(*given, theirs))
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        process.join(120)  # Loaders take seconds to end, more on a busy machine.
        if process.is_alive() and process.pid is not None:
            kill_tree(process.pid)
            process.join()


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="sweeps-bench-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
