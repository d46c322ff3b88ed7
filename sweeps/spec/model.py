"""What a sweep is: the shape of a specification, without what needs the data to be judged."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from cefl.catalog import LOSSES, PARAMETERS
from cefl.data import SPELLINGS
from cefl.recipes import PRESETS
from sweeps.names import NAME
from sweeps.spec.amounts import bytes_of, checked_memory
from sweeps.spec.block import Block, as_list
from sweeps.spec.budget import Budget
from sweeps.spec.losses import LossEntry, LossList
from sweeps.spec.seeds import SeedEntry, fixed, varying

Name = Annotated[str, Field(pattern=NAME)]
NATURAL = "natural"


def data_entry(value: Any) -> Any:
    """``digits`` is short for ``{source: digits}``."""
    return {"source": value} if isinstance(value, str) else value


def data_list(value: Any) -> Any:
    """One data set or several, each by its source or as a mapping."""
    return [data_entry(item) for item in as_list(value)] if value is not None else value


def bounds(value: Any) -> Any:
    """``[0, 5]`` is short for ``{low: 0, high: 5}``."""
    return {"low": value[0], "high": value[1]} if isinstance(value, list) and len(value) == 2 else value


Ratio = Annotated[float, Field(ge=1, allow_inf_nan=False)] | Literal["natural"]


class DataEntry(Block):
    """A data set, at one or several imbalances."""

    source: str = Field(description=f"{SPELLINGS}; a relative path starts at this file")
    name: Name | None = Field(None, description="how results call it; by default the source's own name")
    imbalance: Annotated[list[Ratio], BeforeValidator(as_list)] = Field(
        ["natural"],
        min_length=1,
        description="largest class over the rarest, >= 1, or 'natural': the data as they are",
    )
    order: Literal["ascending", "descending"] = Field(
        "ascending", description="ascending: the first class is the rarest; descending: the last"
    )
    test_per_class: int | None = Field(
        None, ge=1, description="images a class to test on, where a folder has no test/"
    )
    skip_corrupt: bool = Field(
        False, description="leave out images that cannot be read, counted in the report"
    )
    validation: Any = Field(None, description="as the sweep's `validation`, for this data set alone")


class Range(Block):
    """An interval that a search may draw from."""

    low: float = Field(ge=0, allow_inf_nan=False)
    high: float = Field(ge=0, allow_inf_nan=False)


class AnyRange(Block):
    """An interval of either sign."""

    low: float = Field(allow_inf_nan=False)
    high: float = Field(allow_inf_nan=False)


Interval = Annotated[Range, BeforeValidator(bounds)]


class Study(Block):
    """A search by Optuna: one study for each cell and each of these losses."""

    losses: Annotated[list[str], BeforeValidator(as_list)] = Field(min_length=1)
    gamma: Interval | None = Field(None, description="range of gamma, by default [0, 5]")
    alpha: Interval | None = Field(None, description="range of alpha, for focal; by default alpha stays at 1")
    tau: Interval | None = Field(None, description="range of tau, by default [0, 2]")
    beta: Interval | None = Field(None, description="range of beta; by default it stays at its default")
    defer: Interval | None = Field(None, description="as beta")
    max_margin: Interval | None = Field(None, description="as beta")
    scale: Interval | None = Field(None, description="as beta")
    ranges: dict[str, Annotated[AnyRange, BeforeValidator(bounds)]] = Field(
        {}, description="ranges of parameters of losses of one's own, by name"
    )
    asks: int = Field(
        ge=1, description="trials that the sampler draws in each study, beyond the listed points"
    )
    seed: int = Field(0, ge=0, description="seed of the sampler")
    pruner: Literal["halving", "hyperband", "none"] = Field(
        "halving",
        description="how trials that fall behind are stopped early: by comparison within their study",
    )
    prune: Literal["asks", "all"] = Field(
        "asks", description="who may be stopped: asks alone, or listed points too"
    )
    grace: int | None = Field(
        None,
        ge=1,
        description="epochs before the first comparison; by default those to the first drop of the learning"
        " rate and 5% more, or half of all without a drop",
    )
    reduction: int = Field(
        3,
        ge=2,
        description="about one trial in so many goes on, and each comparison comes so many times later",
    )

    def drawn(self, entry: LossEntry) -> dict[str, tuple[float, float]]:
        """Parameters of a loss that are drawn, and from where; the others stay at one value."""
        found = {}
        for name in entry.params:
            ours = entry.loss in LOSSES
            asked: Range | AnyRange | None = getattr(self, name) if ours else self.ranges.get(name)
            interval = (asked.low, asked.high) if asked else PARAMETERS[name].search if ours else None
            if interval is not None:
                found[name] = interval
        return found


class Confirm(Block):
    """The confirmation: the leading arms of each cell and cross-entropy, trained with seeds of its own."""

    top: int = Field(3, ge=1, description="arms of each cell that are nominated, beside cross-entropy")
    seeds: int = Field(5, ge=2, description="how many, not used by the search; below 5 nothing is decided")
    validation: Any = Field(
        None,
        description="as the sweep's `validation`; by default the same, but {folds: 5} instead of a holdout of"
        " data as they are",
    )


class RecipeEntry(Block):
    """A preset and what differs from it; `epochs` alone stretches or shortens the preset's schedule."""

    preset: str | None = Field(
        None, description=f"one of {', '.join(PRESETS)}; by default the one for the image size"
    )
    epochs: int | None = Field(None, ge=1)
    batch_size: int | None = Field(None, ge=1)
    learning_rate: float | None = Field(None, gt=0, allow_inf_nan=False)
    momentum: float | None = Field(None, ge=0, lt=1)
    weight_decay: float | None = Field(None, ge=0, allow_inf_nan=False)
    milestones: list[int] | None = Field(None, description="epochs after which the learning rate drops")
    decay: float | None = Field(None, gt=0, le=1)
    warmup_epochs: int | None = Field(None, ge=0)
    augment: Literal["none", "crop", "crop-flip", "imagenet"] | None = None
    crop_padding: int | None = Field(None, ge=0)
    image_size: int | None = Field(None, ge=8)
    precision: Literal["auto", "bf16", "float32"] = "auto"


