"""Weights that several sweeps of a home have a claim to; trainings are made up, weights a few bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from simulated_training import Simulated, conductor_of, planned

from cefl.config import TrialConfig
from sweeps.conductor import Conductor
from sweeps.garbage import find_garbage
from sweeps.home import Home
from sweeps.keeping import WEIGHTS, holding
from sweeps.spec import load_text
from sweeps.state import write_spec, write_state
from sweeps.tracking import Tracking
from sweeps.weights import finish_weights, folder_with_weights

SPEC = """
name: {name}
data: {{source: "npz:stripes.npz", imbalance: 4}}
validation: {{unused: 5}}
depth: 8
losses: [{{loss: cefl, gamma: {gammas}}}]
recipe: {{preset: digits, epochs: 1, batch_size: 16, precision: float32}}
tracking: {{keep: {keep}}}
"""


@pytest.fixture
def place(home: Path) -> Home:
    return Home(home)


class Sweeps:
    """Sweeps of one home that are run one after the other: the larger gamma, the better."""

    def __init__(self, place: Home, base: Path) -> None:
        self.place, self.base = place, base
        self.keys: dict[float, str] = {}

    def run(self, name: str, gammas: list[float], keep: str = "best") -> list[str]:
        """Train what is left; the best arms that have no weights."""
        with self.begun(name, gammas, keep) as (conductor, loaded):
            tracking = Tracking(conductor.plan, self.place, conductor.ledger)
            unkept = finish_weights(conductor.plan, self.place, conductor, tracking)
            write_state(self.place, name, "done", loaded)
        return unkept

    @contextmanager
    def begun(self, name: str, gammas: list[float], keep: str = "best") -> Iterator[tuple[Conductor, object]]:
        """A sweep that has trained what is left, and has not ended."""
        text = SPEC.format(name=name, gammas=gammas, keep=keep)
        plan, loaded = planned(self.place, text, self.base), load_text(text, f"{name}.yaml", self.base)
        write_spec(self.place, plan, loaded)
        write_state(self.place, name, "running", loaded)

        def curve(config: TrialConfig, epoch: int) -> float:
            self.keys[config.params["gamma"]] = config.key()
            (self.place.trial(config.key()) / WEIGHTS).write_bytes(b"weights")
            return config.params["gamma"] / 10

        conductor = conductor_of(self.place, plan)
        with closing(conductor.ledger):
            Simulated(curve).run(conductor)
            conductor.trained.clear()  # As if by a driver before: nothing is uploaded.
            yield conductor, loaded

    @property
    def kept(self) -> set[float]:
        """Gammas of the arms that have weights."""
        there = holding(self.place, WEIGHTS)
        return {gamma for gamma, key in self.keys.items() if folder_with_weights(self.place, key, there)}


def test_what_another_sweep_has_not_kept_is_told(place: Home, stripes: Path) -> None:
    sweeps = Sweeps(place, stripes.parent)
    assert sweeps.run("first", [1, 2, 3]) == []
    assert sweeps.kept == {3}
    (unkept,) = sweeps.run("second", [1, 2])
    assert unkept.startswith("cefl(gamma=2) in ")
    assert sweeps.run("third", [1, 2], keep="none") == [], "it wants none"


def test_what_is_best_in_one_sweep_is_kept_by_all(place: Home, stripes: Path) -> None:
    sweeps = Sweeps(place, stripes.parent)
    assert sweeps.run("first", [1, 2]) == []
    assert sweeps.run("second", [2, 3]) == []
    assert sweeps.kept == {2, 3}, "2 is the best of the first"
    assert sweeps.run("first", [1, 2, 3]) == []
    assert sweeps.kept == {3}, "now it is the best of none"
    sweeps.run("third", [4, 5], keep="none")
    sweeps.run("fourth", [4, 5, 6])
    assert 4 in sweeps.kept, "who keeps none removes none"
    assert {each.kind for each in find_garbage(place)} == {"weights"}


def test_while_a_sweep_goes_on_each_of_its_trials_may_be_the_best(place: Home, stripes: Path) -> None:
    sweeps = Sweeps(place, stripes.parent)
    with sweeps.begun("first", [1, 2]):
        assert sweeps.run("second", [1, 2, 3]) == []
    assert sweeps.kept == {1, 2, 3}
    assert find_garbage(place) == []
    sweeps.run("first", [1, 2])
    sweeps.run("second", [1, 2, 3])
    assert sweeps.kept >= {2, 3}
