"""What tracking costs:   uv run python tests/bench/tracking.py [--trials 1000 --peer-trials 20]

Three questions. What does it add to a trial, how long does it ever hold up the driver's loop, and how long do
its beginning and its end take, in small sweeps in this process with tracking and without, by turns? What does
a run of 100 epochs x 12 metrics cost, into SQLite and into a server, when the writer merges what has piled
up, against a call an epoch, in blocks of --peer-trials by turns, and merged with all --trials? And how long
does the writer hold up the loop while so many runs wait for it? What holds up the loop is judged by the
longest call that there was.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bulk_runs import LOOP_LIMIT, bulk, serving
from measuring import Bench, Timed, scratch

from sweeps.collecting import sparing
from sweeps.conductor import Conductor
from sweeps.executors.inline import InlineExecutor
from sweeps.home import Home
from sweeps.ledger import Ledger
from sweeps.live import Live
from sweeps.plan import build_plan
from sweeps.spec import load_spec
from sweeps.tracking import Tracking
from trackers.writer import RunWriter

SPEC = """
name: tracked
data: {{source: digits, imbalance: 5}}
validation: {{unused: 20}}
model: {model}
losses: [cross_entropy]
seeds: {seeds}
recipe: {{preset: digits, epochs: {epochs}}}
resources: {{gpus: 0}}
"""


def main() -> None:
    """Measure and print."""
    bench = Bench(
        "tracking", __doc__, repetitions=5,
        options={"trials": 1000, "peer-trials": 20, "epochs": 100, "trained": 4, "model": "resnet20"},
    )  # fmt: skip
    if bench.quick:
        for name, value in {"trials": 5, "peer_trials": 2, "epochs": 10, "trained": 2}.items():
            setattr(bench.options, name, value)
    sweeps_with_and_without(bench)
    bulk(bench)
    bench.finish()


# small sweeps


@dataclass
class Clock:
    """A watcher that is told first or last, and notes when, and how much the writer has computed by then."""

    writer: RunWriter | None = None
    writers: list[float] = field(default_factory=list)
    began: dict[str, float] = field(default_factory=dict)
    ended_at: dict[str, float] = field(default_factory=dict)

    def started(self, live: Live) -> None:
        if self.writer is not None and live.entry.ref not in self.began:
            self.writers.append(thread_seconds(self.writer))
        self.began.setdefault(live.entry.ref, time.perf_counter())

    def row(self, live: Live, row: Mapping[str, Any]) -> None:
        """Nothing to note."""

    def warned(self, live: Live, text: str) -> None:
        """Nothing."""

    def ended(self, live: Live, state: str, reason: str | None, origin: str | None) -> None:
        self.ended_at[live.entry.ref] = time.perf_counter()


@dataclass
class Sweep:
    """Seconds of one small sweep: of every trial, of every call of the tracker, of the writer's processor, of
    the tracker's beginning and of its end, in which it writes what is left.

    The first trial shares the writer with the sweep's own run, so the writer is measured from the second on.
    """

    trials: list[float]
    calls: list[float] = field(default_factory=list)
    writer: float = 0.0
    start: float = 0.0
    finish: float = 0.0


def sweeps_with_and_without(bench: Bench) -> None:
    """By turns, so that what else the machine does falls on both."""
    options = bench.options
    epochs = 5 if bench.quick else 20
    plain: list[Sweep] = []
    local: list[Sweep] = []
    remote: list[Sweep] = []
    with scratch() as folder, serving(folder / "server") as server:
        text = SPEC.format(model=options.model, seeds=options.trained, epochs=epochs)
        remote_text = text + f"tracking: {{uri: '{server.uri}'}}\n"
        small_sweep(folder / "warm", text, tracked=True)  # Imports, and the first batch of the model.
        for number in range(bench.repetitions):
            plain.append(small_sweep(folder / f"plain{number}", text, tracked=False))
            local.append(small_sweep(folder / f"local{number}", text, tracked=True))
            remote.append(small_sweep(folder / f"remote{number}", remote_text, tracked=True))
    without = [statistics.median(each.trials) for each in plain]
    bench.add(f"a trial of {epochs} epochs without tracking", without, "s")
    for place, sweeps in (("SQLite", local), ("server", remote)):
        added = [
            100 * (statistics.median(each.trials) / one - 1)
            for each, one in zip(sweeps, without, strict=True)
        ]
        bench.add(f"{place}: added to a trial, by the clock", added, "%", at_most=1)
        calls = [100 * sum(each.calls) / sum(each.trials) for each in sweeps]
        bench.add(f"{place}: driver's time in the tracker's calls", calls, "%", at_most=1)
        shares = [100 * each.writer / sum(each.trials[1:]) for each in sweeps]
        bench.add(f"{place}: processor time of the writer, of another core", shares, "%")
        longest = [1000 * max(each.calls) for each in sweeps]
        bench.add(
            f"{place}: the driver's loop is blocked at most", longest, "ms", at_most=LOOP_LIMIT, worst=True
        )
        bench.add(f"{place}: start, before the loop", [1000 * each.start for each in sweeps], "ms")
        bench.add(f"{place}: finish, after the loop", [1000 * each.finish for each in sweeps], "ms")


def small_sweep(folder: Path, text: str, tracked: bool) -> Sweep:
    """One sweep in this process, in a new home."""
    folder.mkdir()
    (folder / "tracked.yaml").write_text(text)
    loaded = load_spec(str(folder / "tracked.yaml"))
    home = Home(folder / "home")
    home.create()
    plan = build_plan(loaded, home.data)
    home.sweep(plan.name).mkdir(parents=True)
    ledger = Ledger(home, plan.name)
    clock = Clock()
    if not tracked:
        conductor = Conductor(plan, ledger, home, (clock, clock))
        with sparing():
            InlineExecutor(loaded.spec.resources).run(conductor)
        return Sweep([clock.ended_at[ref] - begin for ref, begin in clock.began.items()])
    tracking = Tracking(plan, home, ledger)
    begin = time.perf_counter()
    tracking.start()
    started = time.perf_counter() - begin
    tracking.writer.flush(60)  # The database is made once for a home, not for a trial.
    clock.writer = tracking.writer
    timed = Timed(tracking)
    try:
        conductor = Conductor(plan, ledger, home, (clock, timed, clock))
        with sparing():
            InlineExecutor(loaded.spec.resources).run(conductor)
        begin = time.perf_counter()
        tracking.writer.flush(60)
        writer = thread_seconds(tracking.writer) - clock.writers[1]
    finally:
        complete = tracking.finish("done", [], 60)
    finished = time.perf_counter() - begin
    if not complete:
        raise RuntimeError(f"tracking is incomplete: {tracking.problem}")
    trials = [clock.ended_at[ref] - begun for ref, begun in clock.began.items()]
    return Sweep(trials, timed.seconds, writer, started, finished)


def thread_seconds(writer: RunWriter) -> float:
    """Processor time of a writer's thread."""
    thread = writer._thread
    if thread is None or thread.ident is None:
        raise RuntimeError("the writer has no thread")
    return time.clock_gettime(time.pthread_getcpuclockid(thread.ident))


if __name__ == "__main__":
    main()
