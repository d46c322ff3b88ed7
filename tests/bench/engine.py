"""The training engine against a plain, tuned PyTorch loop: same model, images, batch and recipe.

    uv run python tests/bench/engine.py --data cifar10.npz --model resnet18
    uv run python tests/bench/engine.py --data cifar10.npz --device cuda --images 0 --test 10000
    uv run python tests/bench/engine.py --data cifar10.npz --model resnet20 --images 2000 --epochs 20 \\
        --test 10000 --equivalence 10

The first prints images/s of the training pass, each way in a process of its own, an epoch of each in turn,
so that a busy machine slows all alike, and ratios of repetitions side by side. The plain loop is that of
`plain_loop`: float32, in PyTorch's own layout and in channels-last. On the CPU a training has one thread
unless --threads says otherwise; the plain loop has its workers besides. The second is the target of an
H100: 100 epochs of a long tail at 100, evaluation each epoch included.

The third asks whether the final accuracies are equivalent: both train with as many seeds, in pairs, and two
one-sided t-tests follow (margin: 1 point). Results are kept in --state, so the same command goes on. The
number of seeds is to be chosen before the test is looked at: the power of a few seeds says how many it
takes.

--data is an NPZ in the layout of MedMNIST, of RGB images; without it, scikit-learn's digits enlarged to 32
px.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from equivalence import equivalence
from measuring import Bench
from numpy.typing import NDArray
from plain_loop import PlainLoop

from cefl.longtail import longtail_indices
from cefl.losses import build_loss
from cefl.models import build_model
from cefl.recipes import PRESETS, Recipe
from cefl.training import Fit, ImageSet, fit, resolve_precision

OPTIONS = {
    "data": "digits", "model": "resnet18", "images": 1024, "imbalance": 100.0, "batch": 128, "epochs": 100,
    "test": 0, "device": "cpu", "precision": "auto", "threads": 1, "workers": 2, "equivalence": 0,
    "state": "engine-equivalence.jsonl",
}  # fmt: skip
QUICK = {
    "model": "resnet8", "images": 200, "imbalance": 1.0, "batch": 20, "epochs": 4, "test": 200, "workers": 1,
}  # fmt: skip
WAYS = ("engine", "plain loop", "plain loop, channels-last")
POINT = 0.01
CPU_TARGET, GPU_TARGET = 2.2, 45.0
"""Times as fast as the plain loop with bf16; seconds for 100 epochs."""


@dataclass(frozen=True)
class Data:
    """Images ``(N, H, W, 3)`` and labels of both splits, with the statistics of the training images."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]

    @property
    def statistics(self) -> dict[str, torch.Tensor]:
        """Mean and deviation of each channel, of pixels in [0, 1]."""
        mean, std = (of(self.images / 255.0, axis=(0, 1, 2)) for of in (np.mean, np.std))
        return {
            "mean": torch.tensor(mean, dtype=torch.float32),
            "std": torch.tensor(std, dtype=torch.float32),
        }

    @property
    def digest(self) -> str:
        """Of all pixels."""
        return hashlib.sha256(self.images.tobytes() + self.test_images.tobytes()).hexdigest()[:12]


def read(options: Any, seed: int = 0) -> Data:
    """The long tail of the training images, at most ``--images`` of it, and ``--test`` test images."""
    images, labels, test_images, test_labels = digits() if options.data == "digits" else npz(options.data)
    chosen = longtail_indices(labels, options.imbalance, seed)
    random = np.random.default_rng(seed)
    if options.images:
        chosen = random.permutation(chosen)[: options.images]
    shown = np.random.default_rng(0).permutation(len(test_images))[: options.test]
    return Data(images[chosen], labels[chosen], test_images[shown], test_labels[shown])


def digits() -> tuple[NDArray[Any], ...]:
    """scikit-learn's 1,797 digits as 32 px RGB."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    large = (pixels.reshape(-1, 8, 8) * 15.9375).astype(np.uint8).repeat(4, axis=1).repeat(4, axis=2)
    colour, labels = np.repeat(large[..., None], 3, axis=3), labels.astype(np.int64)
    return colour[:1400], labels[:1400], colour[1400:], labels[1400:]


def npz(path: str) -> tuple[NDArray[Any], ...]:
    """Both splits of a file; exits with what is wrong."""
    names = ("train_images", "train_labels", "test_images", "test_labels")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            images, labels, test_images, test_labels = (arrays[name] for name in names)
    except (OSError, KeyError, ValueError) as error:
        sys.exit(f"--data {path}: cannot be read ({error}); it must be an NPZ with {', '.join(names)}")
    if images.ndim != 4 or images.shape[3] != 3:
        sys.exit(f"--data {path}: train_images must be (N, H, W, 3), but got {images.shape}")
    return images, labels.reshape(-1).astype(np.int64), test_images, test_labels.reshape(-1).astype(np.int64)


def engine(options: Any, data: Data, recipe: Recipe, seed: int = 0) -> Fit:
    """The training by the engine."""
    classes, size = int(data.labels.max()) + 1, data.images.shape[1]

    def images_of(pixels: NDArray[np.uint8], labels: NDArray[np.int64]) -> ImageSet:
        tensors = torch.from_numpy(pixels), torch.from_numpy(labels), torch.arange(len(labels))
        return ImageSet(*(tensor.to(options.device) for tensor in tensors))

    sets = {"test": images_of(data.test_images, data.test_labels)} if len(data.test_labels) else {}
    return fit(
        build_model(options.model, classes, 3, size, seed=seed), build_loss("cross_entropy", {}),
        images_of(data.images, data.labels), recipe, seed=seed, each_epoch=sets, device=options.device,
        precision=options.precision, **data.statistics,
    )  # fmt: skip


def plain(options: Any, data: Data, recipe: Recipe, seed: int = 0, channels_last: bool = False) -> PlainLoop:
    """The training by the plain loop, from the same weights."""
    classes, size = int(data.labels.max()) + 1, data.images.shape[1]
    return PlainLoop(
        build_model(options.model, classes, 3, size, seed=seed), (data.images, data.labels),
        (data.test_images, data.test_labels), recipe, seed=seed, device=options.device,
        workers=options.workers, channels_last=channels_last, **data.statistics,
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


@contextmanager
def apart(way: str, options: Any, recipe: Recipe) -> Iterator[Connection]:
    """A process for one way, so that what the engine sets for its process serves no other."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(way, options, recipe, theirs))
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        process.join(120)  # Loaders take seconds to end, more on a busy machine.
        if process.is_alive():
            kill_tree(process.pid)


