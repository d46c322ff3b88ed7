"""The plan: cells, arms and trials of a specification, with the keys under which trials are remembered."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeVar

from cefl import data
from cefl.catalog import depth_of, model_for_depth
from cefl.config import TrialConfig
from cefl.errors import CeflError, MissingData
from cefl.recipes import PRESETS, Recipe, preset_for
from sweeps.errors import DataNotThere, EnvironmentProblem, Problem, SpecError
from sweeps.own_parts import OwnParts, find_parts
from sweeps.rungs import Rungs, rungs_of
from sweeps.spec import LoadedSpec, Spec
from sweeps.spec.losses import LossEntry, loss_arms, undrawn
from sweeps.spec.model import NATURAL, DataEntry
from sweeps.spec.reading import Path as Place

T = TypeVar("T")

CONFIRM = "confirm"
"""Kind of the trials of a confirmation, and last part of the name of their study."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Cell:
    """What is compared inside it is comparable: one data set, imbalance and model.

    Attributes:
        imbalance: Largest class over the rarest, ``None`` for the data as they are.
        base: A trial of this cell, whose loss, parameters and seed are still open.
        confirm_validation: Rule of its confirmation, as plain values.
        folder: Where a relative path of ``source`` starts.
    """

    name: str
    dataset: str
    source: str
    imbalance: float | None
    order: str
    base: TrialConfig
    losses: tuple[LossEntry, ...]
    classes: tuple[str, ...]
    train_counts: tuple[int, ...]
    validation_counts: tuple[int, ...]
    test_counts: tuple[int, ...]
    train_only: tuple[str, ...]
    notes: tuple[str, ...]
    folder: Path
    test_per_class: int | None
    skip_corrupt: bool
    image_shape: tuple[int, int, int]
    confirm_validation: Any
    own: OwnParts = OwnParts()

    @property
    def depth(self) -> int | None:
        return depth_of(self.base.model)

    def has_own_parts(self, loss: str) -> bool:
        """Whether data, model or that loss are the user's own, imported from `own.folders`."""
        return bool(self.config(loss, {}, 0).parts) or self.source.partition(":")[0] not in data.SOURCES

    def config(self, loss: str, params: Mapping[str, float], seed: int, kind: str = "point") -> TrialConfig:
        """The trial of this cell with a loss, its parameters and a seed, of the search or a confirmation."""
        parts = {**self.base.parts, **self.own.known("loss", loss)}
        code = self.own.folders if parts else ()
        validation = self.confirm_validation if kind == CONFIRM else self.base.validation
        return replace(
            self.base,
            loss=loss,
            params=dict(params),
            seed=seed,
            validation=validation,
            parts=parts,
            code=code,
        )


@dataclass(frozen=True)
class PlannedTrial:
    """A trial that the specification lists, or that confirms an arm."""

    cell: Cell
    study: str
    config: TrialConfig
    key: str
    kind: str = "point"


@dataclass(frozen=True)
class Search:
    """What a study asks for, beyond the listed points."""

    cell: Cell
    study: str
    loss: str
    ranges: Mapping[str, tuple[float, float]]
    asks: int
    seed: int
    trial_seed: int
    undrawn: Mapping[str, float]
    rungs: Rungs = Rungs()


@dataclass(frozen=True)
class Plan:
    """All that a specification asks for; its confirmation once the arms to confirm are known."""

    name: str
    spec: Spec
    text: str
    cells: tuple[Cell, ...]
    searches: tuple[Search, ...]
    confirmations: tuple[PlannedTrial, ...] = ()

    @cached_property
    def points(self) -> tuple[PlannedTrial, ...]:
        """The listed trials: one of each cell in turn, and all with the first seed before the second."""
        return tuple(self._points())

    def _points(self) -> Iterator[PlannedTrial]:
        for seed in self.spec.trial_seeds:
            yield from interleaved(self._points_of(cell, seed) for cell in self.cells)

    def _points_of(self, cell: Cell, seed: int) -> Iterator[PlannedTrial]:
        for entry in cell.losses:
            for params in loss_arms(entry):
                config = cell.config(entry.loss, params, seed)
                yield PlannedTrial(cell, study_name(self.name, cell, entry.loss), config, config.key())

    @property
    def listed(self) -> tuple[PlannedTrial, ...]:
        """The trials whose parameters are known: points, then confirmations."""
        return (*self.points, *self.confirmations)

    @property
    def total(self) -> int:
        """Listed trials and asks."""
        return len(self.listed) + sum(search.asks for search in self.searches)

    def cell(self, name: str) -> Cell | None:
        """The cell of a name, ``None`` if the plan has it no more."""
        return next((cell for cell in self.cells if cell.name == name), None)

    def ranges(self, study: str, params: Mapping[str, float]) -> dict[str, tuple[float, float]]:
        """Interval that each parameter of a study's trials lies in."""
        search = next((search for search in self.searches if search.study == study), None)
        known = search.ranges if search else {}
        return {
            name: (min(known.get(name, (0.0, 0.0))[0], value), max(known.get(name, (0.0, 1.0))[1], value))
            for name, value in params.items()
        }


