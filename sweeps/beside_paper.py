"""A sweep beside the paper: what its recipe does otherwise, and the comparison as files."""

from __future__ import annotations

import time
from pathlib import Path

from cefl.recipes import PRESETS, Recipe
from sweeps.home import Home
from sweeps.plan import Plan
from sweeps.results import read_results
from trackers.paper.comparison import PaperComparison, compare_with_paper
from trackers.paper.printed import paper_table
from trackers.report import write_files

RECIPES = {"cifar10": "cifar", "cifar100": "cifar", "crop-disease": "crop-disease", "mushroom": "mushroom"}


def beside_paper(home: Home, plan: Plan, name: str, model: str | None) -> PaperComparison:
    """The sweep beside a table of the paper.

    Raises:
        ComparisonError: If there is no such table, or the sweep does not fit it.
    """
    trials = read_results(home, plan, histories=False)
    return compare_with_paper(
        plan.name, name, trials, model, lambda dataset: recipe_conditions(plan, name, dataset)
    )


def recipe_conditions(plan: Plan, name: str, dataset: str) -> list[str]:
    """What the recipes of a data set's cells do otherwise than the paper's, but for the number of epochs."""
    paper = PRESETS[RECIPES[paper_table(name).dataset]]
    recipes = {cell.base.recipe for cell in plan.cells if cell.dataset == dataset}
    found = dict.fromkeys(each for recipe in recipes for each in differences(recipe, paper))
    return [f"Recipe: {'; '.join(found)}."] if found else []


def differences(recipe: Recipe, paper: Recipe) -> list[str]:
    """``learning_rate 0.1, in the paper 0.05``, for every field that differs, its schedule in proportion."""
    expected = paper.for_epochs(recipe.epochs).as_json()
    return [
        f"{field} {value}, in the paper {expected[field]}"
        for field, value in recipe.as_json().items()
        if value != expected[field]
    ]


def write_comparison(home: Home, plan: Plan, comparison: PaperComparison) -> list[Path]:
    """Write the page and the tables of a comparison beside the sweep's report."""
    from trackers.paper.page import files

    created = time.strftime("%Y-%m-%d %H:%M:%S %z")
    return write_files(home.sweep(plan.name) / "report", files(comparison, created))
