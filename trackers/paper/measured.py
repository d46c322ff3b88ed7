"""The trials of a sweep in the cells of a table of the paper, and what they were trained differently by."""

from __future__ import annotations

import math
import statistics as stdlib_statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from trackers.errors import ComparisonError
from trackers.paper.printed import RATES, PaperTable, Printed
from trackers.per_class import rates_of
from trackers.table import TrialResult

TRAINING_IMAGES: Mapping[str, Mapping[float | None, int]] = {
    "table2": {1: 50_000, 10: 20_431, 20: 17_023, 50: 13_996, 100: 12_406, 200: 11_203, 500: 10_011},
    "table3": {1: 50_000, 10: 19_573, 20: 15_907, 50: 12_608, 100: 10_847, 200: 9502, 500: 8155},
    "table4-crop": {None: 31_718},
    "table4-mushroom": {None: 2914},
    "table5": {None: 2914},
}
"""Training images of the paper by imbalance: 5,614 less 2,700 of the mushrooms."""


@dataclass(frozen=True)
class Compared:
    """One printed number, and the same number of every seed that was trained, both in percent."""

    printed: Printed
    by_seed: Mapping[int, float]

    @property
    def n(self) -> int:
        """Number of seeds; 0 says that the cell was not run."""
        return len(self.by_seed)

    @property
    def mean(self) -> float | None:
        """Over the seeds."""
        return stdlib_statistics.fmean(self.by_seed.values()) if self.by_seed else None

    @property
    def std(self) -> float | None:
        """Standard deviation over the seeds (n - 1), ``None`` below two."""
        return stdlib_statistics.stdev(self.by_seed.values()) if self.n > 1 else None

    @property
    def difference(self) -> float | None:
        """Measured minus printed, in percentage points."""
        return None if self.mean is None or self.printed.value is None else self.mean - self.printed.value


@dataclass(frozen=True)
class Measured:
    """Every cell of a table, run or not.

    Args:
        dataset: Of the sweep.
        conditions: What differs from the paper, a sentence each.
        notes: What else a reader should know, a sentence each.
    """

    table: PaperTable
    dataset: str
    cells: tuple[Compared, ...]
    conditions: tuple[str, ...]
    notes: tuple[str, ...]


def measure(table: PaperTable, trials: Iterable[TrialResult], model: str | None = None) -> Measured:
    """Complete trials, confirmations among them, by the cell of the table that they are of.

    A trial stands for a cell if data set, imbalance, depth, loss and parameters are the cell's. What counts
    are test metrics of the last epoch.

    Args:
        model: Take this model's trials where the table has one depth only; the conditions then say so.

    Raises:
        ComparisonError: If the sweep has no such data set or model, or the table compares depths.
    """
    done = [trial for trial in trials if trial.state == "complete"]
    if model is not None and len(table.depths) > 1:
        raise ComparisonError(
            f"{table.title} compares depths, so that no `model` can stand for them; leave it out"
        )
    dataset, notes, lacking = _dataset(table, done)
    mine = [trial for trial in done if trial.dataset == dataset]
    if model is not None and not any(trial.model == model for trial in mine):
        raise ComparisonError(
            f"no complete trial of model {model!r}; there are {_listed(t.model for t in mine)}"
        )
    chosen = [t for t in mine if (t.model == model if model is not None else t.depth in table.depths)]
    if mine and not chosen:
        depths = ", ".join(map(str, table.depths))
        notes.append(
            f"None of the models {_listed(trial.model for trial in mine)} has a depth of the table ({depths})"
            + (", but one can stand for it: name it as `model`." if len(table.depths) == 1 else ".")
        )
    chosen, conditions = _nearest(table, chosen)
    if model is not None:
        conditions.insert(0, f"The model is {model}, in the paper ResNet-{table.depths[0]}.")
    conditions += [*lacking, *_training_images(table, chosen)]
    places = _by_place(chosen, any_depth=model is not None)
    cells = []
    for cell in table.cells:
        found = places.get((cell.imbalance, None if model is not None else cell.depth, cell.arm), [])
        values = {
            trial.seed: value for trial in reversed(found) if (value := _value(trial, cell)) is not None
        }
        cells.append(Compared(cell, dict(sorted(values.items()))))
    return Measured(table, dataset, tuple(cells), tuple(conditions), tuple(notes))


