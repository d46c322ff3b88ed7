"""Losses in a specification: each has its own parameters and no other, made from the catalog."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag, create_model

from cefl.catalog import LOSSES, PARAMETERS, Parameter
from cefl.own import PATH, is_path
from sweeps.spec.block import Block, as_list


class LossEntry(Block):
    """A loss with the values of its own parameters; every combination is an arm."""

    loss: str

    def values(self, name: str) -> list[float] | None:
        """Values of a parameter, ``None`` where the specification lists none."""
        listed: list[float] | None = getattr(self, name)
        return listed

    @property
    def params(self) -> Iterable[str]:
        """Names of the parameters."""
        return LOSSES[self.loss]


class OwnLossEntry(LossEntry):
    """A loss of one's own with the values of its parameters, whatever they are called."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[
        str,
        Annotated[
            list[Annotated[float, Field(allow_inf_nan=False)]], BeforeValidator(as_list), Field(min_length=1)
        ],
    ]

    loss: str = Field(pattern=f"^{PATH.pattern}$", description="package.module:name of a class or function")

    def values(self, name: str) -> list[float] | None:
        """Values of a parameter."""
        return self.__pydantic_extra__.get(name)

    @property
    def params(self) -> Iterable[str]:
        """Names of the parameters that are listed; the others stay at the defaults of the loss itself."""
        return self.__pydantic_extra__


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


OWN = "own"
ENTRIES = {loss: entry_model(loss) for loss in LOSSES}


def name_of(value: Any) -> str | None:
    """What tells the mappings apart."""
    name = value.get("loss") if isinstance(value, dict) else getattr(value, "loss", None)
    if isinstance(name, str) and is_path(name):
        return OWN
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
        Union[
            (
                *(Annotated[model, Tag(loss)] for loss, model in ENTRIES.items()),
                Annotated[OwnLossEntry, Tag(OWN)],
            )
        ],  # noqa: UP007
        Discriminator(name_of),
    ]

LossList = Annotated[list[AnyLoss], BeforeValidator(loss_list)]


def undrawn(entry: LossEntry) -> dict[str, float]:
    """Values that parameters have where a search does not draw them: a default, or the first one listed."""
    if entry.loss in LOSSES:
        return dict(LOSSES[entry.loss])
    return {name: (entry.values(name) or [0.0])[0] for name in entry.params}


def loss_arms(entry: LossEntry) -> list[dict[str, float]]:
    """Every combination of the parameters of a loss, the defaults where none are listed."""
    arms: list[dict[str, float]] = [{}]
    for name in entry.params:
        values = entry.values(name) or [LOSSES[entry.loss][name]]
        arms = [{**arm, name: float(value)} for arm in arms for value in values]
    return arms
