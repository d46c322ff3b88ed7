"""The cells of a specification: each a data set with an imbalance, and a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cefl import data
from cefl.catalog import depth_of, model_for_depth
from cefl.config import TrialConfig
from cefl.errors import CeflError
from cefl.pretrained import check_fit
from cefl.recipes import PRESETS, Recipe, preset_for
from sweeps.errors import EnvironmentProblem, Problem
from sweeps.own_parts import OwnParts
from sweeps.spec import LoadedSpec, Spec
from sweeps.spec.losses import LossEntry
from sweeps.spec.model import NATURAL, DataEntry
from sweeps.spec.reading import Path as Place

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
        CeflError: If the imbalance leaves a class without images, the batch is larger than the data, or
            pretrained weights do not fit.
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
    height, width, channels = dataset.image_shape
    if pretrained:
        check_fit(model, channels, recipe.image_size or max(height, width))
    called = entry.name or dataset.name
    base = TrialConfig(
        data=str(folder), digest=dataset.digest, imbalance=imbalance, order=entry.order,
        validation=rule.as_json(),
        model=model, pretrained=pretrained, loss="cross_entropy", params={}, seed=0, recipe=recipe,
        **spec.fixed_seeds,
        precision=spec.recipe.precision, test_every_epoch=spec.select.split == "test",
        test_curve_decides=decides_by_test_curve(spec, recipe),
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


def decides_by_test_curve(spec: Spec, recipe: Recipe) -> bool:
    """Whether the score is a mean over test epochs, which a trial that was tested once does not have."""
    chosen = spec.select
    return chosen.split == "test" and chosen.epoch == "since_last_drop" and bool(recipe.milestones)


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
