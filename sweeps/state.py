"""What a sweep's folder says about it: its specification and its state."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cefl.config import PLACES
from sweeps.errors import InputError
from sweeps.home import Home, read_json, write_json, write_text
from sweeps.plan import Plan, build_plan
from sweeps.protocol import with_confirmation
from sweeps.results import asks_so_far
from sweeps.snapshot import read_ledger
from sweeps.spec import LoadedSpec, load_text
from trackers.escaping import legible_json

CONDITIONS = "conditions.json"
ASKS = "asks.json"
BEAT_SECONDS = 30.0
STATES = ("running", "interrupted", "budget", "done", "failed")


@dataclass(frozen=True)
class SweepState:
    """State of a sweep as its driver wrote it; times in seconds since 1970.

    Attributes:
        base: Folder that the specification's relative paths start at.
        seconds: Time that the drivers ran, all together.
        reason: Which limit ended it, in words, where its budget did.
    """

    state: str
    file: str
    base: str
    started: float
    updated: float
    seconds: float = 0.0
    reason: str | None = None


class Clock:
    """Writes the state of a sweep while it runs: a driver that is killed loses little of its time."""

    def __init__(self, home: Home, name: str, loaded: LoadedSpec) -> None:
        self.home, self.name, self.loaded = home, name, loaded
        self.written = time.monotonic()
        write_state(home, name, "running", loaded)

    def write(self, state: str, reason: str | None = None) -> None:
        """The state, and the time since it was written last."""
        now = time.monotonic()
        write_state(self.home, self.name, state, self.loaded, now - self.written, reason)
        self.written = now

    def started(self, live: object) -> None:
        """A trial begins or goes on."""

    def row(self, live: object, row: object) -> None:
        """An epoch is done."""
        if time.monotonic() - self.written > BEAT_SECONDS:
            self.write("running")

    def ended(self, live: object, state: str, reason: str | None, origin: str | None) -> None:
        """A trial has ended."""


def write_spec(home: Home, plan: Plan, loaded: LoadedSpec) -> None:
    """Keep the specification that a sweep runs by, and what makes the trials of a cell comparable."""
    write_text(home.sweep(plan.name) / "spec.yaml", loaded.shareable)
    before = read_json(home.sweep(plan.name) / CONDITIONS) or {}
    write_json(home.sweep(plan.name) / CONDITIONS, {**before, **conditions(plan)})


def conditions(plan: Plan) -> dict[str, Any]:
    """What all trials of a cell must share, by the name of the cell; how the sweep chooses, by ``select``."""
    shared = {}
    for cell in plan.cells:
        values = cell.base.as_json()
        for name in (*PLACES, "loss", "params", "seed"):
            values.pop(name, None)
        recipe = values.pop("recipe")
        shared[cell.name] = values | {f"recipe.{name}": value for name, value in recipe.items()}
    return {"select": plan.spec.select.model_dump(), **shared}


def check_comparable(home: Home, plan: Plan) -> None:
    """Refuse a changed specification whose trials could not be compared with those that are there.

    Raises:
        InputError: With every difference, and the way out.
    """
    before = read_json(home.sweep(plan.name) / CONDITIONS) or {}
    differences = [
        f"{part}: {changed(name, old.get(name), value)}"
        for part, values in conditions(plan).items()
        if (old := before.get(part)) is not None
        for name, value in values.items()
        if old.get(name) != value
    ]
    if differences:
        raise InputError(
            f"sweep {plan.name} has trials that could not be compared with the new ones; give the changed"
            " specification a name of its own (--name), or undo:\n  " + "\n  ".join(differences)
        )


def changed(name: str, old: Any, new: Any) -> str:
    """What a condition was and is; of a field that sweeps before it were begun without, what it means."""
    if name == "test_curve_decides":
        return "the test metrics of every epoch decide, which trials begun before need not have"
    return f"{name} was {old}, now {new}"


def read_state(home: Home, name: str) -> SweepState:
    """The state of a sweep; one that says running without a living driver was interrupted.

    Raises:
        InputError: If there is no such sweep.
    """
    values = read_json(home.sweep(name) / "state.json")
    if values is None:
        known = ", ".join(home.sweeps()) or "none yet"
        raise InputError(
            f"{name}: no such sweep in {home.root}; there are: {known}; `sweeps run SPEC` starts one"
        )
    try:
        state = SweepState(**values)
    except TypeError:
        raise InputError(f"{home.sweep(name) / 'state.json'}: is not what was written there") from None
    if state.state == "running" and not home.is_driven(name):
        return SweepState(**{**values, "state": "interrupted"})
    return state


def write_state(
    home: Home, name: str, state: str, loaded: LoadedSpec, seconds: float = 0.0, reason: str | None = None
) -> None:
    """Write the state of a sweep; ``seconds`` are added to what its drivers ran before."""
    path = home.sweep(name) / "state.json"
    before = read_json(path) or {}
    now = time.time()
    value = SweepState(
        state,
        loaded.file,
        str(loaded.base),
        before.get("started", now),
        now,
        before.get("seconds", 0.0) + seconds,
        reason,
    )
    write_json(path, asdict(value))


def stored_spec(home: Home, name: str) -> LoadedSpec:
    """The specification that a sweep last ran by."""
    state = read_state(home, name)
    text = (home.sweep(name) / "spec.yaml").read_text(encoding="utf-8")
    return load_text(text, state.file, Path(state.base))


def stored_plan(home: Home, name: str) -> Plan:
    """The plan of a sweep that was started here, with what was added to it and what it confirms."""
    plan = build_plan(stored_spec(home, name), home.data, name=name, prepare=False)
    return with_confirmation(home, extended(home, plan))


def extended(home: Home, plan: Plan) -> Plan:
    """The plan with the asks that were added to its studies by `extend`."""
    added = read_json(home.sweep(plan.name) / ASKS) or {}
    searches = (
        replace(search, asks=max(search.asks, added.get(search.study, 0))) for search in plan.searches
    )
    return replace(plan, searches=tuple(searches))


def extend(home: Home, plan: Plan, more: int) -> Plan:
    """Let every study be asked so many times more than it was so far, now and in later runs.

    Raises:
        InputError: If the plan has no study.
    """
    if not plan.searches:
        raise InputError(
            "--asks: the specification has no `study` to ask; add `study: {losses: [...], asks: N}` to it"
        )
    asked = asks_so_far(read_ledger(home.optuna_url, plan.name))
    totals = {search.study: asked[search.study] + more for search in plan.searches}
    before = read_json(home.sweep(plan.name) / ASKS) or {}
    write_json(home.sweep(plan.name) / ASKS, {**before, **totals})
    return extended(home, plan)


def to_json(value: object) -> str:
    """As every command prints it."""
    return legible_json(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))
