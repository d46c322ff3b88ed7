"""How many trainings at a time make the most of one device?

    uv run python tests/bench/packing.py --data cifar10.npz            # on a GPU where there is one
    uv run python tests/bench/packing.py --device cpu --images 512

On a GPU 1, 2, 4 and 8 processes train at the same time, each a network of its own by `cefl.training`, as
trials do that share it (`resources: {gpus: 0.25}`), without MPS and with it: NVIDIA's Multi-Process Service,
which lets kernels of several processes run side by side. Its control daemon is started for this benchmark
alone, and ended with it; where an ordinary user cannot start it, the figures with it are left out, and a line
says why. On the CPU the processes share the cores: 2 cores are 1 process x 2 threads or 2 x 1.

Images/s are those of all processes together, in --seconds in which all of them train (the first epoch of
each, before that, warms up). Every way is measured in new processes, one way after the other and all of them
again, so that what else the machine does falls on all; ratios are of one repetition.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_training import choose, device_of, engine, known, read, recipe_of
from measuring import Bench, apart, cores, scratch

OPTIONS = {
    "data": "", "model": "resnet18", "images": 0, "imbalance": 100.0, "batch": 128, "test": 0,
    "device": "auto", "precision": "auto", "processes": "1,2,4,8", "seconds": 20.0,
}  # fmt: skip
QUICK = {"model": "resnet8", "images": 64, "imbalance": 1.0, "batch": 16, "processes": "1,2", "seconds": 0.5}
EPOCHS = 1_000_000  # More than fit into any time: the schedule does not matter here.
CONTROL = "nvidia-cuda-mps-control"
PIPES, LOGS = "CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"
AHEAD = 0.05
"""Seconds in which every process hears when it begins."""


@dataclass(frozen=True)
class Way:
    """So many processes, each with so many threads."""

    processes: int
    threads: int
    mps: bool = False

    def __str__(self) -> str:
        many = "es" if self.processes > 1 else ""
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return f"{self.processes} process{many} x {threads}{', MPS' if self.mps else ''}"


def main() -> None:
    """Measure and print."""
    bench = Bench("packing", __doc__, repetitions=3, options=OPTIONS)
    options = bench.options
    if bench.quick:
        vars(options).update(QUICK)
    options.device = device_of(options.device)
    choose(bench)
    known(options.model)
    bench.conditions |= {name: vars(options)[name] for name in OPTIONS}
    bench.note("  " + "; ".join(f"{name} {bench.conditions[name]}" for name in (*OPTIONS, "images from")))
    counts = numbers(options.processes)
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        environments = {False: {PIPES: str(folder / "nobody")}}  # Nor is a daemon used that others run.
        ways = on_cpu(counts, cores()) if options.device == "cpu" else on_gpu(counts, cores())
        if options.device != "cpu":
            try:
                environments[True] = stack.enter_context(mps(folder))
            except RuntimeError as error:
                bench.note(f"  without MPS: {error}")
                ways = [way for way in ways if not way.mps]
        told(bench, measure(bench, ways, environments))
    bench.finish()


def numbers(text: str) -> list[int]:
    """How many processes, ascending, one among them; exits with what is wrong."""
    try:
        found = sorted({1, *(int(each) for each in text.split(","))})
    except ValueError:
        found = [0]
    if found[0] < 1:
        sys.exit(f"--processes: must be numbers from 1 on, such as 1,2,4, but got {text!r}")
    return found


def on_cpu(counts: Sequence[int], there: int) -> list[Way]:
    """Those that have a core each, with all cores shared out."""
    return [Way(count, there // count) for count in counts if count <= there]


def on_gpu(counts: Sequence[int], there: int) -> list[Way]:
    """Without MPS, then with it."""
    return [Way(count, max(1, there // count), mps) for mps in (False, True) for count in counts]


def measure(
    bench: Bench, ways: list[Way], environments: Mapping[bool, Mapping[str, str]]
) -> dict[Way, list[float]]:
    """Images/s of every way, one value a repetition; a way that fails is told and left out."""
    found: dict[Way, list[float]] = {way: [] for way in ways}
    for number in range(bench.repetitions):
        for way in list(found):
            try:
                found[way].append(together(bench.options, way, environments[way.mps]))
            except RuntimeError as error:
                bench.note(f"  {way}: left out, {error}")
                del found[way]
        bench.note(f"  repetition {number + 1} of {bench.repetitions}")
    return found


def together(options: Any, way: Way, environment: Mapping[str, str]) -> float:
    """Images/s of all processes of a way.

    Raises:
        RuntimeError: If one of them dies, or with MPS none came to its daemon.
    """
    with ExitStack() as stack:
        with environ(environment):
            processes = [
                stack.enter_context(apart(train, options, way.threads, seed)) for seed in range(way.processes)
            ]
        try:
            for asked in processes:
                asked.recv()  # Warm.
            if way.mps and not served(environment):
                raise RuntimeError("its processes do not use MPS")
            begin = time.monotonic() + AHEAD
            for asked in processes:
                asked.send((begin, begin + options.seconds))
            return sum(rate(*asked.recv(), begin, begin + options.seconds) for asked in processes)
        except (EOFError, OSError) as error:
            raise RuntimeError("one of its processes died; what it said stands above") from error


def train(options: Any, threads: int, seed: int, asked: Connection) -> None:
    """Warm up, then train from the moment that is told past the other one; send the end of every epoch."""
    torch.set_num_threads(threads)
    data = read(options)
    training = engine(options, data, recipe_of(options, EPOCHS), seed)
    next(training)
    asked.send("warm")
    try:
        begin, end = asked.recv()
    except EOFError:  # Another process could not begin.
        return
    time.sleep(max(0.0, begin - time.monotonic()))
    ends = [time.monotonic()]  # One clock for all processes of a machine.
    while ends[-1] < end:
        next(training)
        ends.append(time.monotonic())
    asked.send((len(data.labels), ends))


def rate(images: int, ends: Sequence[float], begin: float, end: float) -> float:
    """Images/s of one process between two moments; within an epoch they are taken to come evenly.

    Args:
        images: Of an epoch.
        ends: When the first epoch began, and when each ended.
    """
    done = np.interp([begin, end], ends, images * np.arange(len(ends)))
    return float(done[1] - done[0]) / (end - begin)


def told(bench: Bench, found: Mapping[Way, list[float]]) -> None:
    """The figures, and which way is the best."""
    alone = next((values for way, values in found.items() if way.processes == 1 and not way.mps), None)
    if alone is None:
        sys.exit("one process alone could not be measured, so there is nothing to compare with")
    for way, values in found.items():
        bench.add(f"{way}: images/s in all", values, "/s")
        if values is not alone:
            ratios = [ours / one for ours, one in zip(values, alone, strict=True)]
            bench.add(f"{way}: over one process", ratios, "x")
    best = max(found, key=lambda way: statistics.median(found[way]))
    share = f"cpus: {best.threads}" if bench.options.device == "cpu" else f"gpus: {1 / best.processes:g}"
    bench.note(f"  most images/s: {best}; in a specification `resources: {{{share}}}`")


@contextmanager
def environ(values: Mapping[str, str]) -> Iterator[None]:
    """Variables for the processes that are started within."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def mps(folder: Path) -> Iterator[dict[str, str]]:
    """A control daemon of our own; what its clients need in their environment.

    Raises:
        RuntimeError: If it cannot be started, with the reason.
    """
    if shutil.which(CONTROL) is None:
        raise RuntimeError(f"there is no {CONTROL} here; it comes with NVIDIA's driver")
    found = {PIPES: str(folder / "pipes"), LOGS: str(folder / "logs")}
    for each in found.values():
        Path(each).mkdir()
    with (folder / "said").open("w+") as said:  # No pipe, which the daemon would keep open.
        started = subprocess.run(
            [CONTROL, "-d"], env=os.environ | found, stdout=said, stderr=said, timeout=60
        )
        said.seek(0)
        words = " ".join(said.read().split())
    if started.returncode:
        raise RuntimeError(f"{CONTROL} -d: exit code {started.returncode}; {words or 'it says nothing'}")
    try:
        yield found
    finally:
        control("quit", found)


def served(environment: Mapping[str, str]) -> bool:
    """Whether the daemon has a server, as it has since its first client came."""
    return bool(control("get_server_list", environment).strip())


def control(command: str, environment: Mapping[str, str]) -> str:
    """What the daemon answers."""
    return subprocess.run(
        [CONTROL], input=f"{command}\n", env=os.environ | dict(environment), capture_output=True, text=True,
        timeout=60, check=False,
    ).stdout  # fmt: skip


if __name__ == "__main__":
    main()
