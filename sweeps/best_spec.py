"""``best.yaml``: the best arm of every cell as a specification that runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from cefl.config import TrialConfig
from cefl.data import SOURCES
from cefl.recipes import Recipe
from sweeps.cells import Cell
from sweeps.plan import Plan
from trackers.compare import ArmSummary, BestArm
from trackers.confirmation import Confirmation, ConfirmedArm
from trackers.confirmed_words import plus_minus
from trackers.masking import open_address


def best_spec(plan: Plan, answers: Sequence[BestArm | Confirmation]) -> str:
    """The text of the specification: confirmed arms with the seeds that confirmed them, else the search's.

    Where only some cells are confirmed, all get the seeds and the validation of the search: one specification
    has one list of seeds.

    Raises:
        ValueError: If the cells were trained by several recipes, which one specification cannot say.
    """
    cells = {cell.name: cell for cell in plan.cells}
    confirmed = [each for each in answers if isinstance(each, Confirmation)]
    whole = len(confirmed) == len(answers)
    arms = {
        each.cell if isinstance(each, Confirmation) else each.summary.cell: arm_of(each) for each in answers
    }
    recipes = {cells[name].base.recipe for name in arms}
    document: dict[str, Any] = {
        "name": f"{plan.name}-best"[:64],
        "cells": [cell_entry(cells[name], arm.loss, arm.params, whole) for name, arm in arms.items()],
        "seeds": seeds_of(plan, confirmed[0] if whole else None),
        "select": plan.spec.select.model_dump(),
    }
    if len(recipes) == 1:
        preset = plan.spec.recipe.model_dump(include={"preset"}, exclude_none=True)
        document["recipe"] = preset | recipe_entry(recipes.pop(), cells[next(iter(arms))].base)
    else:
        document["recipe"] = plan.spec.recipe.model_dump(exclude_none=True)
    if any(cells[name].has_own_parts(arm.loss) for name, arm in arms.items()):
        document["code"] = list(cells[next(iter(arms))].own.folders)
    resources = plan.spec.resources.model_dump(exclude_defaults=True)
    if resources:
        document["resources"] = resources
    if plan.spec.tracking.uri is not None:
        document["tracking"] = {"uri": open_address(plan.spec.tracking.uri)}
    lines = [
        f"# The best arm of every cell of the sweep {plan.name}:   sweeps run best.yaml",
        "# In the same home nothing is trained twice; --fresh trains it again beside and compares.",
        *(f"# {line_of(each)}" for each in answers),
    ]
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    return "\n".join(lines) + "\n" + text


def seeds_of(plan: Plan, confirmed: Confirmation | None) -> Any:
    """The seeds as a specification states them: those that confirmed, or those of the search."""
    stated = plan.spec.model_dump()["seeds"]
    if confirmed is None:
        return stated
    varying = list(confirmed.seeds)
    if not plan.spec.fixed_seeds:
        return varying
    return {**stated, "training" if "data_seed" in plan.spec.fixed_seeds else "data": varying}


def arm_of(answer: BestArm | Confirmation) -> ArmSummary | ConfirmedArm:
    """The arm that an answer names."""
    return answer.winner if isinstance(answer, Confirmation) else answer.summary


def line_of(answer: BestArm | Confirmation) -> str:
    """Cell, arm and score, and what kind of score it is."""
    metric = answer.objective.metric
    if isinstance(answer, Confirmation):
        score = f"{metric} {plus_minus(answer.winner.test)} on test, n = {answer.winner.test.n}"
        return f"{answer.cell}: {answer.winner.arm}, {score}, confirmed"
    arm = answer.summary
    score = f"{metric} {100 * answer.mean:.2f} % on {answer.objective.split}, n = {arm.n}"
    return f"{arm.cell}: {arm.arm}, {score}, a search score"


def cell_entry(cell: Cell, loss: str, params: Mapping[str, float], confirmed: bool) -> dict[str, Any]:
    """One cell with its best arm alone."""
    data: dict[str, Any] = {
        "source": absolute_source(cell),
        "name": cell.dataset,
        "imbalance": ["natural" if cell.imbalance is None else cell.imbalance],
        "order": cell.order,
        "validation": cell.confirm_validation if confirmed else cell.base.validation,
    }
    if cell.test_per_class is not None:
        data["test_per_class"] = cell.test_per_class
    if cell.skip_corrupt:
        data["skip_corrupt"] = True
    values = {name: [float(value)] for name, value in params.items()}
    entry: dict[str, Any] = {"data": data, "model": cell.base.model, "losses": [{"loss": loss, **values}]}
    return {**entry, "pretrained": True} if cell.base.pretrained else entry


def absolute_source(cell: Cell) -> str:
    """The source with its path from the root, since ``best.yaml`` lies elsewhere than the specification."""
    kind, separator, path = cell.source.partition(":")
    return f"{kind}:{(cell.folder / path).resolve()}" if separator and kind in SOURCES else cell.source


def recipe_entry(recipe: Recipe, config: TrialConfig) -> dict[str, Any]:
    """Every value of a recipe, so that a later change of a preset does not change this file."""
    values = {name: value for name, value in recipe.as_json().items() if value is not None}
    return {**values, "precision": config.precision}
