"""The configuration of one trial, as a frozen value; importing this needs no torch."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from cefl.catalog import LOSSES, MODELS, ORDERS, PARAMETERS, PRECISIONS, PRETRAINED
from cefl.errors import CeflError
from cefl.own import is_path
from cefl.recipes import Recipe, named

NUMERICS = 1
"""Version of the training's arithmetic; raised when the same configuration would give other numbers."""

AUGMENT_NUMERICS: Mapping[str, int] = {"imagenet": 2}
"""Likewise of one augmentation, where it was changed: keys of trials with another one stay as they are."""

PLACES = ("data", "code", "test_every_epoch", "keep_weights")
"""Fields that say where data and code lie and what is kept, and decide no number."""

SEEDS = ("seed", "data_seed", "train_seed")


@dataclass(frozen=True)
class TrialConfig:
    """Everything that decides the result of a trial, and where its data lie.

    Attributes:
        data: Folder of the data cache.
        digest: Digest that the cache must have.
        imbalance: Ratio of the largest class to the rarest, ``None`` for the data as they are.
        order: Which class is the rarest: ``ascending`` the first, ``descending`` the last.
        validation: A rule as `cefl.data.validation_rule` reads it.
        loss: One of `cefl.catalog.LOSSES`, or an import path; likewise ``model``.
        params: Of the loss, as `cefl.catalog.LOSSES` names them.
        seed: Of data and training, where they have none of their own. Under natural data it draws no subset.
        test_every_epoch: Evaluate the test set after every epoch instead of after the last one.
        test_curve_decides: Likewise, and its metrics of several epochs are the score, so that a trial that
            was tested at its end alone is another one. Part of the key only where it holds.
        keep_weights: Write the weights of the last epoch.
        data_seed: Decides subset and split; ``None``: ``seed`` does.
        train_seed: Decides initial weights, order and augmentation; ``None``: ``seed`` does.
        parts: What loss and model of one's own are known by, see `cefl.own.Part`; keys ``loss``, ``model``.
        code: Folders that these are imported from.

    Raises:
        CeflError: If a rule is broken; names all that are. Whether the data fit is seen when they are opened.
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
    data_seed: int | None = None
    train_seed: int | None = None
    parts: Mapping[str, str] = field(default_factory=dict)
    code: tuple[str, ...] = ()
    test_curve_decides: bool = False

    def __post_init__(self) -> None:
        known, own_loss = LOSSES.get(self.loss, {}), is_path(self.loss)
        domains = {
            PARAMETERS[name].rule(f"params.{name}"): PARAMETERS[name].allows(value)
            for name, value in self.params.items()
            if name in PARAMETERS
        }
        rules = {
            f"model is one of {', '.join(MODELS)}": self.model in MODELS or is_path(self.model),
            f"loss is one of {', '.join(LOSSES)}": self.loss in LOSSES or own_loss,
            f"params of {self.loss} are {', '.join(known) or 'none'}": own_loss
            or self.params.keys() <= known.keys(),
            **({"params are finite numbers": are_finite(self.params)} if own_loss else domains),
            f"order is one of {', '.join(ORDERS)}": self.order in ORDERS,
            f"precision is one of {', '.join(PRECISIONS)}": self.precision in PRECISIONS,
            **{
                f"{name} is a whole number >= 0": isinstance(value, int) and value >= 0
                for name in SEEDS
                if (value := getattr(self, name)) is not None
            },
        }
        broken = [rule for rule, holds in rules.items() if not holds]
        if broken:
            raise CeflError(f"trial: `{'` and `'.join(broken)}` must hold, but got {named(self, broken)}")

    @property
    def draws_data(self) -> int:
        """The seed of subset and split."""
        return self.seed if self.data_seed is None else self.data_seed

    @property
    def draws_training(self) -> int:
        """The seed of initial weights, order and augmentation."""
        return self.seed if self.train_seed is None else self.train_seed

    def as_json(self) -> dict[str, Any]:
        """Plain values, from which `from_json` makes an equal configuration."""
        own = {"parts": dict(self.parts), "code": list(self.code)} if self.parts else {}
        seldom = {"test_curve_decides": True} if self.test_curve_decides else {}
        left = ("parts", "code", "test_curve_decides")
        plain = {name: value for name, value in vars(self).items() if name not in left}
        return {**plain, "params": dict(self.params), "recipe": self.recipe.as_json(), **own, **seldom}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> TrialConfig:
        """The configuration that ``as_json`` wrote."""
        recipe = dict(values["recipe"])
        built = Recipe(**{**recipe, "milestones": tuple(recipe["milestones"])})
        return cls(**{**values, "recipe": built, "code": tuple(values.get("code", ()))})

    def key(self) -> str:
        """First 12 hex digits of the SHA-256 of the canonical JSON of everything that decides the result."""
        decisive = {
            name: value for name, value in vars(self).items() if name not in (*PLACES, *SEEDS, "recipe")
        }
        decisive["seed"] = self.draws_training
        if self.draws_data != self.draws_training:
            decisive["data_seed"] = self.draws_data
        if self.imbalance is None:
            decisive["order"] = None
        for name in ("parts", "test_curve_decides"):
            if not decisive[name]:
                del decisive[name]
        if self.pretrained:
            decisive["weights"] = PRETRAINED.get(self.model)
        if self.recipe.augment in AUGMENT_NUMERICS:
            decisive["augment_numerics"] = AUGMENT_NUMERICS[self.recipe.augment]
        values = {**_canonical({**decisive, "numerics": NUMERICS}), "recipe": _canonical_recipe(self.recipe)}
        text = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def are_finite(params: Mapping[str, object]) -> bool:
    """Whether all values are finite numbers."""
    numbers = [
        value for value in params.values() if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    return len(numbers) == len(params) and all(math.isfinite(value) for value in numbers)


@lru_cache(maxsize=64)  # A plan has thousands of trials of one recipe.
def _canonical_recipe(recipe: Recipe) -> Any:
    return _canonical(recipe.as_json())


def _canonical(value: Any) -> Any:
    """Equal values in equal form: 2.0 as 2, and -0.0 as 0, which JSON would tell apart."""
    if isinstance(value, Mapping):
        return {name: _canonical(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
