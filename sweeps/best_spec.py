"""``best.yaml``: the best arm of every cell as a specification that runs."""

from __future__ import annotations

from typing import Any

import yaml

from cefl.config import TrialConfig
from cefl.data import SOURCES
from cefl.recipes import Recipe
from sweeps.plan import Cell, Plan
from trackers.compare import BestArm


def best_spec(plan: Plan, winners: list[BestArm]) -> str:
    """The text of the specification.

    Raises:
        ValueError: If the cells were trained by several recipes, which one specification cannot say.
    """
    cells = {cell.name: cell for cell in plan.cells}
    chosen = [(cells[winner.summary.cell], winner) for winner in winners]
    recipes = {cell.base.recipe for cell, _ in chosen}
    document: dict[str, Any] = {
        "name": f"{plan.name}-best"[:64],
        "cells": [cell_entry(cell, winner) for cell, winner in chosen],
        "seeds": plan.spec.model_dump()["seeds"],
        "select": plan.spec.select.model_dump(),
    }
    if len(recipes) == 1:
        preset = plan.spec.recipe.model_dump(include={"preset"}, exclude_none=True)
        document["recipe"] = preset | recipe_entry(recipes.pop(), chosen[0][0].base)
    else:
        document["recipe"] = plan.spec.recipe.model_dump(exclude_none=True)
    if any(cell.has_own_parts(winner.summary.loss) for cell, winner in chosen):
        document["code"] = list(chosen[0][0].own.folders)
    resources = plan.spec.resources.model_dump(exclude_defaults=True)
    if resources:
        document["resources"] = resources
    if plan.spec.tracking.uri is not None:
        document["tracking"] = {"uri": plan.spec.tracking.uri}
    lines = [
        f"# The best arm of every cell of the sweep {plan.name}:   sweeps run best.yaml",
        "# In the same home nothing is trained twice; --fresh trains it again beside and compares.",
    ]
    for _, winner in chosen:
        arm = winner.summary
        lines.append(
            f"# {arm.cell}: {arm.arm}, {winner.objective.metric} {100 * winner.mean:.2f} % on"
            f" {winner.objective.split}, n = {arm.n}"
        )
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    return "\n".join(lines) + "\n" + text


def cell_entry(cell: Cell, winner: BestArm) -> dict[str, Any]:
    """One cell with its best arm alone."""
    arm = winner.summary
    data: dict[str, Any] = {
        "source": absolute_source(cell),
        "name": cell.dataset,
        "imbalance": ["natural" if cell.imbalance is None else cell.imbalance],
        "order": cell.order,
        "validation": cell.base.validation,
    }
    if cell.test_per_class is not None:
        data["test_per_class"] = cell.test_per_class
    if cell.skip_corrupt:
        data["skip_corrupt"] = True
    params = {name: [float(value)] for name, value in arm.params.items()}
    entry: dict[str, Any] = {"data": data, "model": cell.base.model, "losses": [{"loss": arm.loss, **params}]}
    return {**entry, "pretrained": True} if cell.base.pretrained else entry


def absolute_source(cell: Cell) -> str:
    """The source with its path from the root, since ``best.yaml`` lies elsewhere than the specification."""
    kind, separator, path = cell.source.partition(":")
    return f"{kind}:{(cell.folder / path).resolve()}" if separator and kind in SOURCES else cell.source


def recipe_entry(recipe: Recipe, config: TrialConfig) -> dict[str, Any]:
    """Every value of a recipe, so that a later change of a preset does not change this file."""
    values = {name: value for name, value in recipe.as_json().items() if value is not None}
    return {**values, "precision": config.precision}