def kill_tree(pid: int) -> None:
    """A process that does not end, with its loaders."""
    with suppress(psutil.NoSuchProcess):
        for each in (*psutil.Process(pid).children(recursive=True), psutil.Process(pid)):
            with suppress(psutil.NoSuchProcess):
                each.kill()


def speed(bench: Bench, options: Any) -> None:
    """Images/s of all ways, and their ratios."""
    images = len(read(options).labels)
    # Long enough for the first epoch, which warms up; the schedule does not matter here.
    recipe = recipe_of(options, max(options.epochs, bench.repetitions + 1))
    passes: dict[str, list[float]] = {way: [] for way in WAYS}
    epochs: dict[str, list[float]] = {way: [] for way in WAYS}
    with ExitStack() as stack:
        processes = {way: stack.enter_context(apart(way, options, recipe)) for way in WAYS}
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
        bench.add(f"{way}, training, images/s", [images / each for each in passes[way]], "/s")
        if options.test:
            bench.add(f"{way}, an epoch with evaluation", epochs[way], "s")
    on_cpu = options.device == "cpu" and bench.conditions["precision"] == "bf16"
    for way in WAYS[1:]:
        ratios = [theirs / ours for ours, theirs in zip(passes["engine"], passes[way], strict=True)]
        target = CPU_TARGET if on_cpu and way == "plain loop" and not bench.quick else None
        bench.add(f"engine over {way}", ratios, "x", at_least=target)
    if options.device != "cpu" and options.test:
        hundred = [100 * each for each in epochs["engine"]]
        bench.add(
            "engine, 100 epochs with evaluation", hundred, "s", at_most=GPU_TARGET, note="100 x one epoch"
        )


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
        *_, last = engine(options, data, recipe, seed)
        loop = plain(options, data, recipe, seed)
        for _ in range(recipe.epochs):
            loop.epoch()
        line = {"conditions": conditions, "seed": seed, "plain": loop.accuracy()}
        line["engine"] = last.splits["test"].metrics["accuracy"]
        with state.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())
        bench.note(f"  seed {seed}: engine {line['engine']:.4f}, plain loop {line['plain']:.4f}")
        kept.append(line)
    for name in ("engine", "plain"):
        bench.add(f"accuracy, {name}", [100 * line[name] for line in kept], "%")
    try:
        told = equivalence([line["engine"] - line["plain"] for line in kept], POINT)
    except ValueError as error:
        bench.note(f"  no test: {error}")
        return
    bench.add(
        "p of the equivalence test, margin 1 point", [told.p], "", at_most=None if bench.quick else 0.05
    )
    bench.note(
        f"  engine - plain: {100 * told.difference:+.2f} points, 90% interval {100 * told.low:+.2f} to"
        f" {100 * told.high:+.2f}, deviation {100 * told.deviation:.2f}, n = {len(kept)}; power for equal"
        f" means {told.power:.2f}; {told.seeds} seeds would have 0.80"
    )


def recipe_of(options: Any, epochs: int) -> Recipe:
    """The paper's recipe for CIFAR, shortened, with the batch asked for."""
    return replace(PRESETS["cifar"].for_epochs(epochs), batch_size=options.batch)


def main() -> None:
    """Measure and print."""
    bench = Bench("engine", __doc__, repetitions=5, options=OPTIONS)
    options = bench.options
    if bench.quick:
        vars(options).update(QUICK)
    if options.equivalence and not options.test:
        sys.exit("--equivalence needs --test, the number of test images: 10000")
    torch.set_num_threads(options.threads)
    bench.conditions |= {name: vars(options)[name] for name in OPTIONS}
    bench.conditions["precision"] = resolve_precision(options.precision, torch.device(options.device))
    bench.note("  " + "; ".join(f"{name} {bench.conditions[name]}" for name in OPTIONS))
    (accuracies if options.equivalence else speed)(bench, options)
    bench.finish()


if __name__ == "__main__":
    main()
