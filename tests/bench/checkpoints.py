"""What writing checkpoints takes of the training:   uv run python tests/bench/checkpoints.py

Real checkpoints of ResNet-20 and ResNet-18 (weights and momentum) are written by the very loop of a trial, to
the disk of --folder. Only its clock is set forward by an epoch where a trial would train one, so that epochs
of any length take no time here: 15 and 127 s are those of one EPYC core on CIFAR-10 at rho 100, 0.5 s is that
of ResNet-18 on an A100, 2.1 s the same on all of CIFAR-10. Beside the share stands what a kill costs at most:
the longest training between two checkpoints.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import torch
from measuring import Bench, scratch, timed

from cefl import trial
from cefl.checkpoint_files import found
from cefl.checkpoints import save_checkpoint
from cefl.config import TrialConfig
from cefl.losses import build_loss
from cefl.models import build_model
from cefl.recipes import Recipe
from cefl.training import EpochResult, Fit, ImageSet, fit

EPOCHS = 100
CASES = {"resnet20": (0.25, 2.1, 15.0), "resnet18": (0.5, 2.1, 127.0)}
"""Seconds of an epoch."""


class Clock:
    """The system's, set forward."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self.time_ns = time.time_ns

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


class Paced:
    """A training whose epochs take the clock's time and no other."""

    def __init__(self, run: Fit, clock: Clock, seconds: float) -> None:
        self.run, self.clock, self.seconds = run, clock, seconds
        self.model, self.size, self.state_dict = run.model, run.size, run.state_dict

    def __iter__(self) -> Iterator[EpochResult]:
        for epoch in range(1, EPOCHS + 1):
            self.clock.ahead += self.seconds
            yield EpochResult(epoch, 0.1, 1.0, 0.5, {}, self.seconds, 1.0)


def main() -> None:
    """Measure and print."""
    bench = Bench("checkpoints", __doc__, repetitions=5, options={"folder": ""})
    cases = {"resnet20": (2.1,)} if bench.quick else CASES
    for model, paces in cases.items():
        run = begun(model)
        with scratch() as folder:
            place = Path(bench.options.folder or folder) / "checkpoints"
            place.mkdir(exist_ok=True)
            state = run.state_dict()
            epochs = count(1)

            def write(place: Path = place, epochs: Iterator[int] = epochs, state: Any = state) -> None:
                save_checkpoint(place, next(epochs), state)

            bench.add(
                f"{model}: one checkpoint",
                [1000 * each for each in timed(write, bench.repetitions)],
                "ms", note=f"{found(place)[0][1].stat().st_size / 1e6:.1f} MB",
            )  # fmt: skip
            for seconds in paces:
                told(
                    bench,
                    model,
                    seconds,
                    [trained(run, place / str(n), seconds) for n in range(bench.repetitions)],
                )
    bench.finish()


def told(bench: Bench, model: str, seconds: float, measured: list[tuple[float, float, int]]) -> None:
    """The figures of one pace."""
    about = f"{model}, {EPOCHS} epochs of {seconds:g} s"
    shares = [100 * share for share, _, _ in measured]
    written = f"{measured[0][2]} written"
    bench.add(f"{about}: time for checkpoints", shares, "%", at_most=2, note=written)
    bench.add(f"{about}: lost by a kill at most", [lost for _, lost, _ in measured], "s")


def begun(model: str) -> Fit:
    """A training that has taken a step, so that there is momentum."""
    images = ImageSet(torch.zeros(16, 32, 32, 3, dtype=torch.uint8), torch.arange(16) % 10, torch.arange(16))
    recipe = Recipe(epochs=1, batch_size=16, learning_rate=0.1)
    whitened: dict[str, Any] = {"mean": torch.full((3,), 0.5), "std": torch.ones(3)}
    loss = build_loss("cross_entropy", {}, train_counts=[1] * 10, epochs=1)
    run = fit(build_model(model, 10, 3, 32), loss, images, recipe, seed=0, **whitened)
    next(run)
    return run


def trained(run: Fit, folder: Path, seconds: float) -> tuple[float, float, int]:
    """Share of the time that went into checkpoints, longest time without one, and how many there were."""
    config = TrialConfig(
        data="", digest="", imbalance=100.0, order="ascending", validation={"unused": 100}, model="resnet20",
        pretrained=False, loss="cross_entropy", params={}, seed=0,
        recipe=Recipe(epochs=EPOCHS + 1, batch_size=128, learning_rate=0.05),
    )  # fmt: skip
    clock = Clock()
    trial.time = cast(Any, clock)
    epochs: list[int] = []
    begin = clock.monotonic()
    try:
        paced, nothing = cast(Fit, Paced(run, clock, seconds)), cast(Any, SimpleNamespace())
        for _ in trial._rows(config, folder, nothing, nothing, paced, []):
            there = found(folder)
            if there and there[0][0] not in epochs:
                epochs.append(there[0][0])
    finally:
        trial.time = time
    took = clock.monotonic() - begin
    gaps = [after - before for before, after in zip([0, *epochs], [*epochs, EPOCHS], strict=True)]
    return (took - EPOCHS * seconds) / took, seconds * max(gaps), len(epochs)


if __name__ == "__main__":
    main()
