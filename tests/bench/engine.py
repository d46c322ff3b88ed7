"""The training engine against a plain, tuned PyTorch loop: same model, images, batch and recipe.

    uv run python tests/bench/engine.py --data cifar10.npz --model resnet18,resnet20
    uv run python tests/bench/engine.py --data cifar10.npz --device cuda --images 0 --test 10000
    uv run python tests/bench/engine.py --data cifar10.npz --model resnet8 --images 4000 --imbalance 1 \\
        --epochs 20 --test 10000 --equivalence 24

The first prints images/s of the training pass, each way in a process of its own, an epoch of each in turn,
so that a busy machine slows all alike, and ratios of repetitions side by side. The plain loop is that of
`plain_loop`: float32, in PyTorch's own layout and in channels-last; the faster of the two is what the engine
is judged by. On the CPU a training has one thread unless --threads says otherwise; the plain loop has
--workers processes besides that load its images: 2 on the CPU, on a GPU one for each core but one.

The second is the target of an H100: 100 epochs of a long tail at 100, evaluation each epoch included, as one
whole training in a process of its own, from the first step to the last evaluation, warm-up and all.

The third asks whether the final accuracies are equivalent: both train with as many seeds, in pairs, and two
one-sided t-tests follow (margin: 1 point). Results are kept in --state, so the same command goes on. The
number of seeds is to be chosen before the test is looked at: the power of a few seeds says how many it
takes.

--data is an NPZ in the layout of MedMNIST, of RGB images; without it, cifar10.npz is looked for in this
folder and in ../shared/data, and where there is none, scikit-learn's digits are enlarged to 32 px.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from bench_training import Data, choose, device_of, engine, known, read, recipe_of
from equivalence import equivalence
from measuring import Bench, apart, cores
from plain_loop import PlainLoop

from cefl.models import build_model
from cefl.recipes import Recipe
from cefl.training import resolve_precision

OPTIONS = {
    "data": "", "model": "resnet18", "images": 1024, "imbalance": 100.0, "batch": 128, "epochs": 100,
    "test": 0, "device": "cpu", "precision": "auto", "threads": 1, "workers": "auto", "equivalence": 0,
    "state": "engine-equivalence.jsonl",
}  # fmt: skip
QUICK = {
    "model": "resnet8", "images": 200, "imbalance": 1.0, "batch": 20, "epochs": 4, "test": 200,
    "workers": "1",
}  # fmt: skip
PLAIN = ("plain loop", "plain loop, channels-last")
WAYS = ("engine", *PLAIN)
POINT = 0.01
CPU_TARGET, GPU_TARGET = 2.2, 45.0
"""Times as fast as the plain loop with bf16; seconds for 100 epochs of ResNet-18 on an H100."""

WHOLE = 3
"""Most whole trainings that are timed."""


def plain(options: Any, data: Data, recipe: Recipe, seed: int = 0, channels_last: bool = False) -> PlainLoop:
    """The training by the plain loop, from the same weights."""
    classes, size = int(data.labels.max()) + 1, data.images.shape[1]
    return PlainLoop(
        build_model(options.model, classes, 3, size, seed=seed), (data.images, data.labels),
        (data.test_images, data.test_labels), recipe, seed=seed, device=options.device,
        workers=int(options.workers), channels_last=channels_last, **data.statistics,
    )  # fmt: skip


def epochs_of(way: str, options: Any, recipe: Recipe) -> Iterator[tuple[float, float]]:
    """Seconds of the training pass, and of the whole epoch with its evaluation."""
    data = read(options)
    if way == "engine":
        for result in engine(options, data, recipe):
            yield len(data.labels) / result.images_per_second, result.seconds
        return
    loop = plain(options, data, recipe, channels_last="channels-last" in way)
    while True:
        seconds, begin = loop.epoch(), time.perf_counter()
        if options.test:
            loop.accuracy()
        yield seconds, seconds + time.perf_counter() - begin


def serve(way: str, options: Any, recipe: Recipe, asked: Connection) -> None:
    """Train an epoch whenever a message comes; ends when there are no more."""
    torch.set_num_threads(options.threads)
    epochs = epochs_of(way, options, recipe)
    with suppress(EOFError, KeyboardInterrupt):
        while True:
            asked.recv()
            asked.send(next(epochs))


def train_whole(options: Any, recipe: Recipe, asked: Connection) -> None:
    """Train once, from the first step to the last evaluation, and send the seconds."""
    torch.set_num_threads(options.threads)
    training = engine(options, read(options), recipe)
    begin = time.perf_counter()
    for _ in training:  # An epoch ends in numbers, and so has waited for the device.
        pass
    asked.send(time.perf_counter() - begin)


def speed(bench: Bench, options: Any) -> None:
    """Images/s of all ways, and their ratios."""
    images = len(read(options).labels)
    # Long enough for the first epoch, which warms up; the schedule does not matter here.
    recipe = recipe_of(options, max(options.epochs, bench.repetitions + 1))
    passes: dict[str, list[float]] = {way: [] for way in WAYS}
    epochs: dict[str, list[float]] = {way: [] for way in WAYS}
    with ExitStack() as stack:
        processes = {way: stack.enter_context(apart(serve, way, options, recipe)) for way in WAYS}
        for repetition in range(bench.repetitions + 1):
            for way, asked in processes.items():
                asked.send("next")
                pass_seconds, epoch_seconds = asked.recv()
                if repetition:
                    passes[way].append(pass_seconds)
                    epochs[way].append(epoch_seconds)
        for asked in processes.values():
            asked.close()  # All end at the same time.
    for way in WAYS:
        title = f"{options.model}: {way}"
        bench.add(f"{title}, training, images/s", [images / each for each in passes[way]], "/s")
        if options.test:
            bench.add(f"{title}, an epoch with evaluation", epochs[way], "s")
    judged(bench, options, passes)
    if options.test and (options.device != "cpu" or bench.quick):
        whole(bench, options)


def judged(bench: Bench, options: Any, passes: dict[str, list[float]]) -> None:
    """The engine against each layout of the plain loop; a tuned loop has the faster one."""
    ratios = {way: [a / b for a, b in zip(passes[way], passes["engine"], strict=True)] for way in PLAIN}
    for way in PLAIN:
        bench.add(f"{options.model}: engine over {way}", ratios[way], "x")
    on_cpu = options.device == "cpu" and bench.conditions["precision"] == "bf16"
    fastest = min(PLAIN, key=lambda way: statistics.median(ratios[way]))
    bench.add(
        f"{options.model}: engine over the faster plain loop", ratios[fastest], "x",
        at_least=CPU_TARGET if on_cpu and not bench.quick else None, note=f"which is: {fastest}",
    )  # fmt: skip


def whole(bench: Bench, options: Any) -> None:
    """Whole trainings by the engine, each in a process of its own."""
    recipe, seconds = recipe_of(options, options.epochs), []
    for _ in range(min(WHOLE, bench.repetitions)):
        with apart(train_whole, options, recipe) as asked:
            seconds.append(asked.recv())
    aimed = (options.model, recipe.epochs, options.images, options.imbalance) == ("resnet18", 100, 0, 100.0)
    bench.add(
        f"{options.model}: engine, {recipe.epochs} epochs with evaluation", seconds, "s",
        at_most=GPU_TARGET if aimed and not bench.quick else None, note="one whole training",
    )  # fmt: skip


def accuracies(bench: Bench, options: Any) -> None:
    """Train pairs until there are enough, keep each result, and test."""
    conditions = {
        name: vars(options)[name]
        for name in ("data", "model", "images", "imbalance", "batch", "epochs", "test", "device")
    } | {"precision": bench.conditions["precision"], "digest": read(options).digest}
    kept, state = [], Path(options.state)
    if state.exists():
        lines = [json.loads(line) for line in state.read_text(encoding="utf-8").splitlines()]
        kept = [line for line in lines if line["conditions"] == conditions]
    for seed in sorted(set(range(options.equivalence)) - {line["seed"] for line in kept}):
        data, recipe = read(options, seed), recipe_of(options, options.epochs)
        *_, last = engine(options, data, recipe, seed, tested="last_epoch")
        loop = plain(options, data, recipe, seed, channels_last=True)  # The faster one.
        for _ in range(recipe.epochs):
            loop.epoch()
        line = {"conditions": conditions, "seed": seed, "plain": loop.accuracy()}
        line["engine"] = last.splits["test"].metrics["accuracy"]
        with state.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())
        bench.note(
            f"  {options.model}, seed {seed}: engine {line['engine']:.4f}, plain loop {line['plain']:.4f}"
        )
        kept.append(line)
    for name in ("engine", "plain"):
        bench.add(f"{options.model}: accuracy, {name}", [100 * line[name] for line in kept], "%")
    try:
        found = equivalence([line["engine"] - line["plain"] for line in kept], POINT)
    except ValueError as error:
        bench.note(f"  {options.model}: no test: {error}")
        return
    bench.add(
        f"{options.model}: p of the equivalence test, margin 1 point", [found.p], "",
        at_most=None if bench.quick else 0.05,
    )  # fmt: skip
    bench.note(
        f"  engine - plain: {100 * found.difference:+.2f} points, 90% interval {100 * found.low:+.2f} to"
        f" {100 * found.high:+.2f}, deviation {100 * found.deviation:.2f}, n = {len(kept)}; power for equal"
        f" means {found.power:.2f}; {found.seeds} seeds would have 0.80"
    )


def checked(options: Any) -> list[Any]:
    """The options of every model that is named; exits with what is wrong."""
    if options.equivalence and not options.test:
        sys.exit("--equivalence needs --test, the number of test images: 10000")
    options.device = device_of(options.device)
    if options.workers == "auto":
        options.workers = "2" if options.device == "cpu" else str(max(1, cores() - 1))
    if not options.workers.isdecimal():
        sys.exit(f"--workers: must be a number, or auto, but got {options.workers!r}")
    models = [name.strip() for name in options.model.split(",")]
    for name in models:
        known(name)
    return [Namespace(**vars(options) | {"model": name}) for name in models]


def main() -> None:
    """Measure and print."""
    bench = Bench("engine", __doc__, repetitions=5, options=OPTIONS)
    options = bench.options
    if bench.quick:
        vars(options).update(QUICK)
    choose(bench)
    each = checked(options)
    torch.set_num_threads(options.threads)
    bench.conditions |= {name: vars(options)[name] for name in OPTIONS}
    bench.conditions["precision"] = resolve_precision(options.precision, torch.device(options.device))
    bench.note("  " + "; ".join(f"{name} {bench.conditions[name]}" for name in (*OPTIONS, "images from")))
    for one in each:
        (accuracies if options.equivalence else speed)(bench, one)
    bench.finish()


if __name__ == "__main__":
    main()
