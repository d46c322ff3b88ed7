"""The specifications of the paper's tables ask for exactly the printed cells, by the paper's recipes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cefl.data.folder import MUSHROOM_TEST
from cefl.recipes import PRESETS
from sweeps.plan import Plan, build_plan
from sweeps.spec import load_spec, load_text, shipped_specs
from trackers.paper.printed import paper_table
from trackers.table import arm_label

TRIALS = {"table2": 105, "table3": 105, "table4-crop": 28, "table4-mushroom": 28}
PRESET = {"table2": "cifar", "table3": "cifar", "table4-crop": "crop-disease", "table4-mushroom": "mushroom"}


def write_images(path: Path, classes: int, per_class: int) -> None:
    labels = np.repeat(np.arange(classes), per_class)
    images = np.random.default_rng(0).integers(0, 256, (len(labels), 8, 8, 3), dtype=np.uint8)
    np.savez(
        path, train_images=images, train_labels=labels, test_images=images[::50], test_labels=labels[::50]
    )


def plan_of(table: str, folder: Path) -> Plan:
    """The shipped specification on a stand-in of as many classes, whose images are noise."""
    classes = paper_table(table).classes
    write_images(folder / "noise.npz", classes, 500 if table in ("table2", "table3") else 20)
    text = shipped_specs()[f"paper-{table}"].read_text(encoding="utf-8")
    (source,) = (line for line in text.splitlines() if "source:" in line)
    loaded = load_text(
        text.replace(source, "  - source: npz:noise.npz").replace("test_per_class: 300", ""), "s.yaml", folder
    )
    return build_plan(loaded, folder / "data")


@pytest.mark.parametrize("table", TRIALS)
def test_the_plan_is_the_printed_table_once_a_seed(table: str, tmp_path: Path) -> None:
    plan = plan_of(table, tmp_path)
    seeds = plan.spec.seeds
    assert len(plan.points) == TRIALS[table] * len(seeds) == len({point.key for point in plan.points})
    first = plan.points[: TRIALS[table]]
    assert {point.config.seed for point in first} == {0}
    planned = {
        (point.cell.imbalance, point.cell.depth, arm_label(point.config.loss, point.config.params))
        for point in first
    }
    assert planned == {(cell.imbalance, cell.depth, cell.arm) for cell in paper_table(table).cells}
    assert {point.config.recipe for point in first} == {PRESETS[PRESET[table]]}
    assert {point.config.pretrained for point in first} == {paper_table(table).pretrained}
    assert all(cell.base.validation == "none" and cell.base.test_every_epoch for cell in plan.cells)


def test_imbalance_1_keeps_every_image(tmp_path: Path) -> None:
    balanced = plan_of("table2", tmp_path).cells[0]
    assert balanced.imbalance == 1
    assert balanced.train_counts == (500,) * 10


@pytest.mark.parametrize("table", TRIALS)
def test_a_specification_opens_with_the_commands_for_it(table: str) -> None:
    text = shipped_specs()[f"paper-{table}"].read_text(encoding="utf-8").splitlines()
    assert f"uv run sweeps run paper-{table}" in text[0]
    assert f"uv run sweeps report paper-{table} --paper {table}" in text[1]
    assert max(map(len, text)) <= 120


def test_the_mushroom_test_set_is_the_papers() -> None:
    (entry,) = load_spec("paper-table4-mushroom").spec.data or []
    assert entry.test_per_class in (None, MUSHROOM_TEST), "a cache of the source alone is that of the table"
    assert entry.skip_corrupt, "the published archive has a truncated file"
    assert MUSHROOM_TEST == 300
    assert paper_table("table4-mushroom").test_images == 300 * 9


def test_the_recipes_are_those_of_the_paper() -> None:
    cifar, crop, mushroom = (PRESETS[name] for name in ("cifar", "crop-disease", "mushroom"))
    assert (cifar.epochs, cifar.batch_size, cifar.learning_rate, cifar.milestones) == (
        100,
        128,
        0.05,
        (60, 80),
    )
    assert (crop.epochs, crop.batch_size, crop.learning_rate, crop.milestones) == (60, 64, 0.01, (30, 50))
    assert mushroom == replace(crop, epochs=100, milestones=(60, 80))
    for recipe in (cifar, crop, mushroom):
        assert (recipe.momentum, recipe.weight_decay, recipe.decay, recipe.warmup_epochs) == (
            0.9,
            1e-4,
            0.1,
            0,
        )