class Resources(Block):
    """What one trial occupies, and how many run at a time."""

    cpus: float = Field(1.0, gt=0, allow_inf_nan=False)
    gpus: float | Literal["auto"] = Field(
        "auto", description="a fraction lets trials share a GPU; auto: one if there is any, else none"
    )
    concurrent: int | None = Field(None, ge=1, description="most trials at a time; by default what fits")
    attempts: int = Field(3, ge=1, description="how often a trial may start before its failure counts")
    epoch_limit: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="seconds that an epoch may take before its trial is ended and tried again; by default 30"
        " times the longest of its cell, and at least 10 minutes",
    )
    memory: Annotated[int | str, BeforeValidator(checked_memory)] | None = Field(
        None,
        description="most memory of a trial's process, such as 4GiB; by default its share of the machine's,"
        " where that has less than 5% left",
    )

    accelerator: str | None = Field(
        None, min_length=1, description="type of GPU, as Ray calls it, such as A100 or H100"
    )
    custom: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(
        {}, description="resources that nodes were started with, by name: `ray start --resources`"
    )

    @property
    def memory_bytes(self) -> int | None:
        """The limit in bytes."""
        return None if self.memory is None else bytes_of(self.memory)


class Select(Block):
    """How the best is chosen."""

    metric: Literal["balanced_accuracy", "accuracy", "macro_precision", "macro_recall", "macro_f1"] = (
        "balanced_accuracy"
    )
    split: Literal["validation", "test"] = Field(
        "validation",
        description="'test' is the paper's protocol: the report says that the figures are optimistic",
    )
    epoch: Literal["last", "since_last_drop"] = Field(
        "last", description="score of the last epoch, or the mean since the learning rate last dropped"
    )


class Tracking(Block):
    """Where runs are shown."""

    uri: str | None = Field(None, description="an MLflow server; by default the database in the home")
    experiment: str | None = Field(None, min_length=1, description="by default the name of the sweep")
    keep: Literal["best", "all", "none"] = Field(
        "best", description="whose weights are kept: of each cell's best, ..."
    )


class CellEntry(Block):
    """One cell, with losses of its own."""

    data: Annotated[DataEntry, BeforeValidator(data_entry)]
    model: str | None = None
    depth: int | None = None
    pretrained: bool = False
    losses: LossList = Field(min_length=1)


class Spec(Block):
    """A sweep: every loss in every cell (data set x imbalance x model) with every seed."""

    name: Name = Field(description="results are kept under this name; running it again goes on")
    data: Annotated[list[DataEntry], BeforeValidator(data_list)] | None = Field(None, min_length=1)
    model: Annotated[list[str], BeforeValidator(as_list)] | None = Field(None, min_length=1)
    depth: Annotated[list[int], BeforeValidator(as_list)] | None = Field(
        None, min_length=1, description="18 is short for the model resnet18"
    )
    pretrained: bool = False
    losses: LossList | None = Field(None, min_length=1)
    cells: list[CellEntry] | None = Field(
        None,
        min_length=1,
        description="instead of data, model, depth and losses: cells with losses of their own",
    )
    seeds: SeedEntry = Field(
        [0],
        description="a list, or how many, counted from 0, each of data and training alike;"
        " or {data, training} apart",
    )
    study: Study | None = None
    confirm: Confirm | None = Field(None, description="what follows when the search is done")
    recipe: Annotated[
        RecipeEntry, BeforeValidator(lambda value: {"preset": value} if isinstance(value, str) else value)
    ] = RecipeEntry()
    validation: Any = Field(
        None, description="{unused: images a class} of a synthetic imbalance, {holdout: share}, or given"
    )
    select: Select = Select()
    resources: Resources = Resources()
    budget: Budget | None = None  # After the recipe, whose `epochs` is the likelier one to be meant.
    tracking: Tracking = Tracking()
    code: Annotated[list[str], BeforeValidator(as_list)] = Field(
        [],
        description="folders that losses, models and data of one's own are imported from, beside that of this"
        " file and the current one",
    )

    @property
    def trial_seeds(self) -> list[int]:
        """The seeds that tell the trials of an arm apart."""
        return varying(self.seeds)

    @property
    def fixed_seeds(self) -> dict[str, int]:
        """``data_seed`` or ``train_seed`` of every trial, where one of the two does not vary."""
        return fixed(self.seeds)
