"""Many runs in MLflow: by our writer, which merges what has piled up, and by a call for every epoch."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from measuring import Bench, Timed, scratch
from mlflow_server import Server

from sweeps.collecting import sparing
from trackers import connection
from trackers.wanted import Run
from trackers.writer import RunWriter

METRICS = 12
FLUSH_SECONDS = 3600.0
MERGED_LIMIT, LOOP_LIMIT = 140.0, 50.0
"""Milliseconds of a merged run into SQLite, and of any one call of the driver's loop."""


def bulk(bench: Bench) -> None:
    """Blocks of both by turns, then all runs at once, merged."""
    options = bench.options
    size = f"runs of {options.epochs} x {METRICS}"
    with scratch() as folder, serving(folder / "server") as server:
        database = connection.resolved(folder / "bulk.db")
        connection.initialise(database)
        for place, uri, limit in (("SQLite", database, MERGED_LIMIT), ("server", server.uri, None)):
            merged, each = blocks(uri, options.peer_trials, options.epochs, bench.repetitions)
            title = f"{place}: {options.peer_trials} {size}"
            bench.add(f"{title}, merged, a run", merged, "ms")
            bench.add(f"{title}, a call an epoch, a run", each, "ms")
            ratios = [slow / fast for fast, slow in zip(merged, each, strict=True)]
            bench.add(f"{place}: merged is faster", ratios, "x", note="of blocks side by side")
            took, calls = write_merged(uri, "many", options.trials, options.epochs)
            title = f"{place}: {options.trials} {size}"
            bench.add(f"{title}, merged, a run", [took], "ms", at_most=limit)
            bench.add(
                f"{place}: a call of the loop, up to {options.trials} runs waiting",
                [1000 * seconds for seconds in calls], "ms", at_most=LOOP_LIMIT, worst=True,
            )  # fmt: skip


def blocks(uri: str, trials: int, epochs: int, repetitions: int) -> tuple[list[float], list[float]]:
    """Milliseconds a run, merged and by a call an epoch, in pairs; who is first changes."""
    write_merged(uri, "warm", 1, 2)
    write_by_epoch(uri, "warm too", 1, 2)
    merged: list[float] = []
    each: list[float] = []
    for number in range(repetitions):
        for ours in (True, False) if number % 2 == 0 else (False, True):
            if ours:
                merged.append(write_merged(uri, f"merged {number}", trials, epochs)[0])
            else:
                each.append(write_by_epoch(uri, f"plain {number}", trials, epochs))
    return merged, each


def rows(epochs: int) -> Iterator[dict[str, Any]]:
    """The history of a trial."""
    for epoch in range(1, epochs + 1):
        metrics = {f"val/metric_{number}": 1 / (epoch + number) for number in range(METRICS)}
        yield {"epoch": epoch, "timestamp": 1_764_000_000_000 + epoch, "metrics": metrics}


def write_merged(uri: str, sweep: str, trials: int, epochs: int) -> tuple[float, list[float]]:
    """Milliseconds a run of our writer, which is told everything at once; seconds of every call of it.

    The calls are those of the driver's loop: a run begins, has an epoch, has ended, and what the writer has
    learnt is asked for, while all runs before it still wait. The collector is spared as it is in a driver.
    """
    begin = time.perf_counter()
    with sparing(), RunWriter(uri, "bulk", sweep) as writer:
        told = Timed(writer)
        told.open(Run("sweep", sweep, parent=True))
        for number in range(trials):
            ref = f"trial {number}"
            told.open(Run(ref, ref, {"gamma": number, "loss": "cefl"}, {"sweep.key": f"{number:012x}"}))
            for row in rows(epochs):
                told.log(ref, row)
                told.drain()
            told.close(ref, "FINISHED", end_time_ms=1_764_000_000_000 + epochs)
        if not writer.flush(FLUSH_SECONDS):
            raise RuntimeError(f"not written: {next(iter(writer.problems.items()))}")
    seconds = time.perf_counter() - begin
    check(uri, sweep, trials, epochs)
    return 1000 * seconds / trials, told.seconds


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
