"""What a search asks for, in which order, and what ends it."""

from __future__ import annotations

from pathlib import Path

import pytest
from simulated_training import planned

from sweeps.home import Home

SPEC = """
name: searched
data: {source: "npz:stripes.npz", imbalance: [4, 2]}
validation: {unused: 5}
depth: 8
losses: [cross_entropy, {loss: cefl, gamma: [1, 2]}]
study: {losses: cefl, gamma: [0, 5], asks: 4}
recipe: {preset: digits, batch_size: 16}
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_of_seeds_given_apart_one_varies_and_shared_trials_keep_their_key(home: Home, stripes: Path) -> None:
    def points(seeds: str) -> list[tuple[int, int, str]]:
        plan = planned(home, SPEC + f"seeds: {seeds}\n", stripes.parent)
        return [
            (point.config.draws_data, point.config.draws_training, point.key)
            for point in plan.points
            if point.cell is plan.cells[0] and point.config.loss == "cross_entropy"
        ]

    assert [pair[:2] for pair in points("{data: [7], training: 2}")] == [(7, 0), (7, 1)]
    assert [pair[:2] for pair in points("{data: 2, training: [7]}")] == [(0, 7), (1, 7)]
    assert points("{data: [1], training: 2}")[1] == points("2")[1], "the same trial, trained once"
