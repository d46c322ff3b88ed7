"""The model card of an export: what it was trained on, how well it does and how sure that is, its limits."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cefl.catalog import COSINE_HEAD
from cefl.config import TrialConfig
from sweeps.cells import Cell
from sweeps.plan import Plan
from trackers import wording
from trackers.compare import BestArm
from trackers.confirmation import Confirmation
from trackers.confirmed_words import beats, interval, plus_minus
from trackers.escaping import escaped, fenced
from trackers.image_doubt import Predictions, Z, contributions, standard_error
from trackers.statistics import wilson
from trackers.table import TrialResult
from trackers.tables import markdown

METRICS = ("accuracy", "balanced_accuracy", "macro_precision", "macro_recall", "macro_f1")


@dataclass(frozen=True)
class Card:
    """What a card tells of.

    Attributes:
        final: What the trial's last epoch says beside its metrics.
        tested: What the model said of the test images, ``None`` if that is not at hand.
    """

    plan: Plan
    cell: Cell
    config: TrialConfig
    trial: TrialResult
    answer: BestArm | Confirmation
    final: Mapping[str, Any]
    tested: Predictions | None


def model_card(card: Card) -> str:
    """The card in Markdown; all text from the data is escaped."""
    trial, cell = card.trial, card.cell
    own = ', code=["FOLDER"]' if "model" in card.config.parts else ""
    parts = [
        f"# {escaped(cell.dataset)}: {escaped(trial.model)}, {escaped(trial.arm)}",
        f"A classifier of {len(cell.classes)} classes, exported from the sweep {escaped(card.plan.name)} by"
        f" cefl-sweeps {importlib.metadata.version('cefl-sweeps')}.",
        fenced(
            f'import cefl\n\nclassifier = cefl.load("."{own})  # this folder\n'
            "names = classifier.predict(images)  # uint8 (N, H, W, C)",
            "python",
        ),
        "## Data", data_text(card), class_table(card),
        "## How it was trained", training_text(card),
        "## How well it does", score_text(card), metric_table(card),
        "## Limits", "\n".join(f"- {text}" for text in limits(card)),
        "## Again",
        "`sweeps run best.yaml` trains this arm, `--fresh` once more beside a first training; both are"
        " compared with `expected.json`. The numbers are equal to the last bit on"
        f" {escaped(conditions_text(card))}; where one of these differs, the comparison says which.",
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"


def data_text(card: Card) -> str:
    """Source, digest, imbalance."""
    cell, counts = card.cell, card.final["train_counts"]
    ratio = "as they are" if cell.imbalance is None else f"imbalance {cell.imbalance:g}, {cell.order}"
    return (
        f"{escaped(cell.dataset)} ({escaped(cell.source)}, digest {cell.base.digest[:12]}), {ratio}:"
        f" {sum(counts):,} training images, {max(counts):,} of the largest class and {min(counts):,} of the"
        f" rarest; {sum(card.final['validation_counts']):,} for validation,"
        f" {sum(cell.test_counts):,} for the test."
    )


def class_table(card: Card) -> str:
    """Images and test recall of every class, with Wilson's interval over its test images."""
    rows = []
    for index, label in enumerate(card.cell.classes):
        recall, images = card.trial.metrics.get(f"test/recall/{label}"), card.cell.test_counts[index]
        low_high = wilson(recall, images) if recall is not None and images else None
        rows.append(
            (
                label, card.final["train_counts"][index], images, wording.percent(recall),
                "–" if low_high is None else f"{100 * low_high.low:.1f} to {100 * low_high.high:.1f}",
            )
        )  # fmt: skip
    return markdown(("Class", "Training images", "Test images", "Recall", "95% interval"), rows, (1, 2, 3, 4))


