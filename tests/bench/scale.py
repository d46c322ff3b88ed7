"""What becomes slower as a sweep grows:   uv run python tests/bench/scale.py

Commands, and starting, asking and ending a trial in the ledger, with 100, 1,000 and 10,000 trials in one
study; a report of 1,000 trials x 100 epochs. Growth is what one trial more costs in the last step up over
what it cost in the first: 1 is linear.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path

from made_home import NAME, make_home
from measuring import Bench, run, scratch, timed

from sweeps.conductor import Conductor
from sweeps.home import Home
from sweeps.ledger import Ledger
from sweeps.plan import build_plan
from sweeps.spec import load_spec

NOISE = 0.1
"""Part of the smallest figure that two sizes must differ by before their growth means anything."""

RANGES = {"gamma": (0.0, 5.0)}
EPOCHS = 10  # Of the reports that are compared with each other.


@dataclass
class Times:
    """Seconds of everything at one size."""

    size: int
    seconds: dict[str, list[float]] = field(default_factory=dict)


def main() -> None:
    """Measure and print."""
    bench = Bench("scale", __doc__, repetitions=5)
    sizes = [10, 20, 40] if bench.quick else [100, 1000, 10_000]
    for title, command in {
        "python -c pass": ("-c", "pass"),
        "sweeps --help": ("-m", "sweeps", "--help"),
    }.items():
        limit = 0.4 if "help" in title else None
        bench.add(title, timed(lambda command=command: run(*command), bench.repetitions), "s", at_most=limit)
    measured = [measure(bench, size) for size in sizes]
    for title in measured[0].seconds:
        grown(bench, title, measured)
    whole_report(bench, *((20, 10) if bench.quick else (1000, 100)))
    bench.finish()


def measure(bench: Bench, size: int) -> Times:
    """Everything with ``size`` trials."""
    times = Times(size)
    with scratch() as folder:
        home, spec = make_home(folder, size, EPOCHS)
        at = ("--home", home.root)
        for verb, *arguments in (("plan", spec), ("status", NAME), ("report", NAME)):
            seconds = timed(lambda: run("-m", "sweeps", verb, *arguments, *at), bench.repetitions)  # noqa: B023
            limit = 2.0 if verb in ("plan", "status") else None
            bench.add(f"sweeps {verb}, {size:,} trials", seconds, "s", at_most=limit)
            times.seconds[f"sweeps {verb}"] = seconds
        for title, seconds in ledger_seconds(home, 3 * bench.repetitions).items():
            limit = 250.0 if title.startswith("a trial") else None
            milliseconds = [1000 * value for value in seconds]
            bench.add(f"{title}, {size:,} trials", milliseconds, "ms", at_most=limit)
            times.seconds[title] = seconds
        conductor(home, spec)  # The first one imports.
        times.seconds["a driver's start"] = seconds = timed(lambda: conductor(home, spec), bench.repetitions)
        bench.add(f"a driver's start, {size:,} trials", seconds, "s")
    return times


def ledger_seconds(home: Home, repetitions: int) -> dict[str, list[float]]:
    """Seconds in the ledger of a listed trial, and of one that is asked for, from start to end."""
    ledger = Ledger(home, NAME)
    study = f"{NAME}/digits-rho20-resnet8/cefl"
    titles = ("ask", "a trial asked for, started and ended", "a trial listed, the same")
    seconds: dict[str, list[float]] = {title: [] for title in titles}
    ledger.ask(study, RANGES, 0)  # The first one loads the study.
    for number in range(repetitions):
        begin = time.perf_counter()
        params = ledger.ask(study, RANGES, 0)
        asked = time.perf_counter()
        entry = ledger.start(study, f"bench{number:07d}", "cefl", params, RANGES, 0, "ask")
        ledger.complete(entry, 0.5)
        done = time.perf_counter()
        entry = ledger.start(study, f"listed{number:06d}", "cefl", {"gamma": 1.5}, RANGES, 0)
        ledger.complete(entry, 0.5)
        listed = time.perf_counter() - done
        for title, value in zip(titles, (asked - begin, done - begin, listed), strict=True):
            seconds[title].append(value)
    return seconds


def conductor(home: Home, spec: Path) -> None:
    """What a driver does before its first trial, beside data and tracking."""
    loaded = load_spec(str(spec))
    Conductor(build_plan(loaded, home.data), Ledger(home, NAME), home)


def grown(bench: Bench, title: str, measured: list[Times]) -> None:
    """How much more a trial costs in the last step up than in the first."""
    small, middle, large = (statistics.median(times.seconds[title]) for times in measured)
    first = max(middle - small, NOISE * small) / (measured[1].size - measured[0].size)
    last = max(large - middle, 0.0) / (measured[2].size - measured[1].size)
    # Half as much again is within what the two differences vary by.
    bench.add(f"growth of {title}", [last / first], "x", at_most=1.5, note="1 is linear")


def whole_report(bench: Bench, trials: int, epochs: int) -> None:
    """A report of a large sweep: how long, and how large."""
    with scratch() as folder:
        home, _ = make_home(folder, trials, epochs)
        seconds = timed(
            lambda: run("-m", "sweeps", "report", NAME, "--home", home.root), min(3, bench.repetitions)
        )
        size = (home.sweep(NAME) / "report" / "report.html").stat().st_size / 1e6
    title = f"report of {trials:,} trials x {epochs} epochs"
    bench.add(title, seconds, "s", at_most=30)
    bench.add(f"{title}, report.html", [size], "MB", at_most=20)


if __name__ == "__main__":
    main()