def interleaved(groups: Iterable[Iterable[T]]) -> Iterator[T]:
    """One of each group in turn, as long as it has any."""
    missing = object()
    for turn in zip_longest(*groups, fillvalue=missing):
        yield from (each for each in turn if each is not missing)  # type: ignore[misc]


def study_name(sweep: str, cell: Cell, loss: str) -> str:
    """``<sweep>/<cell>/<loss>``; the confirmation of a cell is a study, too: ``<sweep>/<cell>/confirm``."""
    return f"{sweep}/{cell.name}/{loss}"


def build_plan(
    loaded: LoadedSpec,
    data_root: Path,
    name: str | None = None,
    progress: Progress | None = None,
    prepare: bool = True,
) -> Plan:
    """Prepare the data sets of a specification and lay out its trials.

    Args:
        data_root: Folder of the data caches.
        name: Name of the sweep, instead of the specification's.
        progress: Called with source, images done and images in all while data are prepared.
        prepare: Without it a data set that has no cache yet is an error.

    Raises:
        SpecError: With every place where specification and data do not fit.
    """
    spec = loaded.spec if name is None else loaded.spec.model_copy(update={"name": name})
    own, problems = find_parts(loaded)
    missing = 0
    cells: list[Cell] = []
    datasets: dict[tuple[str, int | None, bool], Path] = {}
    for place, entry, model, pretrained, losses in groups(spec):
        identity = (entry.source, entry.test_per_class, entry.skip_corrupt)
        try:
            if identity not in datasets:
                datasets[identity] = dataset_folder(entry, loaded.base, data_root, progress, prepare)
        except CeflError as error:
            problems.append(loaded.problem((*place, "source"), str(error)))
            missing += isinstance(error, MissingData)
            continue
        for ratio in entry.imbalance:
            try:
                cells.append(
                    build_cell(loaded, entry, ratio, model, pretrained, losses, datasets[identity], own)
                )
            except CeflError as error:
                problems.append(loaded.problem((*place, "imbalance"), f"{ratio}: {error}"))
    problems += clashes(cells) + too_short(loaded, cells)
    if problems:
        kind = DataNotThere if missing == len(problems) else SpecError
        raise kind(loaded.file, list(dict.fromkeys(problems)))
    return Plan(spec.name, spec, loaded.text, tuple(cells), tuple(searches(spec, cells)))


def groups(spec: Spec) -> Iterator[tuple[Place, DataEntry, str, bool, tuple[LossEntry, ...]]]:
    """Place, data set, model, whether pretrained, and losses of every group of cells."""
    for index, cell in enumerate(spec.cells or []):
        model = cell.model or model_for_depth(cell.depth or 0)
        yield ("cells", index, "data"), cell.data, model, cell.pretrained, tuple(cell.losses)
    models = spec.model or [model_for_depth(depth) for depth in spec.depth or []]
    for index, entry in enumerate(spec.data or []):
        for model in models:
            yield ("data", index), entry, model, spec.pretrained, tuple(spec.losses or [])


def dataset_folder(
    entry: DataEntry, base: Path, root: Path, progress: Progress | None, prepare: bool
) -> Path:
    """The cache of a data set, made where there is none."""
    drawn, skip = entry.test_per_class, entry.skip_corrupt
    found = data.is_prepared(entry.source, root, base=base, test_per_class=drawn, skip_corrupt=skip)
    if found is not None:
        return found
    if not prepare:
        raise EnvironmentProblem(
            f"{entry.source}: its cache below {root} is gone or of other data; run the sweep again"
        )
    report = None if progress is None else lambda done, total: progress(entry.source, done, total)
    return data.prepare(
        entry.source, root, base=base, test_per_class=drawn, skip_corrupt=skip, progress=report
    )


def build_cell(
    loaded: LoadedSpec, entry: DataEntry, ratio: float | str, model: str, pretrained: bool,
    losses: tuple[LossEntry, ...], folder: Path, own: OwnParts,
) -> Cell:  # fmt: skip
    """One cell, its images counted.

    Raises:
        CeflError: If the imbalance leaves a class without images, or the batch is larger than the data.
    """
    spec, dataset = loaded.spec, data.open_dataset(folder)
    imbalance = None if ratio == NATURAL else float(ratio)
    written = entry.validation if entry.validation is not None else spec.validation
    asked = None if written is None else data.validation_rule(written)
    counts = [int(count) for count in dataset.counts["train"]]
    rule = data.resolve_validation(asked, counts, imbalance, dataset.validation is not None)
    recipe = build_recipe(spec, preset_for(dataset.image_shape[0], dataset.source))
    seed = spec.fixed_seeds.get("data_seed", spec.trial_seeds[0])
    division = data.split(dataset, imbalance, entry.order, rule, seed)
    if recipe.batch_size > len(division.train):
        raise CeflError(
            f"`batch_size <= training images` must hold, but got {recipe.batch_size} > {len(division.train)};"
            " set recipe.batch_size"
        )
    called = entry.name or dataset.name
    base = TrialConfig(
        data=str(folder), digest=dataset.digest, imbalance=imbalance, order=entry.order,
        validation=rule.as_json(),
        model=model, pretrained=pretrained, loss="cross_entropy", params={}, seed=0, recipe=recipe,
        **spec.fixed_seeds,
        precision=spec.recipe.precision, test_every_epoch=spec.select.split == "test",
        keep_weights=spec.tracking.keep != "none", parts=own.known("model", model),
        code=own.folders if own.known("model", model) else (),
    )  # fmt: skip
    return Cell(
        name=cell_name(called, imbalance, entry.order, model, pretrained),
        dataset=called, source=entry.source, imbalance=imbalance, order=entry.order, base=base, losses=losses,
        classes=dataset.classes, train_counts=tuple(int(count) for count in division.train_counts),
        validation_counts=tuple(int(count) for count in division.validation_counts),
        test_counts=tuple(int(count) for count in dataset.counts["test"]),
        train_only=tuple(dataset.classes[index] for index in division.train_only), notes=tuple(dataset.notes),
        folder=loaded.base, test_per_class=entry.test_per_class, skip_corrupt=entry.skip_corrupt,
        image_shape=dataset.image_shape, own=own,
        confirm_validation=confirming_rule(spec, rule, counts, imbalance, dataset.validation is not None),
    )  # fmt: skip