def training_text(card: Card) -> str:
    """Loss, recipe, seed."""
    recipe = {name: value for name, value in card.config.recipe.as_json().items() if value not in (None, [])}
    told = ", ".join(f"{name} {value}" for name, value in recipe.items())
    start = "from published ImageNet weights" if card.config.pretrained else "from random weights"
    head = (
        " The last layer gives cosines; logits are these times a scale."
        if card.trial.loss in COSINE_HEAD
        else ""
    )
    return (
        f"{escaped(card.trial.arm)}, seed {card.trial.seed}, {start}: {escaped(told)}. Weights of the last"
        f" epoch.{head} Key {card.trial.key}."
    )


def score_text(card: Card) -> str:
    """What is known of the arm, over its seeds."""
    answer, metric = card.answer, wording.metric_name(card.answer.objective)
    if isinstance(answer, Confirmation):
        estimate = answer.winner.test
        against = {
            "yes": " It is better than cross-entropy.",
            "not shown": " It is not shown to be better than cross-entropy.",
            "worse": " On the test set it is worse than cross-entropy.",
            "undecided": " Whether it is better than cross-entropy is undecided.",
        }.get(beats(answer.winner), "")
        return (
            f"The arm, confirmed with {estimate.n} seeds of their own: {metric} {plus_minus(estimate)} on the"
            f" test set (95% interval {interval(estimate)}, over seeds and images)." + against
        )
    return (
        f"The arm, found by a search: {metric} {wording.percent(answer.mean)} on the"
        f" {answer.objective.split} split, mean over {wording.counted(answer.summary.n, 'seed')}. It was"
        " picked for this score, which is therefore optimistic, and it is not confirmed"
        f" (`sweeps confirm {escaped(card.plan.name)}`)."
    )


def metric_table(card: Card) -> str:
    """Test metrics of this very model, with the interval that another draw of test images would give."""
    rows = []
    for name in METRICS:
        value = card.trial.metrics.get(f"test/{name}")
        if value is not None:
            rows.append((name.replace("_", " "), wording.percent(value), images_interval(card, name, value)))
    table = markdown(("Test metric of this model", "Value", "95% interval"), rows, (1, 2))
    return f"{table}\n\nThe intervals hold the doubt of the test images alone, not that of another training."


def images_interval(card: Card, metric: str, value: float) -> str:
    """``86.4 to 88.3``; a dash where the predictions are not at hand."""
    values = None if card.tested is None else contributions([card.tested], metric)
    if values is None or card.tested is None:
        return "–"
    half = Z * standard_error(values, card.tested.targets)
    return f"{100 * max(0.0, value - half):.1f} to {100 * min(1.0, value + half):.1f}"


def limits(card: Card) -> Iterator[str]:
    """What a user should know."""
    height, width, channels = card.cell.image_shape
    yield (
        f"It knows these {len(card.cell.classes)} classes and gives one of them for every image; it was"
        f" trained on images of {height} x {width} px with {wording.counted(channels, 'channel')}."
    )
    yield "Its probabilities are not calibrated, and losses that weigh or shift classes bend them on purpose."
    rare = [
        label
        for label, count in zip(card.cell.classes, card.final["train_counts"], strict=True)
        if count < 20
    ]
    if rare:
        yield f"Classes with fewer than 20 training images, so little known: {escaped(', '.join(rare))}."
    if card.final.get("train_only"):
        yield f"Too small to be validated, trained only: {escaped(', '.join(card.final['train_only']))}."
    if card.answer.objective.split == "test":
        yield "It was chosen on the test set: its test figures are optimistic."
    if card.config.parts:
        code = f"{escaped(card.config.model)}, {escaped(card.config.parts.get('model'))}"
        needed = f"It needs the code of {code}; `code` names the folder that it is imported from."
        loss = "Its loss is the user's own; using the model does not need it."
        yield needed if "model" in card.config.parts else loss
    for note in card.cell.notes:
        yield f"{escaped(note)}."


def conditions_text(card: Card) -> str:
    """Device, precision, threads, instructions, torch."""
    final = card.final
    told = f"{final.get('device', 'cpu')} in {final.get('precision')}, {final.get('threads')} threads"
    extra = [f"instructions {final['instructions']}"] if "instructions" in final else []
    return ", ".join([told, *extra, *([f"torch {final['torch']}"] if "torch" in final else [])])
