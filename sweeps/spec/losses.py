"""Losses in a specification: each has its own parameters and no other, made from the catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import BeforeValidator, Discriminator, Field, Tag, create_model

from cefl.catalog import LOSSES, PARAMETERS, Parameter
from sweeps.spec.block import Block, as_list


class LossEntry(Block):
    """A loss with the values of its own parameters; every combination is an arm."""

    loss: str

    def values(self, name: str) -> list[float] | None:
        """Values of a parameter, ``None`` where the specification lists none."""
        listed: list[float] | None = getattr(self, name)
        return listed


def value_list(parameter: Parameter) -> Any:
    """Type of the values of a parameter: one or a list, each in its range."""
    low: dict[str, float] = {"gt" if parameter.above else "ge": parameter.low}
    high: dict[str, float] = {} if parameter.below == float("inf") else {"lt": parameter.below}
    value = Annotated[float, Field(allow_inf_nan=False, **low, **high)]
    return Annotated[list[value], BeforeValidator(as_list)] | None


def entry_model(loss: str) -> type[LossEntry]:
    """The mapping of one loss."""
    fields: dict[str, Any] = {"loss": (Literal[loss], ...)}
    fields |= {
        name: (
            value_list(PARAMETERS[name]),
            Field(None, min_length=1, description=f"{PARAMETERS[name].meaning}; by default {default:g}"),
        )
        for name, default in LOSSES[loss].items()
    }
    title = "".join(word.capitalize() for word in loss.split("_")) + "Entry"
    return create_model(title, __base__=LossEntry, **fields)


ENTRIES = {loss: entry_model(loss) for loss in LOSSES}


def name_of(value: Any) -> str | None:
    """What tells the mappings apart."""
    name = value.get("loss") if isinstance(value, dict) else getattr(value, "loss", None)
    return None if name is None else str(name)


def loss_list(value: Any) -> Any:
    """One loss or several, each by its name or as a mapping."""
    if value is None:
        return value
    return [{"loss": item} if isinstance(item, str) else item for item in as_list(value)]


if TYPE_CHECKING:
    AnyLoss = LossEntry
else:
    AnyLoss = Annotated[
        Union[tuple(Annotated[model, Tag(loss)] for loss, model in ENTRIES.items())],  # noqa: UP007
        Discriminator(name_of),
    ]

LossList = Annotated[list[AnyLoss], BeforeValidator(loss_list)]


def loss_arms(entry: LossEntry) -> list[dict[str, float]]:
    """Every combination of the parameters of a loss, the defaults where none are listed."""
    arms: list[dict[str, float]] = [{}]
    for name, default in LOSSES[entry.loss].items():
        values = entry.values(name) or [default]
        arms = [{**arm, name: float(value)} for arm in arms for value in values]
    return arms
