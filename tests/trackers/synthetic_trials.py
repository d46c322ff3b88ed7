"""Made-up but realistic results: sweeps with a known order, for tests of all that comes after training.

Accuracy follows a smooth curve of gamma for every loss, plus noise of 0.7 points over seeds, as measured on
small ResNets; training curves fall, with a jump at the drop of the learning rate.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from trackers.table import TrialResult

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
TRAIN_COUNTS = (50, 83, 139, 232, 387, 645, 1077, 1796, 2997, 5000)
HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    "=cmd()|' /C calc'!A0",
    "[x](javascript:alert(1))",
    "a | b",
    "%{x} <a href='javascript:alert(3)'>y</a>",
    "@SUM(1+1)",
    "-2+3",
    "&lt;b&gt; & 'quotes' \"both\"",
    "x" * 70,
)
GAIN = {"cross_entropy": 0.0, "focal": 0.012, "cefl": 0.031, "cefl2": 0.027}


def trial(**changes: Any) -> TrialResult:
    """One complete trial of cross-entropy, changed as asked; the key follows from its arm and seed."""
    values: dict[str, Any] = {
        "study": "demo/cell/cross_entropy", "number": 0, "state": "complete", "cell": "cell",
        "dataset": "cifar10",
        "imbalance": 100.0, "order": "ascending", "model": "resnet20", "depth": 20, "pretrained": False,
        "loss": "cross_entropy", "params": {}, "seed": 0, "kind": "point", "epochs": 3, "score": 0.5,
    }  # fmt: skip
    values.update(changes)
    decides = [values[name] for name in ("cell", "loss", "params", "seed", "kind")]
    values.setdefault("key", hashlib.sha256(repr(decides).encode()).hexdigest()[:12])
    return TrialResult(**values)


def sweep(
    classes: tuple[str, ...] = CLASSES,
    imbalances: tuple[float, ...] = (100.0, 10.0),
    epochs: int = 40,
    seeds: int = 3,
    asks: int = 6,
    seed: int = 0,
) -> list[TrialResult]:
    """A grid of four losses over seeds, asks, and in every cell a pruned, a failed and a reused trial."""
    rng = np.random.default_rng(seed)
    trials: list[TrialResult] = []
    for imbalance in imbalances:
        cell = f"cifar10-rho{imbalance:g}-resnet20"
        base = 0.62 if imbalance >= 50 else 0.81
        plan: list[tuple[str, dict[str, float], int, str]] = []
        for number in range(seeds):
            plan.append(("cross_entropy", {}, number, "point"))
            for loss in ("focal", "cefl", "cefl2"):
                for gamma in (0.5, 1.0, 2.0, 5.0):
                    extra = {"alpha": 1.0} if loss == "focal" else {}
                    plan.append((loss, {"gamma": gamma} | extra, number, "point"))
        for loss in ("cefl", "cefl2"):
            plan += [(loss, {"gamma": float(rng.uniform(0.2, 6.0))}, 0, "ask") for _ in range(asks)]
        for number, (loss, params, run_seed, kind) in enumerate(plan):
            gamma = params.get("gamma", 0.0)
            final = base + GAIN[loss] * float(np.exp(-((np.log1p(gamma) - np.log1p(2.0)) ** 2) / 0.8))
            final += float(rng.normal(0, 0.007))
            state, reason = "complete", None
            if loss == "focal" and gamma == 5.0 and run_seed == 1:
                state, reason = "failed", "not finite: train/loss is NaN in epoch 7"
            if kind == "ask" and number == len(plan) - 1:
                state, reason = "pruned", "below the median of 5 at epoch 26"
            reached = {"failed": 6, "pruned": 26}.get(state, epochs)
            trials.append(
                _trained(
                    rng, final, reached, classes,
                    cell=cell, imbalance=imbalance, study=f"demo/{cell}/{loss}", number=number, state=state,
                    reason=reason, loss=loss, params=params, seed=run_seed, kind=kind, epochs=epochs,
                    origin="earlier-sweep" if loss == "cross_entropy" and run_seed == 0 else None,
                )
            )  # fmt: skip
    return trials


def _trained(
    rng: np.random.Generator, final: float, reached: int, classes: tuple[str, ...], **changes: Any
) -> TrialResult:
    epochs = changes["epochs"]
    rows = []
    for epoch in range(1, reached + 1):
        dropped = epoch > 0.6 * epochs
        progress = 1 - np.exp(-4 * epoch / epochs)
        accuracy = final * progress * (1.0 if dropped else 0.92) + rng.normal(0, 0.004 if dropped else 0.02)
        loss = 2.3 * np.exp(-3 * epoch / epochs) * (0.6 if dropped else 1.0) + abs(rng.normal(0, 0.02))
        if epoch == epochs:
            accuracy = final
        metrics = {
            "train/loss": float(loss),
            "train/accuracy": min(1.0, float(accuracy) + 0.15 * float(progress)),
            "val/accuracy": float(accuracy),
            "val/balanced_accuracy": float(accuracy),
            "learning_rate": 0.05,
        }
        rows.append({"epoch": epoch, "timestamp": 1_732_000_000_000 + epoch * 1000, "metrics": metrics})
    counts = train_counts(len(classes))
    complete = changes["state"] == "complete"
    return trial(
        **changes,
        score=rows[-1]["metrics"]["val/balanced_accuracy"] if changes["state"] != "failed" else None,
        metrics=rows[-1]["metrics"] | {f"val/recall/{classes[0]}": 0.25},
        history=tuple(rows),
        seconds=float(reached * 2.1),
        confusion={"val": confusion(rng, final, len(classes))} if complete else {},
        classes=classes,
        train_counts=counts,
        run_id=f"{int(rng.integers(2**40)):010x}",
    )


def train_counts(classes: int) -> tuple[int, ...]:
    """A long tail, class 0 the rarest."""
    if classes == len(TRAIN_COUNTS):
        return TRAIN_COUNTS
    return tuple(int(500 * 100 ** (index / max(classes - 1, 1) - 1)) for index in range(classes))


def confusion(rng: np.random.Generator, accuracy: float, classes: int, images: int = 100) -> list[list[int]]:
    """Rare classes are recalled less and are taken for common ones."""
    matrix = []
    for row in range(classes):
        recall = np.clip(accuracy + 0.25 * (row / max(classes - 1, 1) - 0.5), 0.02, 0.99)
        weights = np.linspace(0.2, 1.0, classes) + rng.uniform(0, 0.6, classes)
        weights[row] = 0
        shares = weights / weights.sum() * (1 - recall) if classes > 1 else weights
        shares[row] = recall
        matrix.append([int(n) for n in rng.multinomial(images, shares / shares.sum())])
    return matrix


def cell_values(trials: list[TrialResult], classes: tuple[str, ...] = CLASSES) -> list[Mapping[str, Any]]:
    """What `CellInfo` takes, for each cell of the trials."""
    counts = train_counts(len(classes))
    return [
        {
            "name": name, "dataset": "cifar10", "classes": classes, "train_counts": counts,
            "validation_counts": (100,) * len(classes), "test_counts": (1000,) * len(classes),
            "train_only": (), "notes": (), "digest": "9f2c4e0c1a7b" * 5 + "abcd",
        }
        for name in dict.fromkeys(each.cell for each in trials)
    ]  # fmt: skip
