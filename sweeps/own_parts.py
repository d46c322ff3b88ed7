"""Losses and models of the user's own: found for the plan, tried before anything runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cefl.catalog import COSINE_HEAD, LOSSES, MODELS
from cefl.errors import CeflError
from cefl.own import find
from sweeps.errors import Problem, SpecError
from sweeps.spec import LoadedSpec
from sweeps.spec.losses import LossEntry, loss_arms
from sweeps.spec.reading import Path as Place

if TYPE_CHECKING:
    from sweeps.cells import Cell
    from sweeps.plan import Plan


@dataclass(frozen=True)
class OwnParts:
    """What the import paths of a specification are known by, and the folders that they are imported from."""

    folders: tuple[str, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)

    def known(self, role: str, name: str) -> dict[str, str]:
        """``{role: digest}`` of a part of one's own, nothing of one of ours."""
        return {role: self.digests[name]} if name in self.digests else {}


def named_parts(loaded: LoadedSpec) -> Iterator[tuple[Place, str]]:
    """Place and import path of every loss and model of one's own."""
    spec = loaded.spec
    groups: list[tuple[Place, list[LossEntry], list[str]]] = [((), spec.losses or [], spec.model or [])]
    groups += [
        (("cells", index), cell.losses, [cell.model] if cell.model else [])
        for index, cell in enumerate(spec.cells or [])
    ]
    for at, losses, models in groups:
        for index, entry in enumerate(losses):
            if entry.loss not in LOSSES:
                yield (*at, "losses", index), entry.loss
        for index, model in enumerate(models):
            if model not in MODELS:
                yield (*at, "model", index), model


def import_folders(loaded: LoadedSpec) -> tuple[str, ...]:
    """Where own parts are imported from: the folders of `code`, that of the file, the current one."""
    code = [loaded.base / Path(folder).expanduser() for folder in loaded.spec.code]
    return tuple(dict.fromkeys(str(folder.resolve()) for folder in (*code, loaded.base, Path.cwd())))


def find_parts(loaded: LoadedSpec) -> tuple[OwnParts, list[Problem]]:
    """The parts that a specification names, without importing them, and those that there are none of."""
    named = list(named_parts(loaded))
    folders, digests, problems = import_folders(loaded), {}, []
    if loaded.spec.code:
        sys.path += [folder for folder in folders if folder not in sys.path]  # For data of one's own.
    for place, path in named:
        try:
            digests[path] = find(path, folders).digest
        except CeflError as error:
            problems.append(loaded.problem(place, str(error)))
    return OwnParts(folders, digests), problems


def check_parts(plan: Plan, loaded: LoadedSpec) -> None:
    """Import every part and try it on a few made-up numbers.

    Raises:
        SpecError: With everything that does not work.
    """
    named = {path: place for place, path in reversed(list(named_parts(loaded)))}
    if not named:
        return
    problems = [
        loaded.problem(named[path], text)
        for cell in plan.cells
        for path, text in (*model_problems(cell), *loss_problems(cell))
    ]
    if problems:
        raise SpecError(loaded.file, list(dict.fromkeys(problems)))


def loss_problems(cell: Cell) -> Iterator[tuple[str, str]]:
    """Import path and message of every loss of one's own that does not work in a cell."""
    from cefl.own_loss import check_own_loss

    for entry in cell.losses:
        if entry.loss in LOSSES:
            continue
        for params in loss_arms(entry):
            config = cell.config(entry.loss, params, 0)
            try:
                check_own_loss(
                    entry.loss, params, train_counts=cell.train_counts, epochs=config.recipe.epochs,
                    folders=config.code, digest=config.parts.get("loss"),
                )  # fmt: skip
            except CeflError as error:
                yield entry.loss, str(error)
                break


def model_problems(cell: Cell) -> Iterator[tuple[str, str]]:
    """Import path and message of a model of one's own that does not work in a cell."""
    from cefl.models import build_model
    from cefl.own_model import check_model

    config = cell.base
    if config.model in MODELS:
        return
    channels, classes = cell.image_shape[2], len(cell.classes)
    seen = config.recipe.image_size or max(cell.image_shape[:2])
    cosines = any(entry.loss in COSINE_HEAD for entry in cell.losses)
    try:
        for cosine_head in {False, cosines}:
            model = build_model(
                config.model, classes, channels, seen, config.pretrained, cosine_head=cosine_head,
                folders=config.code, digest=config.parts.get("model"),
            )  # fmt: skip
            check_model(config.model, model, classes, channels, seen)
    except CeflError as error:
        yield config.model, str(error)
