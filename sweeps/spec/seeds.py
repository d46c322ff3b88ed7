"""Seeds of the trials: of data and training together, or apart."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, Tag

from sweeps.spec.block import Block


def seed_list(value: Any) -> Any:
    """``seeds: 3`` is short for ``[0, 1, 2]``."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return list(range(value))
    return value


Seeds = Annotated[
    list[Annotated[int, Field(ge=0, lt=2**31)]], BeforeValidator(seed_list), Field(min_length=1)
]


class SeedsApart(Block):
    """Seeds of data and training apart: one of the two is fixed, the other varies."""

    data: Seeds = Field(description="seeds of subset and split")
    training: Seeds = Field(description="seeds of initial weights, order and augmentation")


def form(value: Any) -> str:
    """Which of the two forms was written."""
    return "apart" if isinstance(value, dict | SeedsApart) else "list"


SeedEntry = Annotated[
    Annotated[Seeds, Tag("list")] | Annotated[SeedsApart, Tag("apart")], Discriminator(form)
]


def varying(seeds: list[int] | SeedsApart) -> list[int]:
    """The seeds that tell the trials of an arm apart: of the two kinds the one that varies."""
    return seeds if isinstance(seeds, list) else max(seeds.training, seeds.data, key=len)


def fixed(seeds: list[int] | SeedsApart) -> dict[str, int]:
    """``data_seed`` or ``train_seed`` of every trial, where one of the two does not vary."""
    if isinstance(seeds, list):
        return {}
    if len(seeds.data) > 1:
        return {"train_seed": seeds.training[0]}
    return {"data_seed": seeds.data[0]}
