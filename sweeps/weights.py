"""Whose weights a home keeps: those of the best of every cell of its sweeps, whichever of them trained it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sweeps.best_spec import arm_of
from sweeps.cells import CONFIRM
from sweeps.confirming import answers
from sweeps.errors import SweepError
from sweeps.history import read_result
from sweeps.home import Home
from sweeps.keeping import WEIGHTS, discard, holding
from sweeps.plan import Plan
from sweeps.results import read_results
from sweeps.snapshot import read_ledger
from sweeps.state import read_state, stored_plan
from trackers.compare import BestArm, arm_key
from trackers.confirmation import Confirmation
from trackers.table import TrialResult

if TYPE_CHECKING:
    from sweeps.conductor import Conductor
    from sweeps.tracking import Tracking

Answer = BestArm | Confirmation


def finish_weights(plan: Plan, home: Home, conductor: Conductor, tracking: Tracking) -> list[str]:
    """Keep the weights that the specification says: of each cell's best, upload them; of the others none.

    While trials are left, an arm that is behind may still be the best: nothing is removed. Nor is what
    another sweep of the home needs.

    Returns:
        The best arms that have none, with their cells: another sweep, say, trained them and kept others.
    """
    if plan.spec.tracking.keep != "best" or conductor.stopping:
        return []
    trials = read_results(home, plan, histories=False)
    found = answers(home, plan, trials)
    keep, there = kept_weights(trials, found), holding(home, WEIGHTS)
    now = {live.entry.ref: live for live in conductor.trained}
    own = [each for each in tracking.tracked() if each[2].state == "complete"]
    elsewhere = needed_elsewhere(home, plan.name, {entry.key for entry, _, _ in own} - keep)
    for entry, cell, row in own:
        if "origin" in row.attrs:
            continue
        folder = home.trial(entry.key, entry.fresh)
        if entry.key not in keep:
            if folder.name in there and entry.key not in elsewhere:
                discard(home, folder, WEIGHTS)
        elif entry.ref in now:
            tracking.add_weights(now[entry.ref])
        elif folder.name in there:  # Trained by a driver that did not come to its end.
            tracking.tell(entry, cell, row, weights=True)
    return without_weights(home, trials, found, there)


def kept_weights(trials: Sequence[TrialResult], found: Sequence[Answer]) -> set[str]:
    """Keys of the trials whose weights are kept: all of the best arm of each cell, or the confirmed one."""
    winners = {
        (said.cell, said.winner.key)
        if isinstance(said, Confirmation)
        else (said.summary.cell, arm_key(said.summary))
        for said in found
    }
    return {trial.key for trial in trials if (trial.cell, arm_key(trial)) in winners}


def needed_elsewhere(home: Home, name: str, keys: set[str]) -> set[str]:
    """Those of a sweep's trials whose weights another sweep of the home needs."""
    shared: dict[str, set[str]] = {}
    for row in read_ledger(home.optuna_url, None, ("key",)) if keys else ():
        if (key := row.attrs.get("key")) in keys:
            shared.setdefault(row.study.partition("/")[0], set()).add(key)
    others = shared.keys() & set(home.sweeps()) - {name}  # Other homes may have sweeps in the same ledger.
    return set().union(*(needed_by(home, other, shared[other]) for other in others))


def needed_by(home: Home, name: str, keys: set[str]) -> set[str]:
    """Those of a sweep's trials whose weights it needs: all while it has not ended, since any may be best."""
    try:
        ended, plan = read_state(home, name).state in ("done", "budget"), stored_plan(home, name)
    except (SweepError, ValueError):  # Its data are gone, say: what it needs cannot be told.
        return keys
    if plan.spec.tracking.keep == "none":
        return set()
    if not ended or plan.spec.tracking.keep == "all":
        return keys
    trials = read_results(home, plan, histories=False)
    return keys & kept_weights(trials, answers(home, plan, trials))


def members(trials: Sequence[TrialResult], answer: Answer) -> list[TrialResult]:
    """The complete trials that an answer rests on."""
    confirmed = isinstance(answer, Confirmation)
    arm = arm_of(answer)
    key = (arm.loss, tuple(sorted(arm.params.items())))
    return [
        trial
        for trial in trials
        if trial.cell == cell_of(answer) and arm_key(trial) == key and trial.state == "complete"
        if (trial.kind == CONFIRM) == confirmed
    ]


def cell_of(answer: Answer) -> str:
    """Name of the cell that an answer is of."""
    return answer.cell if isinstance(answer, Confirmation) else answer.summary.cell


def without_weights(
    home: Home, trials: Sequence[TrialResult], found: Sequence[Answer], there: set[str]
) -> list[str]:
    """The best arms that no seed has the weights of, with their cells: ``focal(gamma=1) in digits-rho20``."""
    return [
        f"{arm_of(answer).arm} in {cell_of(answer)}"
        for answer in found
        if not any(folder_with_weights(home, trial.key, there) for trial in members(trials, answer))
    ]


def folder_with_weights(home: Home, key: str, there: set[str]) -> Path | None:
    """Folder of a trial's training, or else of its first whole repetition, that has its weights.

    Args:
        there: Names of the folders that have weights: see `sweeps.keeping.holding`.
    """
    numbers = (name.removeprefix(f"{key}-fresh") for name in there)
    repeated = sorted(int(each) for each in numbers if each.isdecimal())
    folders = [home.trial(key), *(home.trial(key, number) for number in repeated)]
    return next((each for each in folders if each.name in there and read_result(each) is not None), None)