def _dataset(table: PaperTable, done: Sequence[TrialResult]) -> tuple[str, list[str], list[str]]:
    """The data set of the sweep that the table is about, what to note, and what it lacks.

    One of that name may have fewer classes: a loader leaves out those without training images.
    """
    sizes = {trial.dataset: _classes(trial) for trial in done}
    fitting = [name for name, classes in sizes.items() if classes == table.classes]
    named = [name for name in sizes if _plain(name) == _plain(table.dataset)]
    for name in sorted(named, key=lambda name: sizes[name], reverse=True):
        if sizes[name] == table.classes:
            return name, [], []
        if 1 < sizes[name] < table.classes:
            return name, [], [f"It has {sizes[name]} classes, in the paper {table.classes}."]
    if len(fitting) == 1:
        why = f"it is taken for {table.dataset} by its {table.classes} classes"
        return fitting[0], [f"The data set is called {fitting[0]}; {why}."], []
    there = _listed(f"{name} ({classes} classes)" for name, classes in sizes.items())
    raise ComparisonError(
        f"{table.title} is about {table.dataset} with {table.classes} classes, but the complete trials are"
        f" of: {there}; name the data set {table.dataset!r} in the specification, or run more"
    )


def _nearest(table: PaperTable, trials: Sequence[TrialResult]) -> tuple[list[TrialResult], list[str]]:
    """The trials that were trained as the paper's, or else the others, with what differs."""
    kept, conditions = list(trials), []
    rules: tuple[tuple[Callable[[TrialResult], bool], str], ...] = (
        (
            lambda trial: trial.pretrained == table.pretrained,
            f"The networks are {'not ' if table.pretrained else ''}pretrained, in the paper they are"
            f"{'' if table.pretrained else ' not'}.",
        ),
        (
            lambda trial: trial.order != "descending" or trial.imbalance in (None, 1),
            "The last class is the rarest, in the paper the first.",
        ),
    )
    for holds, sentence in rules:
        alike = [trial for trial in kept if holds(trial)]
        if kept and not alike:
            conditions.append(sentence)
        kept = alike or kept
    epochs = sorted({trial.epochs for trial in kept} - {table.epochs})
    if epochs:
        conditions.append(f"Trained for {', '.join(map(str, epochs))} epochs, in the paper {table.epochs}.")
    return kept, conditions


def _training_images(table: PaperTable, trials: Sequence[TrialResult]) -> list[str]:
    """Where the sweep trains on another number of images."""
    sentences = []
    for imbalance, images in TRAINING_IMAGES[table.name].items():
        counts = {
            sum(trial.train_counts)
            for trial in trials
            if trial.train_counts and _imbalance(trial) == imbalance
        } - {images}
        if counts:
            where = "" if imbalance is None else f"at imbalance {imbalance:g} "
            shown = ", ".join(f"{count:,}" for count in sorted(counts))
            sentences.append(f"Trained {where}on {shown} images, in the paper on {images:,}.")
    return sentences


def _by_place(
    trials: Sequence[TrialResult], any_depth: bool
) -> dict[tuple[float | None, int | None, str], list[TrialResult]]:
    places: dict[tuple[float | None, int | None, str], list[TrialResult]] = {}
    for trial in trials:
        place = (_imbalance(trial), None if any_depth else trial.depth, trial.arm)
        places.setdefault(place, []).append(trial)
    return places


def _imbalance(trial: TrialResult) -> float | None:
    """1 for data that are balanced as they are."""
    if trial.imbalance is None and trial.train_counts and len(set(trial.train_counts)) == 1:
        return 1.0
    return trial.imbalance


def _value(trial: TrialResult, cell: Printed) -> float | None:
    """The number of a cell in one trial, percent."""
    if cell.class_name is None:
        share = trial.metrics.get(f"test/{cell.metric}")
    else:
        names = [_plain(name) for name in trial.classes]
        if "test" not in trial.confusion or _plain(cell.class_name) not in names:
            return None
        row = rates_of(trial.confusion["test"])[names.index(_plain(cell.class_name))]
        share = float(row[RATES.index(cell.metric)])
    return None if share is None or not math.isfinite(share) else 100 * share


def _classes(trial: TrialResult) -> int:
    return len(trial.classes) or max((len(matrix) for matrix in trial.confusion.values()), default=0)


def _plain(name: str) -> str:
    """Letters and digits alone, without a plural."""
    return "".join(character for character in name.lower() if character.isalnum()).rstrip("s")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names)) or "none"
