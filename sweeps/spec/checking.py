"""From plain values to a checked specification: every problem at once, each with its line."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from cefl.catalog import DEPTHS, LOSSES, MODELS
from cefl.data import parse_source, validation_rule
from cefl.errors import CeflError
from cefl.own import is_path
from cefl.recipes import PRESETS
from sweeps.errors import Problem, SpecError
from sweeps.spec.finding import Found, did_you_mean, duplicates
from sweeps.spec.loss_checks import check_losses, check_study, explain_loss, explain_parameter
from sweeps.spec.model import RecipeEntry, Spec
from sweeps.spec.reading import Document, Path, dotted
from sweeps.spec.seeds import SeedsApart


def check(document: Document, file: str) -> Spec:
    """The specification that the document holds.

    Raises:
        SpecError: With everything that is wrong.
    """
    if not isinstance(document.value, dict):
        raise SpecError(
            file, [Problem("", "a specification is a mapping; `sweeps init` writes one to start from", 1)]
        )
    found: list[Found] = []
    spec = None
    try:
        spec = Spec.model_validate(document.value)
    except ValidationError as error:
        found = explain_all(error, document)
        spec = without(document.value, {str(path[0]) for path, _ in found if path})
    if spec is not None:
        told = {path[:1] for path, _ in found}
        found += [each for each in cross_checks(spec) if each[0][:1] not in told]
    if found:
        raise SpecError(file, [Problem(dotted(path), text, document.line(path)) for path, text in found])
    return Spec.model_validate(document.value)


def without(values: dict[str, Any], wrong: set[str]) -> Spec | None:
    """The specification but for what is wrong by itself, so that the rest can be checked too."""
    if "losses" in wrong:
        wrong = wrong | {"study"}
    kept = {key: value for key, value in values.items() if key not in wrong}
    try:
        return Spec.model_validate({"name": "unnamed", **kept})
    except ValidationError:
        return None


def explain_all(error: ValidationError, document: Document) -> list[Found]:
    """Every problem once; where several forms of a value were tried, the one that came nearest."""
    found: dict[Path, str] = {}
    for each in error.errors(include_url=False):
        path, text = explain(each, document)
        if path not in found or " is not one of " in found[path]:
            found[path] = text
    return list(found.items())


def explain(error: ErrorDetails, document: Document) -> Found:
    """Path and message of one of pydantic's errors, in our words."""
    path = written_path(error["loc"], document)
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return explain_loss(path, value, document)
    if kind == "extra_forbidden" and len(error["loc"]) > 1 and error["loc"][-2] in LOSSES:
        return path, explain_parameter(str(path[-1]), str(error["loc"][-2]))
    if kind == "extra_forbidden":
        known = known_keys(path[:-1])
        # A key of this mapping, or one that stands elsewhere, such as `epochs` at the top.
        hint = did_you_mean(path[-1], known, all_keys(Spec)) or f"; known are {', '.join(known)}"
        return path, f"unknown key '{path[-1]}'{hint}"
    if kind == "missing":
        return path, "is required"
    if kind in ("literal_error", "string_pattern_mismatch", "enum") and "expected" in context:
        words = context["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        return path, f"{value!r} is not one of {', '.join(words)}{did_you_mean(value, words)}"
    if kind == "string_pattern_mismatch":
        return (
            path,
            f"{value!r} is not a name: letters, digits, '.', '_' and '-', at most 64, first no sign",
        )
    if kind in ("float_type", "float_parsing", "int_type", "int_from_float", "int_parsing"):
        whole = "a whole number" if kind.startswith("int") else "a number"
        return path, f"{value!r} is not {whole}"
    if kind == "finite_number":
        return path, f"must be a finite number, but got {value}"
    signs = {"greater_than_equal": ("ge", ">="), "greater_than": ("gt", ">"), "less_than": ("lt", "<"),
             "less_than_equal": ("le", "<=")}  # fmt: skip
    if kind in signs:
        name, sign = signs[kind]
        return path, f"must be {sign} {context[name]:g}, but got {value}"
    if kind == "too_short":
        return path, "must not be empty; give at least one value, or leave the key out"
    if kind == "list_type":
        also = " or a number of seeds, at least 1" if path[0] == "seeds" else ""
        return path, f"must be a list{also}, but got {value!r}"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return path, f"must be a mapping of {', '.join(known_keys(path))}, but got {value!r}"
    return path, f"{error['msg'][0].lower()}{error['msg'][1:]}, but got {value!r}"


def written_path(location: Sequence[str | int], document: Document) -> Path:
    """The error's location without pydantic's names of union members and validators.

    Shorthands (one value for a list, a word for a mapping) have no line of their own: `Document.line` takes
    the line of what is around them.
    """
    path: list[str | int] = []
    value: Any = document.value
    for index, part in enumerate(location):
        if isinstance(part, str) and isinstance(value, dict) and part not in value:
            if index == len(location) - 1 and "[" not in part and part not in ("float", "int", "str"):
                path.append(part)  # A key that is missing.
            continue
        if isinstance(part, str) and not isinstance(value, dict):
            if part in Spec.model_fields:
                path.append(part)
            continue
        if isinstance(part, int) and not isinstance(value, list):
            continue  # One value that stands for a list of one.
        path.append(part)
        value = (
            value[part] if isinstance(value, dict) or (isinstance(part, int) and part < len(value)) else None
        )
    return tuple(path)


def known_keys(path: Path) -> list[str]:
    """Keys that the mapping at a path may have."""
    model: Any = Spec
    for part in path:
        if isinstance(part, str) and model is not None and part in model.model_fields:
            model = next(iter(models_within(model.model_fields[part].annotation)), None)
    return list(model.model_fields) if model is not None else []


def all_keys(model: type[BaseModel], at: str = "") -> dict[str, str]:
    """Every key of a model and of those within it, with its path, such as ``recipe.epochs``."""
    keys: dict[str, str] = {}
    for name, field in model.model_fields.items():
        keys.setdefault(name, f"{at}{name}")
        for inner in models_within(field.annotation):
            keys = {**all_keys(inner, f"{at}{name}."), **keys}
    return keys


def models_within(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that an annotation such as ``list[Model] | None`` holds."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in typing.get_args(annotation):
        yield from models_within(inner)


def cross_checks(spec: Spec) -> Iterator[Found]:
    """What is wrong although each value by itself is right."""
    grid = {"data": spec.data, "losses": spec.losses, "model": spec.model, "depth": spec.depth}
    if spec.cells is None:
        for key in ("data", "losses"):
            if grid[key] is None:
                yield (key,), "is required"
        if (spec.model is None) == (spec.depth is None):
            yield ("model",) if spec.model else ("depth",), "give one of `model` and `depth`"
        yield from check_models(spec.model, spec.depth, ())
    else:
        for key, value in grid.items():
            if value is not None:
                yield (key,), "cannot stand beside `cells`; move it into them"
        for index, cell in enumerate(spec.cells):
            here: Path = ("cells", index)
            if (cell.model is None) == (cell.depth is None):
                yield here, "give one of `model` and `depth`"
            yield from check_models(
                [cell.model] if cell.model else None, [cell.depth] if cell.depth is not None else None, here
            )
            yield from check_losses(cell.losses, here)
            yield from check_source(cell.data.source, (*here, "data", "source"))
            yield from check_rule(cell.data.validation, (*here, "data", "validation"))
    yield from check_losses(spec.losses or [], ())
    for index, entry in enumerate(spec.data or []):
        yield from check_source(entry.source, ("data", index, "source"))
        yield from duplicates(entry.imbalance, ("data", index, "imbalance"))
        yield from check_rule(entry.validation, ("data", index, "validation"))
    for key in ("model", "depth"):
        yield from duplicates(getattr(spec, key) or [], (key,))
    yield from check_seeds(spec.seeds)
    yield from check_rule(spec.validation, ("validation",))
    yield from check_rule(spec.confirm and spec.confirm.validation, ("confirm", "validation"))
    yield from check_study(spec)
    yield from check_recipe(spec.recipe)
    gpus = spec.resources.gpus
    if not isinstance(gpus, str) and (gpus < 0 or (gpus > 1 and gpus != int(gpus))):
        yield (
            ("resources", "gpus"),
            f"must be a share of one GPU in [0, 1] or a whole number, but got {gpus:g}",
        )


def check_seeds(seeds: list[int] | SeedsApart) -> Iterator[Found]:
    """Seeds that stand twice, and pairs that no single number could tell apart."""
    if isinstance(seeds, list):
        yield from duplicates(seeds, ("seeds",))
        return
    for kind in ("data", "training"):
        yield from duplicates(getattr(seeds, kind), ("seeds", kind))
    if min(len(seeds.data), len(seeds.training)) > 1:
        yield ("seeds",), "one of `data` and `training` has a single seed; `seeds: N` varies both together"


def check_models(models: Sequence[str] | None, depths: Sequence[int] | None, at: Path) -> Iterator[Found]:
    """Models and depths that there are none of."""
    for index, model in enumerate(models or []):
        if model not in MODELS and not is_path(model):
            where = (*at, "model", index) if not at else (*at, "model")
            yield where, f"'{model}' is not one of {', '.join(MODELS)}{did_you_mean(model, MODELS)}"
    for index, depth in enumerate(depths or []):
        if depth not in DEPTHS:
            where = (*at, "depth", index) if not at else (*at, "depth")
            yield where, f"no model has depth {depth}; there are {', '.join(map(str, sorted(DEPTHS)))}"


def check_source(source: str, path: Path) -> Iterator[Found]:
    """A data source that there is none of; whether its files are there is seen later."""
    try:
        parse_source(source)
    except CeflError as error:
        yield path, str(error)


def check_rule(rule: Any, path: Path) -> Iterator[Found]:
    """A validation rule that cannot be read."""
    if rule is not None:
        try:
            validation_rule(rule)
        except CeflError as error:
            yield path, str(error)


def check_recipe(entry: RecipeEntry) -> Iterator[Found]:
    """A preset that there is none of."""
    if entry.preset is not None and entry.preset not in PRESETS:
        names = list(PRESETS)
        yield (
            ("recipe", "preset"),
            f"'{entry.preset}' is not one of {', '.join(names)}{did_you_mean(entry.preset, names)}",
        )
