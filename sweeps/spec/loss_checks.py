"""What can be wrong with losses and with the search over them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from cefl.catalog import LOSSES, PARAMETERS
from cefl.own import is_path
from sweeps.spec.finding import Found, did_you_mean, duplicates
from sweeps.spec.losses import LossEntry, loss_arms
from sweeps.spec.model import Spec, Study
from sweeps.spec.reading import Document, Path


def explain_loss(path: Path, value: Any, document: Document) -> Found:
    """What is wrong with a loss that is none of ours."""
    written = isinstance(document.at(path), dict)
    if not isinstance(value, dict):
        return path, f"must be the name of a loss, or a mapping of loss and its parameters, but got {value!r}"
    if "loss" not in value:
        return (*path, "loss"), "is required"
    loss = value["loss"]
    message = f"{loss!r} is not one of {', '.join(LOSSES)}{did_you_mean(loss, LOSSES)}"
    return (*path, "loss") if written else path, message


def explain_parameter(name: str, loss: str) -> str:
    """What is wrong with a parameter that a loss does not have."""
    own = list(LOSSES[loss])
    if name in PARAMETERS:
        return f"{loss} has no {name}; leave it out"
    return f"unknown key '{name}'" + (did_you_mean(name, own) or f"; {loss} has {', '.join(own) or 'none'}")


def check_losses(entries: Sequence[LossEntry], at: Path) -> Iterator[Found]:
    """Arms that stand twice."""
    seen: dict[tuple[Any, ...], int] = {}
    for index, entry in enumerate(entries):
        here: Path = (*at, "losses", index)
        for arm in loss_arms(entry):
            label = (entry.loss, *sorted(arm.items()))
            if label in seen:
                values = ", ".join(f"{name} {value:g}" for name, value in sorted(arm.items()))
                yield here, f"the arm {entry.loss} {values or '(no parameters)'} is listed twice; keep one"
            seen[label] = index


def check_study(spec: Spec) -> Iterator[Found]:
    """Searches over losses that the sweep does not have, or over an empty range."""
    study = spec.study
    if study is None:
        return
    entries = [*(spec.losses or []), *(entry for cell in spec.cells or [] for entry in cell.losses)]
    listed = {entry.loss: entry for entry in entries}
    for index, loss in enumerate(study.losses):
        here: Path = ("study", "losses", index)
        if loss not in LOSSES and not is_path(loss):
            yield here, f"'{loss}' is not one of {', '.join(LOSSES)}{did_you_mean(loss, LOSSES)}"
        elif loss in LOSSES and not LOSSES[loss]:
            yield here, f"{loss} has no parameter to search; leave it out"
        elif loss not in listed:
            yield here, f"{loss} is not among the sweep's `losses`; add it there"
        elif not study.drawn(listed[loss]):
            example = next(iter(listed[loss].params), None)
            if example is None:
                yield here, f"{loss} lists no parameter to search; list one with a value in `losses`"
            else:
                place = example if loss in LOSSES else f"ranges: {{{example}: [LOW, HIGH]}}"
                yield here, f"{loss} is searched over no range; give one, such as `{place}`"
    yield from duplicates(study.losses, ("study", "losses"))
    searched = {name for loss in study.losses if loss in listed for name in listed[loss].params}
    yield from check_ranges(study, searched)


def check_ranges(study: Study, searched: set[str]) -> Iterator[Found]:
    """Ranges that are empty, leave what their parameter may be, or serve none of the searched losses."""
    given: dict[Path, Any] = {("study", name): getattr(study, name) for name in PARAMETERS}
    given |= {("study", "ranges", name): interval for name, interval in study.ranges.items()}
    for here, interval in given.items():
        if interval is None:
            continue
        name = str(here[-1])
        parameter = PARAMETERS.get(name) if len(here) == 2 else None
        if not interval.low < interval.high:
            yield here, f"`low < high` must hold, but got (low={interval.low:g}, high={interval.high:g})"
        elif parameter and not (parameter.allows(interval.low) and parameter.allows(interval.high)):
            got = f"[{interval.low:g}, {interval.high:g}]"
            yield here, f"`{parameter.rule(name)}` must hold in the whole range, but got {got}"
        elif name not in searched:
            yield here, f"none of {', '.join(study.losses)} has {name}; leave it out"
