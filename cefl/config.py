"""The configuration of one trial, as a frozen value; importing this needs no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cefl.recipes import Recipe

NUMERICS = 1
"""Version of the training's arithmetic; raised when the same configuration would give other numbers."""

PLACES = ("data", "test_every_epoch", "keep_weights")
"""Fields that say where data lie and what is kept, and decide no number."""


@dataclass(frozen=True)
class TrialConfig:
    """Everything that decides the result of a trial, and where its data lie.

    Attributes:
        data: Folder of the data cache.
        digest: Digest that the cache must have.
        imbalance: Ratio of the largest class to the rarest, ``None`` for the data as they are.
        order: Which class is the rarest: ``ascending`` the first, ``descending`` the last.
        validation: A rule as `cefl.data.validation_rule` reads it.
        params: Of the loss: gamma, alpha.
        seed: Decides subset and split, initial weights, order and augmentation.
        test_every_epoch: Evaluate the test set after every epoch instead of after the last one.
    """

    data: str
    digest: str
    imbalance: float | None
    order: str
    validation: Any
    model: str
    pretrained: bool
    loss: str
    params: Mapping[str, float]
    seed: int
    recipe: Recipe
    precision: str = "auto"
    test_every_epoch: bool = False
    keep_weights: bool = True

    def as_json(self) -> dict[str, Any]:
        """Plain values, from which `from_json` makes an equal configuration."""
        return {**asdict(self), "params": dict(self.params), "recipe": self.recipe.as_json()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> TrialConfig:
        """The configuration that ``as_json`` wrote."""
        recipe = dict(values["recipe"])
        return cls(**{**values, "recipe": Recipe(**{**recipe, "milestones": tuple(recipe["milestones"])})})

    def key(self) -> str:
        """First 12 hex digits of the SHA-256 of the canonical JSON of everything that decides the result."""
        decisive = {name: value for name, value in self.as_json().items() if name not in PLACES}
        if self.imbalance is None:
            decisive["order"] = None
        text = json.dumps(
            {**decisive, "numerics": NUMERICS}, sort_keys=True, separators=(",", ":"), allow_nan=False
        )
        return hashlib.sha256(text.encode()).hexdigest()[:12]
