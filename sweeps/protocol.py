"""Which arms a sweep confirms, and with which seeds: fixed in ``confirmation.json`` before the first of them
is trained, so that no later result can choose them anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from cefl.data import Folds, validation_rule
from sweeps.cells import CONFIRM, Cell
from sweeps.errors import DamagedFile, InputError
from sweeps.files import read_json, write_json
from sweeps.home import Home
from sweeps.plan import Plan, PlannedTrial, study_name

FILE = "confirmation.json"
LOST = (
    "which arms are confirmed stands nowhere else: bring it back from a backup, or delete it to begin the"
    " confirmation anew"
)
FIRST_SEED = 1000
"""Seeds of confirmations begin here, beyond what people write into a specification."""


@dataclass(frozen=True)
class Arm:
    """A loss with its parameters."""

    loss: str
    params: Mapping[str, float]


@dataclass(frozen=True)
class Fixed:
    """What the confirmation of one cell trains: its arms, and how they are validated."""

    arms: tuple[Arm, ...]
    validation: Any


@dataclass(frozen=True)
class Confirming:
    """The confirmation of a sweep: seeds in the order in which they were added, and its cells by name.

    Attributes:
        top: How many arms a cell was asked for, where it may have had fewer; ``None``: an older file.
    """

    seeds: tuple[int, ...]
    cells: Mapping[str, Fixed]
    top: int | None = None

    @property
    def began_with(self) -> int:
        """How many arms a cell it was asked for; of an older file the most that a cell has."""
        return self.top or max((len(fixed.arms) - 1 for fixed in self.cells.values()), default=0)


def read_confirming(home: Home, name: str) -> Confirming | None:
    """The confirmation of a sweep, ``None`` before it has begun.

    Raises:
        DamagedFile: If its file is not what was written.
    """
    path = home.sweep(name) / FILE
    values = read_json(path, LOST)
    if values is None and not path.exists():
        return None
    try:
        cells = {
            cell: Fixed(tuple(Arm(**arm) for arm in fixed["arms"]), fixed["validation"])
            for cell, fixed in values["cells"].items()
        }
        top = values.get("top")
        return Confirming(tuple(values["seeds"]), cells, None if top is None else int(top))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise DamagedFile(f"{path}: is damaged (it is not what was written there); {LOST}") from None


def write_confirming(home: Home, name: str, confirming: Confirming) -> None:
    """Keep what is confirmed."""
    write_json(home.sweep(name) / FILE, asdict(confirming))


def with_confirmation(home: Home, plan: Plan) -> Plan:
    """The plan with the trials of the confirmation that has begun, a seed after the other.

    Raises:
        InputError: If the specification has since come to disagree with what is confirmed.
    """
    confirming = read_confirming(home, plan.name)
    if confirming is None:
        return plan
    check_unchanged(plan, confirming)
    return replace(plan, confirmations=tuple(confirming_trials(plan, confirming)))


def confirming_trials(plan: Plan, confirming: Confirming) -> list[PlannedTrial]:
    """Every arm of every cell with the first seed, then with the second."""
    return [
        planned(plan.name, cell, arm, seed)
        for seed in confirming.seeds
        for cell in plan.cells
        if cell.name in confirming.cells
        for arm in confirming.cells[cell.name].arms
    ]


def planned(sweep: str, cell: Cell, arm: Arm, seed: int) -> PlannedTrial:
    """One trial of a confirmation."""
    config = cell.config(arm.loss, arm.params, seed, CONFIRM)
    return PlannedTrial(cell, study_name(sweep, cell, CONFIRM), config, config.key(), CONFIRM)


def check_unchanged(plan: Plan, confirming: Confirming) -> None:
    """Refuse a changed specification that the confirmation does not fit any more."""
    shared = sorted(set(plan.spec.trial_seeds) & set(confirming.seeds))
    if shared:
        raise InputError(
            f"sweep {plan.name}: the seeds {', '.join(map(str, shared))} confirm its winners, so its search"
            " cannot use them; choose others"
        )
    for cell in plan.cells:
        fixed = confirming.cells.get(cell.name)
        if fixed is not None and fixed.validation != cell.confirm_validation:
            raise InputError(
                f"sweep {plan.name}: the confirmation of {cell.name} began with validation"
                f" {fixed.validation}, now {cell.confirm_validation}; undo that, or give the sweep a name of"
                " its own (--name)"
            )


def confirming_seeds(count: int, before: Sequence[int], plan: Plan) -> tuple[int, ...]:
    """Seeds that the search does not use: those there are, and as many more as are asked for.

    Args:
        count: How many there shall be; none is taken away.
        before: Those that the confirmation has.
        plan: Its search, and the folds of its cells: with folds a whole round of seeds begins at a multiple
            of their number.
    """
    used = set(plan.spec.trial_seeds)
    rules = [validation_rule(cell.confirm_validation) for cell in plan.cells]
    step = max((rule.count for rule in rules if isinstance(rule, Folds)), default=1)
    seeds = list(before)
    candidate = seeds[-1] + 1 if seeds else -(-FIRST_SEED // step) * step
    while len(seeds) < count:
        if candidate % step == 0 and used & set(range(candidate, candidate + step)):
            candidate += step  # A round with a hole would leave a fold out.
            continue
        if candidate not in used:
            seeds.append(candidate)
        candidate += 1
    return tuple(seeds)
