"""What tracking costs:   uv run python tests/bench/tracking.py [--trials 1000 --peer-trials 100]

Three questions. What does it add to a trial, and how long does it ever hold up the driver's loop, in small
sweeps in this process with tracking and without, by turns? And what does a run of 100 epochs x 12 metrics
cost, into SQLite and into a server, when the writer merges what has piled up, against a call an epoch?
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from measuring import Bench, scratch
from mlflow_server import Server

from sweeps.conductor import Conductor
from sweeps.executors.inline import InlineExecutor
from sweeps.home import Home
from sweeps.ledger import Ledger
from sweeps.live import Live
from sweeps.plan import build_plan
from sweeps.spec import load_spec
from sweeps.tracking import Tracking
from trackers import connection
from trackers.wanted import Run
from trackers.writer import RunWriter

METRICS = 12
FLUSH_SECONDS = 3600.0
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
        options={"trials": 1000, "peer-trials": 50, "epochs": 100, "trained": 4, "model": "resnet20"},
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

    def ended(self, live: Live, state: str, reason: str | None, origin: str | None) -> None:
        self.ended_at[live.entry.ref] = time.perf_counter()


class Timed:
    """A watcher that measures how long another one holds up the loop."""

    def __init__(self, watcher: Any) -> None:
        self.watcher = watcher
        self.seconds: list[float] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        def call(*arguments: Any) -> None:
            begin = time.perf_counter()
            getattr(self.watcher, name)(*arguments)
            self.seconds.append(time.perf_counter() - begin)

        return call


@dataclass
class Sweep:
    """Seconds of one small sweep: of every trial, of every call of the tracker, of the writer's processor.

    The first trial shares the writer with the sweep's own run, so the writer is measured from the second on.
    """

    trials: list[float]
    calls: list[float] = field(default_factory=list)
    writer: float = 0.0


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
        bench.add(f"{place}: the driver's loop is blocked at most", longest, "ms", at_most=50)


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
        InlineExecutor(loaded.spec.resources).run(Conductor(plan, ledger, home, (clock, clock)))
        return Sweep([clock.ended_at[ref] - begin for ref, begin in clock.began.items()])
    tracking = Tracking(plan, home, ledger)
    tracking.start()
    tracking.writer.flush(60)  # The database is made once for a home, not for a trial.
    clock.writer = tracking.writer
    timed = Timed(tracking)
    try:
        InlineExecutor(loaded.spec.resources).run(Conductor(plan, ledger, home, (clock, timed, clock)))
        tracking.writer.flush(60)
        writer = thread_seconds(tracking.writer) - clock.writers[1]
    finally:
        complete = tracking.finish("done", [], 60)
    if not complete:
        raise RuntimeError(f"tracking is incomplete: {tracking.problem}")
    return Sweep([clock.ended_at[ref] - begin for ref, begin in clock.began.items()], timed.seconds, writer)


def thread_seconds(writer: RunWriter) -> float:
    """Processor time of a writer's thread."""
    thread = writer._thread
    if thread is None or thread.ident is None:
        raise RuntimeError("the writer has no thread")
    return time.clock_gettime(time.pthread_getcpuclockid(thread.ident))


# many runs


def bulk(bench: Bench) -> None:
    """Many runs that have piled up, merged, against a call for every epoch."""
    options = bench.options
    with scratch() as folder, serving(folder / "server") as server:
        database = connection.resolved(folder / "bulk.db")
        connection.initialise(database)
        write_merged(database, "warm", 1, 2)
        for place, uri, limit in (("SQLite", database, 140.0), ("server", server.uri, None)):
            merged = write_merged(uri, f"merged {place}", options.trials, options.epochs)
            size = f"{options.epochs} x {METRICS}"
            bench.add(
                f"{place}: {options.trials} runs of {size}, merged, a run", [merged], "ms", at_most=limit
            )
            each = write_by_epoch(uri, f"plain {place}", options.peer_trials, options.epochs)
            bench.add(f"{place}: {options.peer_trials} runs, a call an epoch, a run", [each], "ms")
            bench.add(f"{place}: merged is faster", [each / merged], "x")


def rows(epochs: int) -> Iterator[dict[str, Any]]:
    """The history of a trial."""
    for epoch in range(1, epochs + 1):
        metrics = {f"val/metric_{number}": 1 / (epoch + number) for number in range(METRICS)}
        yield {"epoch": epoch, "timestamp": 1_764_000_000_000 + epoch, "metrics": metrics}


def write_merged(uri: str, sweep: str, trials: int, epochs: int) -> float:
    """Milliseconds a run of our writer, which is told everything at once."""
    begin = time.perf_counter()
    with RunWriter(uri, "bulk", sweep) as writer:
        writer.open(Run("sweep", sweep, parent=True))
        for number in range(trials):
            ref = f"trial {number}"
            writer.open(Run(ref, ref, {"gamma": number, "loss": "cefl"}, {"sweep.key": f"{number:012x}"}))
            for row in rows(epochs):
                writer.log(ref, row)
            writer.close(ref, "FINISHED", end_time_ms=1_764_000_000_000 + epochs)
        if not writer.flush(FLUSH_SECONDS):
            raise RuntimeError(f"not written: {next(iter(writer.problems.items()))}")
    seconds = time.perf_counter() - begin
    check(uri, sweep, trials, epochs)
    return 1000 * seconds / trials


def write_by_epoch(uri: str, sweep: str, trials: int, epochs: int) -> float:
    """Milliseconds a run of MLflow's own client, one batch of metrics an epoch."""
    from mlflow.entities import Metric, Param

    client = connection.connect(uri)
    experiment = connection.experiment_id(client, "bulk", None)
    begin = time.perf_counter()
    for number in range(trials):
        run = client.create_run(experiment, run_name=f"trial {number}", tags={"sweep.name": sweep})
        told = [Param("gamma", str(number)), Param("loss", "cefl")]
        client.log_batch(run.info.run_id, params=told)
        for row in rows(epochs):
            points = [
                Metric(name, value, row["timestamp"], row["epoch"]) for name, value in row["metrics"].items()
            ]
            client.log_batch(run.info.run_id, metrics=points)
        client.set_terminated(run.info.run_id, "FINISHED")
    seconds = time.perf_counter() - begin
    check(uri, sweep, trials, epochs)
    return 1000 * seconds / trials


def check(uri: str, sweep: str, trials: int, epochs: int) -> None:
    """See that what was timed was done."""
    client = connection.connect(uri)
    experiment = connection.experiment_id(client, "bulk", None)
    runs = list(connection.search(client, [experiment], sweep))
    found = [run for run in runs if run.data.tags.get("sweep.role") != "sweep"]
    history = client.get_metric_history(found[-1].info.run_id, "val/metric_0")
    if len(found) != trials or len(history) != epochs or any(run.info.status != "FINISHED" for run in found):
        raise RuntimeError(f"{sweep}: {len(found)} runs, {len(history)} epochs")


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """A server on a port of its own, with its database beside it."""
    folder.mkdir()
    server = Server(folder)
    connection.initialise(connection.resolved(server.database))
    try:
        server.start()
        yield server
    finally:
        server.kill()


if __name__ == "__main__":
    main()
