"""Train one model: ``python -m cefl.train --dataset digits --imbalance 20 --loss cefl --gamma 2``."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cefl import data
from cefl.catalog import DEPTHS, LOSSES, MODELS, ORDERS, PARAMETERS, PRECISIONS
from cefl.config import TrialConfig
from cefl.errors import CeflError, StorageError
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
    add("--dataset", default="digits", help=f"{data.SPELLINGS} (default: digits)")
    add("--skip-corrupt", action="store_true", help="leave out images that cannot be read")
    add(
        "--imbalance",
        type=float,
        help="ratio of the largest class to the rarest (default: the data as they are)",
    )
    add("--order", choices=ORDERS, default=ORDERS[0], help="ascending: the first class is the rarest")
    add("--validation", type=validation, help='{"unused": 20}, {"holdout": 0.1}, {"folds": 5}, given or none')
    add("--model", choices=MODELS, help="default: resnet20 up to 64 px, resnet18 above")
    add("--depth", type=int, help="depth 18 is short for model resnet18")
    add("--pretrained", action="store_true", help="start from torchvision's ImageNet weights")
    add("--loss", choices=sorted(LOSSES), default="cross_entropy")
    for name, parameter in PARAMETERS.items():
        owners = ", ".join(loss for loss, params in LOSSES.items() if name in params)
        add(f"--{name.replace('_', '-')}", type=float, help=f"{parameter.meaning} ({owners})")
    add("--recipe", choices=sorted(PRESETS), help="default: by the size of the images")
    add("--epochs", type=int, help="the recipe's schedule, stretched or shortened")
    add("--batch-size", type=int)
    add("--learning-rate", type=float)
    add("--precision", choices=PRECISIONS, default="auto")
    add("--device", help="cpu or cuda (default: cuda where there is a GPU)")
    add("--seed", type=int, default=0, help="of data and training")
    add("--data-seed", type=int, help="of subset and split alone")
    add("--train-seed", type=int, help="of initial weights, order and augmentation alone")
    add(
        "--out",
        type=Path,
        default=Path("runs/single"),
        help="gets a folder a configuration; goes on from there",
    )
    add("--cache", type=Path, default=Path("runs/data"), help="where the data are cached")
    add("--json", action="store_true", help="one JSON row an epoch instead of a table")
    return options


def validation(text: str) -> data.ValidationRule:
    """The rule that an option states, as JSON or as a plain word."""
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    try:
        return data.validation_rule(value)
    except CeflError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def loss_params(options: argparse.Namespace) -> dict[str, float]:
    """Parameters of the chosen loss: the defaults, and what was given.

    Raises:
        CeflError: If a parameter was given that the loss does not have.
    """
    given = {name: getattr(options, name) for name in PARAMETERS if getattr(options, name) is not None}
    unknown = sorted(given.keys() - LOSSES[options.loss].keys())
    if unknown:
        raise CeflError(f"--{unknown[0].replace('_', '-')}: {options.loss} has no {unknown[0]}; leave it out")
    return {**LOSSES[options.loss], **given}


def configure(options: argparse.Namespace) -> TrialConfig:
    """The trial that the options describe; prepares the data."""
    folder = data.prepare(options.dataset, options.cache, skip_corrupt=options.skip_corrupt)
    data.verify(folder)
    dataset = data.open_dataset(folder)
    rule = data.resolve_validation(
        options.validation, dataset.counts["train"], options.imbalance, dataset.validation is not None
    )
    recipe = PRESETS[options.recipe or preset_for(dataset.image_shape[0], dataset.source)]
    if options.epochs is not None:
        recipe = recipe.for_epochs(options.epochs)
    changes = {name: getattr(options, name) for name in ("batch_size", "learning_rate")}
    model = chosen_model(options) or (
        "resnet20" if (recipe.image_size or dataset.image_shape[0]) <= 64 else "resnet18"
    )
    return TrialConfig(
        data=str(folder), digest=dataset.digest, imbalance=options.imbalance, order=options.order,
        validation=rule.as_json(), model=model, pretrained=options.pretrained, loss=options.loss,
        params=loss_params(options), seed=options.seed, data_seed=options.data_seed,
        train_seed=options.train_seed, precision=options.precision,
        recipe=replace(recipe, **{name: value for name, value in changes.items() if value is not None}),
    )  # fmt: skip


def chosen_model(options: argparse.Namespace) -> str | None:
    """The model that was asked for by name or depth.

    Raises:
        CeflError: If there is none of that depth, or name and depth do not agree.
    """
    if options.depth is None:
        return str(options.model) if options.model else None
    if options.depth not in DEPTHS:
        known = ", ".join(str(depth) for depth in sorted(DEPTHS))
        raise CeflError(f"--depth: must be one of {known}, but got {options.depth}")
    model = DEPTHS[options.depth]
    if options.model not in (None, model):
        raise CeflError(f"--depth {options.depth} is {model}, but got --model {options.model}; leave one out")
    return model


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 when the model was trained, 2 on wrong input, 7 on a full disk, 130 and 143 when
    interrupted."""
    options = parser().parse_args(arguments)
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # So that nothing half-written stays.
    try:
        config = configure(options)
        from cefl.trial import run_trial  # After the options are known to be right: torch takes seconds.

        folder = options.out / f"{config.loss}-{config.model}-seed{config.seed}-{config.key()}"
        rows = run_trial(config, folder, options.device)
        remember(folder, config.as_json())
        if not options.json:
            arm = f"{config.loss} {dict(config.params)}"
            print(f"{options.dataset}, {config.model}, {arm}, seed {config.seed}: {folder}")
            print("epoch  " + "  ".join(f"{title:>13}" for title in COLUMNS), flush=True)
        row: dict[str, Any] = {}
        for row in rows:
            print(json.dumps(row) if options.json else line(row), flush=True)
    except CeflError as error:
        print(f"error: {error}", file=sys.stderr)
        return 7 if isinstance(error, StorageError) else 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)
    if not options.json:
        print_final(row)
    return 0


def remember(folder: Path, config: dict[str, Any]) -> None:
    """Write the configuration into the folder, for people: the folder's name already tells it from others."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    except OSError as error:
        raise CeflError(f"--out: {folder} cannot be written ({error.strerror}); choose another") from None


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
