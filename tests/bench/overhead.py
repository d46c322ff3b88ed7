"""What a sweep takes beyond its training:   uv run python tests/bench/overhead.py

A sweep of 40 short trials on Ray: wall time times slots against the sum of the seconds that its epochs took,
training and evaluation; and those seconds against the same trials in as many bare processes with no sweep
around them, which shows what the driver takes from the training.
"""

from __future__ import annotations

import json
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from measuring import Bench, run, scratch

from cefl.config import TrialConfig
from sweeps.history import read_history
from sweeps.home import Home
from sweeps.plan import build_plan
from sweeps.spec import load_spec

START = 15.0
"""Seconds that a sweep may take to start, whatever its size."""


@dataclass(frozen=True)
class Measured:
    """One sweep; all in seconds."""

    wall: float
    start: float
    end: float
    training: float
    driver: float
    epoch: float


def main() -> None:
    """Measure and print."""
    bench = Bench(
        "overhead", __doc__, repetitions=3,
        options={"trials": 40, "epochs": 60, "slots": 2, "threads": 1, "model": "resnet8"},
    )  # fmt: skip
    options = bench.options
    if bench.quick:
        options.trials, options.epochs = 4, 5
    sweeps, bare = [], []
    for number in range(bench.repetitions):
        with scratch() as folder:
            spec = write_specification(folder / "short.yaml", options)
            home = Home(folder / "home")
            home.create()
            plan = build_plan(load_spec(str(spec)), home.data)  # So that no sweep prepares data.
            bare.append(bare_epoch([point.config for point in plan.points], folder, options))
            sweeps.append(sweep(spec, home, folder, options))
            bench.note(f"  sweep {number + 1} of {bench.repetitions}: {sweeps[-1].wall:.1f} s")
    told(bench, sweeps, bare)


def told(bench: Bench, sweeps: list[Measured], bare: list[float]) -> None:
    """The figures."""
    trials, slots = bench.options.trials, bench.options.slots
    trained = [each.training / trials for each in sweeps]
    bench.add("wall time of the sweep", [each.wall for each in sweeps], "s")
    bench.add("start, until a first epoch begins", [each.start for each in sweeps], "s", at_most=START)
    bench.add("end, after the last epoch: report, tracking", [each.end for each in sweeps], "s")
    bench.add("training of one trial", trained, "s")
    beyond = [(each.wall - START) * slots - each.training for each in sweeps]
    shares = [100 * value / each.training for value, each in zip(beyond, sweeps, strict=True)]
    bench.add("beyond training and 15 s of start", shares, "%", at_most=12)
    bench.add("the same a trial", [value / trials for value in beyond], "s", at_most=0.5)
    strict = [((each.wall - each.start) * slots - each.training) / trials for each in sweeps]
    bench.add("the same a trial, beyond the true start", strict, "s", at_most=0.5)
    between = [((each.wall - each.start - each.end) * slots - each.training) / trials for each in sweeps]
    bench.add("of which between first and last epoch", between, "s")
    bench.add("processor time of the driver", [each.driver for each in sweeps], "s")
    slower = [100 * (each.epoch / alone - 1) for each, alone in zip(sweeps, bare, strict=True)]
    bench.add(f"epochs slower than in {slots} bare processes", slower, "%")
    bench.finish()


def write_specification(path: Path, options: Any) -> Path:
    """A sweep of equally long trials."""
    gammas = [round(0.1 * number, 1) for number in range(1, options.trials)]
    path.write_text(
        "name: short\n"
        "data: {source: digits, imbalance: 5}\n"
        "validation: {unused: 20}\n"
        f"model: {options.model}\n"
        f"losses: [cross_entropy, {{loss: cefl, gamma: {gammas}}}]\n"
        f"recipe: {{preset: digits, epochs: {options.epochs}}}\n"
        f"resources: {{cpus: {options.threads}, gpus: 0, concurrent: {options.slots}}}\n"
    )
    return path


def sweep(spec: Path, home: Home, folder: Path, options: Any) -> Measured:
    """Run it."""
    begin = time.time()
    run(
        Path(__file__).with_name("driven.py"),
        folder / "took.json",
        "run",
        spec,
        "--home",
        home.root,
        timeout=1800,
    )
    end = time.time()
    rows = [row for trial in (home.root / "trials").iterdir() for row in read_history(trial)]
    if len(rows) != options.trials * options.epochs:
        raise RuntimeError(f"{len(rows)} epochs, not {options.trials} x {options.epochs}")
    seconds = [row["metrics"]["seconds"] for row in rows]
    return Measured(
        wall=end - begin,
        start=min(row["timestamp"] / 1000 - row["metrics"]["seconds"] for row in rows) - begin,
        end=end - max(row["timestamp"] for row in rows) / 1000,
        training=sum(seconds),
        driver=json.loads((folder / "took.json").read_text())["cpu"],
        epoch=statistics.median(seconds),
    )


def bare_epoch(configs: list[TrialConfig], folder: Path, options: Any) -> float:
    """Median seconds of an epoch with as many processes at a time as the sweep has slots."""
    some = configs[: 2 * options.slots]
    with ProcessPoolExecutor(options.slots, get_context("spawn")) as pool:
        jobs = [
            pool.submit(train, config, folder / "bare" / str(number), options.threads)
            for number, config in enumerate(some)
        ]
        return statistics.median(seconds for job in jobs for seconds in job.result())


def train(config: TrialConfig, folder: Path, threads: int) -> list[float]:
    """Seconds of every epoch."""
    import torch

    from cefl.trial import run_trial

    torch.set_num_threads(threads)
    return [row["metrics"]["seconds"] for row in run_trial(config, folder)]


if __name__ == "__main__":
    main()
