"""Train one model: ``python -m cefl.train --dataset digits --imbalance 20 --loss cefl --gamma 2``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cefl import data
from cefl.catalog import LOSSES, MODELS, ORDERS, PRECISIONS, model_for_depth
from cefl.config import TrialConfig
from cefl.errors import CeflError
from cefl.recipes import PRESETS, preset_for

COLUMNS = {
    "train loss": "train/loss",
    "train acc %": "train/accuracy",
    "val bal acc %": "val/balanced_accuracy",
    "val acc %": "val/accuracy",
    "lr": "learning_rate",
    "s": "seconds",
    "images/s": "images_per_second",
}


def parser() -> argparse.ArgumentParser:
    """Options of the command."""
    options = argparse.ArgumentParser(
        prog="python -m cefl.train", description="Train one model on imbalanced images."
    )
    add = options.add_argument
    add("--dataset", default="digits", help="digits, npz:PATH or folder:PATH (default: digits)")
    add(
        "--imbalance",
        type=float,
        help="ratio of the largest class to the rarest (default: the data as they are)",
    )
    add("--order", choices=ORDERS, default=ORDERS[0], help="ascending: the first class is the rarest")
    add("--validation", type=json.loads, help='as JSON: {"unused": 20}, {"holdout": 0.1} or "given"')
    add("--model", choices=MODELS, help="default: resnet20 up to 64 px, resnet18 above")
    add("--depth", type=int, help="depth 18 is short for model resnet18")
    add("--pretrained", action="store_true", help="start from torchvision's ImageNet weights")
    add("--loss", choices=sorted(LOSSES), default="cross_entropy")
    add("--gamma", type=float, help="focusing strength of focal, cefl and cefl2 (default: 2)")
    add("--alpha", type=float, help="scale of focal (default: 1)")
    add("--recipe", choices=sorted(PRESETS), help="default: by the size of the images")
    add("--epochs", type=int, help="the recipe's schedule, stretched or shortened")
    add("--batch-size", type=int)
    add("--learning-rate", type=float)
    add("--precision", choices=PRECISIONS, default="auto")
    add("--device", help="cpu or cuda (default: cuda where there is a GPU)")
    add("--seed", type=int, default=0)
    add("--out", type=Path, default=Path("runs/single"), help="checkpoints and weights; trains on from there")
    add("--cache", type=Path, default=Path("runs/data"), help="where the data are cached")
    add("--json", action="store_true", help="one JSON row an epoch instead of a table")
    return options


def loss_params(options: argparse.Namespace) -> dict[str, float]:
    """Parameters of the chosen loss: the defaults, and what was given.

    Raises:
        CeflError: If a parameter was given that the loss does not have.
    """
    given = {
        name: getattr(options, name) for name in ("gamma", "alpha") if getattr(options, name) is not None
    }
    unknown = sorted(given.keys() - LOSSES[options.loss].keys())
    if unknown:
        raise CeflError(f"--{unknown[0]}: {options.loss} has no {unknown[0]}; leave it out")
    return {**LOSSES[options.loss], **given}


def configure(options: argparse.Namespace) -> TrialConfig:
    """The trial that the options describe; prepares the data."""
    folder = data.prepare(options.dataset, options.cache)
    dataset = data.open_dataset(folder)
    rule = None if options.validation is None else data.validation_rule(options.validation)
    counts = [int(count) for count in dataset.counts["train"]]
    rule = data.resolve_validation(rule, counts, options.imbalance, dataset.validation is not None)
    recipe = PRESETS[options.recipe or preset_for(dataset.image_shape[0])]
    if options.epochs is not None:
        recipe = recipe.for_epochs(options.epochs)
    changes = {name: getattr(options, name) for name in ("batch_size", "learning_rate")}
    model = options.model or (
        "resnet20" if (recipe.image_size or dataset.image_shape[0]) <= 64 else "resnet18"
    )
    if options.depth is not None:
        try:
            model = model_for_depth(options.depth)
        except KeyError:
            raise CeflError(
                f"--depth: no model has depth {options.depth}; choose one of {', '.join(MODELS)}"
            ) from None
    return TrialConfig(
        data=str(folder), digest=dataset.digest, imbalance=options.imbalance, order=options.order,
        validation=rule.as_json(), model=model, pretrained=options.pretrained, loss=options.loss,
        params=loss_params(options), seed=options.seed, precision=options.precision,
        recipe=replace(recipe, **{name: value for name, value in changes.items() if value is not None}),
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 when the model was trained, 2 on wrong input."""
    options = parser().parse_args(arguments)
    try:
        config = configure(options)
        from cefl.trial import run_trial  # After the options are known to be right: torch takes seconds.

        folder = options.out / f"{config.loss}-{config.model}-seed{config.seed}"
        remember(folder, config.as_json())
        if not options.json:
            print(
                f"{options.dataset}, {config.model}, {config.loss} {dict(config.params)}, seed {config.seed}: {folder}"
            )
            print("epoch  " + "  ".join(f"{title:>13}" for title in COLUMNS))
        row: dict[str, Any] = {}
        for row in run_trial(config, folder, options.device):
            print(json.dumps(row) if options.json else line(row), flush=True)
    except CeflError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if not options.json:
        print_final(row)
    return 0


def remember(folder: Path, config: dict[str, Any]) -> None:
    """Write the configuration into the folder, or refuse a folder that belongs to another one."""
    path = folder / "config.json"
    if path.exists() and json.loads(path.read_text()) != config:
        raise CeflError(
            f"{folder} holds a training with another configuration; give another --out, or delete it"
        )
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(config, indent=2))


def line(row: dict[str, Any]) -> str:
    """One row of the table; shares as percent."""
    cells = []
    for title, name in COLUMNS.items():
        value = row["metrics"].get(name)
        cells.append("-" if value is None else f"{100 * value:.2f}" if "%" in title else f"{value:.4g}")
    return f"{row['epoch']:>5}  " + "  ".join(f"{cell:>13}" for cell in cells)


def print_final(row: dict[str, Any]) -> None:
    """The test set after the last epoch, whole and by class."""
    metrics = row["metrics"]
    whole = {
        name: value for name, value in metrics.items() if name.startswith("test/") and name.count("/") == 1
    }
    print(
        "\ntest, last epoch: " + ", ".join(f"{name[5:]} {value:.4f}" for name, value in sorted(whole.items()))
    )
    print(f"{'class':<24} {'train images':>12} {'recall %':>9}")
    for label, count in zip(row["final"]["classes"], row["final"]["train_counts"], strict=True):
        recall = metrics.get(f"test/recall/{label}")
        print(f"{label:<24} {count:>12} {'-' if recall is None else f'{100 * recall:.2f}':>9}")


if __name__ == "__main__":
    sys.exit(main())
