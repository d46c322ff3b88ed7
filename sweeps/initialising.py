"""A first specification for a data set, with defaults that fit it and comments that say why."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from cefl import data
from cefl.data import Dataset
from cefl.recipes import PRESETS, preset_for
from sweeps.data_sets import prepare_source
from sweeps.errors import InputError
from sweeps.files import write_text
from sweeps.home import Home
from sweeps.spec import load_text

SYNTHETIC_RATIO = 20
NATURAL_ABOVE = (
    1.5  # A data set whose largest class is this much larger than its smallest is imbalanced by itself.
)
MOST_CLASSES_SHOWN = 12


@dataclass(frozen=True)
class Fit:
    """Choices that fit a data set."""

    imbalance: str
    validation: str
    model: str
    batch_size: int | None


def write_initial(
    source: str, out: Path | None, force: bool, home: Home, skip_corrupt: bool = False
) -> tuple[Path, list[str]]:
    """Prepare a data set, describe it, and write a specification for it.

    Returns:
        The file, and what to tell about the data.

    Raises:
        InputError: If the file exists and ``force`` is not given.
    """
    dataset, _ = prepare_source(home, source, None, skip_corrupt)
    path = out or Path(f"{dataset.name}.yaml")
    if path.exists() and not force:
        raise InputError(f"{path} exists; give another --out, or --force to replace it")
    kind, separator, place = source.partition(":")
    absolute = f"{kind}:{(Path.cwd() / Path(place).expanduser()).resolve()}" if separator else source
    text = specification(dataset, absolute, skip_corrupt)
    load_text(text, str(path), Path.cwd())
    write_text(path, text)
    return path, description(dataset)


def description(dataset: Dataset) -> list[str]:
    """What a data set holds, in a few lines."""
    counts = dataset.counts["train"]
    height, width, channels = dataset.image_shape
    pairs = sorted(zip(counts, dataset.classes, strict=True))
    lines = [
        f"{dataset.name}: {len(counts)} classes, {sum(counts)} training and"
        f" {sum(dataset.counts['test'])} test images"
        f" of {width}x{height} pixels, {channels} channel{'s' if channels > 1 else ''}",
        f"imbalance: largest class {pairs[-1][0]} ({pairs[-1][1]}), smallest {pairs[0][0]} ({pairs[0][1]}),"
        f" ratio {pairs[-1][0] / max(1, pairs[0][0]):.1f}",
    ]
    shown = ", ".join(f"{name} {count}" for count, name in pairs[:MOST_CLASSES_SHOWN])
    more = f", and {len(pairs) - MOST_CLASSES_SHOWN} more" if len(pairs) > MOST_CLASSES_SHOWN else ""
    return [*lines, f"training images by class: {shown}{more}", *(f"note: {note}" for note in dataset.notes)]


def choices(dataset: Dataset) -> Fit:
    """Imbalance, validation, model and batch that fit a data set."""
    counts = list(dataset.counts["train"])
    size = dataset.image_shape[0]
    natural = max(counts) / max(1, min(counts)) > NATURAL_ABOVE or max(counts) < 2 * SYNTHETIC_RATIO
    ratio = None if natural else float(SYNTHETIC_RATIO)
    rule = data.resolve_validation(None, counts, ratio, dataset.validation is not None)
    if ratio is None:
        trained = sum(counts)
    else:
        trained = len(data.split(dataset, ratio, "ascending", rule, 0).train)
    recipe = PRESETS[preset_for(size, dataset.source)]
    standard, seen = recipe.batch_size, recipe.image_size or size
    batch = None if trained >= 4 * standard else max(1, min(standard, trained // 4))
    model = "resnet8" if seen <= 16 else "resnet20" if seen <= 64 else "resnet18"
    written = json.dumps(rule.as_json()).replace('"', "")
    return Fit("natural" if ratio is None else f"{ratio:g}", written, model, batch)


def specification(dataset: Dataset, source: str, skip_corrupt: bool = False) -> str:
    """The text of the specification."""
    fit, preset = choices(dataset), preset_for(dataset.image_shape[0], dataset.source)
    recipe = PRESETS[preset]
    why = (
        "the data as they are"
        if fit.imbalance == "natural"
        else "largest class over the rarest; 'natural' takes the data as they are"
    )
    skip = "\n    skip_corrupt: true       # images that cannot be read" if skip_corrupt else ""
    batch = "" if fit.batch_size is None else f"\n  batch_size: {fit.batch_size:<16}# there are few images"
    return f"""# Which loss, and which gamma, for {dataset.name}?
#   sweeps plan FILE      what would run
#   sweeps run FILE       run it, or go on with it
name: {dataset.name}
data:
  - source: {json.dumps(source)}
    name: {dataset.name}{skip}
    imbalance: [{fit.imbalance}]   # {why}
validation: {fit.validation}   # the images that choose; test images never do
model: [{fit.model}]
losses:
  - cross_entropy          # the baseline
  - loss: focal
    gamma: [0.5, 1, 2]
  - loss: cefl
    gamma: [0.5, 1, 2]
  - loss: cefl2
    gamma: [0.5, 1, 2]
study:                     # Optuna looks for a better gamma
  losses: [cefl, cefl2]
  gamma: [0, 5]
  asks: 6
confirm:                   # then the leading arms and cross-entropy again, on the test images
  top: 3
  seeds: 5                 # of their own; below 5 nothing is decided
seeds: 1                   # more seeds, more certainty
recipe:
  preset: {preset}
  epochs: {recipe.epochs}               # fewer epochs shorten the schedule with them{batch}
select:
  metric: balanced_accuracy
resources:
  cpus: 1                  # of one trial
  gpus: auto               # of one trial; 0.25 lets four share a GPU
"""