def confirming_rule(
    spec: Spec, rule: data.ValidationRule, counts: list[int], imbalance: float | None, has_validation: bool
) -> Any:
    """How the confirmation of a cell validates, beside its search; folds are for data as they are alone.

    Raises:
        SplitError: If the rule that the specification states does not fit the data.
    """
    stated = spec.confirm and spec.confirm.validation
    if stated is None and "data_seed" in spec.fixed_seeds:
        return rule.as_json()  # One split for all seeds, as the specification says.
    if stated is None:
        return data.confirming_rule(rule, imbalance).as_json()
    asked = data.validation_rule(stated)
    if isinstance(asked, data.Folds) and imbalance is not None:
        return rule.as_json()
    return data.resolve_validation(asked, counts, imbalance, has_validation).as_json()


def cell_name(dataset: str, imbalance: float | None, order: str, model: str, pretrained: bool) -> str:
    """``digits-rho20-resnet8``."""
    parts = [dataset, "natural" if imbalance is None else f"rho{imbalance:g}"]
    parts += ["descending"] if imbalance is not None and order == "descending" else []
    return "-".join([*parts, model, *(["pretrained"] if pretrained else [])])


def build_recipe(spec: Spec, fitting: str) -> Recipe:
    """The preset, by default the fitting one, moved to the epochs asked for, and what else is changed."""
    entry = spec.recipe
    recipe = PRESETS[entry.preset or fitting]
    changes: dict[str, Any] = entry.model_dump(exclude={"preset", "precision", "epochs"}, exclude_none=True)
    if "milestones" in changes:
        changes["milestones"] = tuple(changes["milestones"])
        if entry.epochs is not None:
            changes["epochs"] = entry.epochs
    elif entry.epochs is not None:
        recipe = recipe.for_epochs(entry.epochs)
    return replace(recipe, **changes)


def searches(spec: Spec, cells: list[Cell]) -> Iterator[Search]:
    """The studies that ask, one for each cell and loss of the `study` block."""
    study = spec.study
    if study is None:
        return
    for loss in study.losses:  # So that cells alternate where studies are asked in turn.
        for cell in cells:
            entry = next((entry for entry in cell.losses if entry.loss == loss), None)
            if entry is not None:
                yield Search(
                    cell, study_name(spec.name, cell, loss), loss, study.drawn(entry), study.asks, study.seed,
                    spec.trial_seeds[0], undrawn(entry), rungs_of(study, cell.base.recipe),
                )  # fmt: skip


def too_short(loaded: LoadedSpec, cells: list[Cell]) -> list[Problem]:
    """A grace period that never ends, and a budget that no trial fits into."""
    study, budget = loaded.spec.study, loaded.spec.budget
    epochs = [cell.base.recipe.epochs for cell in cells]
    problems = []
    if study is not None and study.grace is not None and study.grace >= min(epochs, default=math.inf):
        text = f"`grace < epochs` must hold, but got {study.grace} >= {min(epochs)}; or `pruner: none`"
        problems.append(loaded.problem(("study", "grace"), text))
    if budget is not None and budget.epochs is not None and budget.epochs < max(epochs, default=0):
        text = f"`budget.epochs >= epochs` of one trial must hold, but got {budget.epochs} < {max(epochs)}"
        problems.append(loaded.problem(("budget", "epochs"), text))
    return problems


def clashes(cells: list[Cell]) -> list[Problem]:
    """Cells that stand twice, so that their results could not be told apart."""
    seen: dict[str, Cell] = {}
    problems = []
    for cell in cells:
        if cell.name in seen:
            same = seen[cell.name].base == cell.base
            cause = (
                "is listed twice; keep one" if same else "stands for two data sets; give one of them a `name`"
            )
            problems.append(Problem("", f"the cell {cell.name} {cause}"))
        seen[cell.name] = cell
    return problems
