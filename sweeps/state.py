"""What a sweep's folder says about it: its specification and its state."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cefl.config import PLACES
from sweeps.errors import DamagedFile, InputError
from sweeps.files import RESTORE, read_json, read_object, write_json, write_text
from sweeps.home import Home
from sweeps.plan import Plan, build_plan
from sweeps.protocol import with_confirmation
from sweeps.results import asks_so_far
from sweeps.snapshot import read_ledger
from sweeps.spec import LoadedSpec, load_text
from trackers.escaping import legible_json

STATE, SPEC, CONDITIONS, ASKS = "state.json", "spec.yaml", "conditions.json", "asks.json"
TODO = {
    STATE: f"{RESTORE}, or delete it: `sweeps run SPEC` then goes on, and counts the hours of a budget anew",
    SPEC: f"{RESTORE}; `sweeps run SPEC` writes it, too",
    CONDITIONS: f"with it a specification is compared: {RESTORE}, or, if that has not changed, delete it",
    ASKS: f"{RESTORE}, or delete it: studies are then asked as often as the specification says",
}
"""What is to be done where one of them is damaged."""
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

    def is_sound(self) -> bool:
        """Whether it holds what a driver writes."""
        texts, numbers = (self.file, self.base), (self.started, self.updated, self.seconds)
        return (
            self.state in STATES
            and all(isinstance(each, str) for each in texts)
            and all(isinstance(each, int | float) for each in numbers)
            and isinstance(self.reason, str | None)
        )


class Clock:
    """Writes the state of a sweep while it runs: a driver that is killed loses little of its time."""

    def __init__(self, home: Home, name: str, loaded: LoadedSpec) -> None:
        self.home, self.name, self.loaded = home, name, loaded
        self.written = time.monotonic()
        self.last = write_state(home, name, "running", loaded, last_state(home, name))

    def write(self, state: str, reason: str | None = None) -> None:
        """The state, and the time since it was written last."""
        now = time.monotonic()
        passed = now - self.written
        self.last = write_state(self.home, self.name, state, self.loaded, self.last, passed, reason)
        self.written = now

    def started(self, live: object) -> None:
        """A trial begins or goes on."""

    def row(self, live: object, row: object) -> None:
        """An epoch is done."""
        if time.monotonic() - self.written > BEAT_SECONDS:
            self.write("running")

    def warned(self, live: object, text: str) -> None:
        """A trial warns of something."""

    def ended(self, live: object, state: str, reason: str | None, origin: str | None) -> None:
        """A trial has ended."""


def write_spec(home: Home, plan: Plan, loaded: LoadedSpec) -> None:
    """Keep the specification that a sweep runs by, and what makes the trials of a cell comparable."""
    write_text(home.sweep(plan.name) / SPEC, loaded.shareable)
    before = stored_conditions(home, plan.name)
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


def stored_conditions(home: Home, name: str) -> dict[str, dict[str, Any]]:
    """What `write_spec` has kept, nothing before it has.

    Raises:
        DamagedFile: If it cannot be read.
    """
    return read_object(home.sweep(name) / CONDITIONS, TODO[CONDITIONS], values=dict)


def check_comparable(home: Home, plan: Plan) -> None:
    """Refuse a changed specification whose trials could not be compared with those that are there.

    Raises:
        InputError: With every difference, and the way out.
    """
    before = stored_conditions(home, plan.name)
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
        InputError: If there is no such sweep; `DamagedFile` if its state cannot be read.
    """
    state = last_state(home, name)
    if state is None:
        known = ", ".join(home.sweeps()) or "none yet"
        raise InputError(
            f"{name}: no such sweep in {home.root}; there are: {known}; `sweeps run SPEC` starts one"
        )
    if state.state == "running" and not home.is_driven(name):
        return replace(state, state="interrupted")
    return state


def last_state(home: Home, name: str) -> SweepState | None:
    """The state of a sweep as it was written last, ``None`` where none was.

    Raises:
        DamagedFile: If it cannot be read.
    """
    path = home.sweep(name) / STATE
    nothing: dict[str, Any] = {}
    values = read_json(path, TODO[STATE], nothing)
    if values is nothing:
        return None
    with suppress(TypeError):
        state = SweepState(**values)
        if state.is_sound():
            return state
    raise DamagedFile(f"{path}: is damaged (it is not what was written there); {TODO[STATE]}")


def write_state(
    home: Home, name: str, state: str, loaded: LoadedSpec, before: SweepState | None = None,
    seconds: float = 0.0, reason: str | None = None,
) -> SweepState:  # fmt: skip
    """Write the state of a sweep; ``seconds`` are added to what its drivers ran before."""
    now = time.time()
    value = SweepState(
        state,
        loaded.file,
        str(loaded.base),
        before.started if before else now,
        now,
        (before.seconds if before else 0.0) + seconds,
        reason,
    )
    write_json(home.sweep(name) / STATE, asdict(value))
    return value


def stored_spec(home: Home, name: str) -> LoadedSpec:
    """The specification that a sweep last ran by.

    Raises:
        InputError: If there is no such sweep; `DamagedFile` if it cannot be read.
    """
    state, path = read_state(home, name), home.sweep(name) / SPEC
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError) as error:
        gone = isinstance(error, FileNotFoundError)
        raise DamagedFile(f"{path}: is {'gone' if gone else 'damaged'}; {TODO[SPEC]}") from None
    return load_text(text, state.file, Path(state.base))


def stored_plan(home: Home, name: str) -> Plan:
    """The plan of a sweep that was started here, with what was added to it and what it confirms."""
    plan = build_plan(stored_spec(home, name), home.data, name=name, prepare=False)
    return with_confirmation(home, extended(home, plan))


def extended(home: Home, plan: Plan) -> Plan:
    """The plan with the asks that were added to its studies by `extend`."""
    added = read_object(home.sweep(plan.name) / ASKS, TODO[ASKS], values=int)
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
    before = read_object(home.sweep(plan.name) / ASKS, TODO[ASKS], values=int)
    write_json(home.sweep(plan.name) / ASKS, {**before, **totals})
    return extended(home, plan)


def to_json(value: object) -> str:
    """As every command prints it."""
    return legible_json(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))
