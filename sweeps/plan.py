"""The plan: cells, arms and trials of a specification, with the keys under which trials are remembered."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import TypeVar

from cefl.config import TrialConfig
from cefl.errors import CeflError, MissingData, ModelError, StorageError
from sweeps.cells import Cell, Progress, build_cell, clashes, dataset_folder, groups
from sweeps.errors import DataNotThere, Problem, SpecError
from sweeps.names import check_name
from sweeps.own_parts import find_parts
from sweeps.rungs import Rungs, rungs_of
from sweeps.spec import LoadedSpec, Spec
from sweeps.spec.losses import loss_arms, undrawn

T = TypeVar("T")


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
        InputError: If no sweep may have that name.
    """
    if name is not None:
        check_name(name)
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
            missing += isinstance(error, MissingData | StorageError)
            continue
        for ratio in entry.imbalance:
            try:
                cells.append(
                    build_cell(loaded, entry, ratio, model, pretrained, losses, datasets[identity], own)
                )
            except ModelError as error:
                at = place[:-1] if place[0] == "cells" else ()
                problems.append(loaded.problem((*at, "pretrained"), str(error)))
            except CeflError as error:
                problems.append(loaded.problem((*place, "imbalance"), f"{ratio}: {error}"))
    problems += clashes(cells) + too_short(loaded, cells)
    if problems:
        kind = DataNotThere if missing == len(problems) else SpecError
        raise kind(loaded.file, list(dict.fromkeys(problems)))
    return Plan(spec.name, spec, loaded.shareable, tuple(cells), tuple(searches(spec, cells)))


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
