"""The confirmation of a sweep, from the nomination of its arms to what it says."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cefl.data import Folds, validation_rule
from sweeps.cells import CONFIRM
from sweeps.errors import InputError
from sweeps.home import Home
from sweeps.keeping import PREDICTIONS, kept
from sweeps.plan import Plan, study_name
from sweeps.protocol import (
    Arm,
    Confirming,
    Fixed,
    confirming_seeds,
    read_confirming,
    with_confirmation,
    write_confirming,
)
from sweeps.results import asked_for, objective, read_results
from sweeps.snapshot import read_ledger, read_looks
from trackers.compare import BestArm, Objective, best, by_cell, leaderboard
from trackers.confirmation import Confirmation, Protocol
from trackers.deciding import confirmations, progress
from trackers.image_doubt import Predictions
from trackers.nominate import nominate
from trackers.table import TrialResult

if TYPE_CHECKING:
    from sweeps.ledger import Ledger


@dataclass(frozen=True)
class Asked:
    """How much is to be confirmed; ``None``: as the specification says, or as it was before."""

    top: int | None = None
    seeds: int | None = None


def begin(home: Home, plan: Plan, asked: Asked) -> Plan:
    """Nominate arms in every cell that has none yet, add the seeds asked for, and keep both.

    What was nominated stays, and how many were asked for holds for later cells, too; a cell without a
    complete trial, or with cross-entropy alone, has nothing to confirm.

    Returns:
        The plan with all trials of the confirmation.
    """
    stated, before = plan.spec.confirm, read_confirming(home, plan.name) or Confirming((), {})
    top = asked.top or before.top or (stated.top if stated else 3)
    count = asked.seeds or (stated.seeds if stated else 5)
    cells = dict(before.cells)
    new = [cell for cell in plan.cells if cell.name not in cells]
    trials = read_results(home, plan, histories=False) if new else []
    boards = by_cell(leaderboard(trials, objective(plan)))
    for cell in new:
        arms = tuple(Arm(each.loss, dict(each.params)) for each in nominate(boards.get(cell.name, ()), top))
        if len(arms) > 1:
            cells[cell.name] = Fixed(arms, cell.confirm_validation)
    if not cells:
        return plan
    seeds = confirming_seeds(count, before.seeds, plan)
    write_confirming(home, plan.name, Confirming(seeds, cells, before.top if before.cells else top))
    return with_confirmation(home, plan)


def check_ready(home: Home, plan: Plan, state: str, asked: Asked) -> None:
    """Refuse to confirm what is not known yet, and to change what is fixed.

    Raises:
        InputError: With the next step.
    """
    search = replace(plan, confirmations=())
    rows = asked_for(search, read_ledger(home.optuna_url, plan.name))
    left = search.total - sum(1 for row in rows if row.state != "running")
    if left > 0 and state != "budget":
        raise InputError(
            f"sweep {plan.name}: {left} of the {search.total} trials of its search have not ended; run it to"
            " the end first: its winners are what is confirmed"
        )
    before = read_confirming(home, plan.name)
    if before is not None and asked.top is not None and asked.top != before.began_with:
        raise InputError(
            f"sweep {plan.name}: its confirmation began with `top: {before.began_with}`, and arms are not"
            " changed once results are known; leave --top out, or run the sweep under a new --name and"
            " confirm that"
        )


def note_looks(home: Home, ledger: Ledger, plan: Plan) -> None:
    """Note in the ledger that results are looked at, in every cell whose confirmation has ended."""
    trials = read_results(home, plan, histories=False)
    for cell, protocol in protocols(home, plan).items():
        ended, total = progress([trial for trial in trials if trial.cell == cell], protocol)
        if ended == total:
            ledger.note_look(f"{plan.name}/{cell}/{CONFIRM}", len(protocol.seeds))


def protocols(home: Home, plan: Plan) -> dict[str, Protocol]:
    """What is confirmed in each cell, and how often it was looked at."""
    confirming = read_confirming(home, plan.name)
    if confirming is None:
        return {}
    looks = read_looks(home.optuna_url, plan.name)
    fixed_seeds = {"data_seed": "data", "train_seed": "training"}
    constant = next((fixed_seeds[name] for name in plan.spec.fixed_seeds), None)
    return {
        cell.name: Protocol(
            arms=tuple((arm.loss, tuple(sorted(arm.params.items()))) for arm in fixed.arms),
            seeds=confirming.seeds,
            looks=looks.get(study_name(plan.name, cell, CONFIRM), ()),
            pooled=isinstance(validation_rule(fixed.validation), Folds),
            fixed=constant,
        )
        for cell in plan.cells
        if (fixed := confirming.cells.get(cell.name)) is not None
    }


def confirmed(home: Home, plan: Plan, trials: Sequence[TrialResult]) -> dict[str, Confirmation]:
    """What the confirmation says of every cell that it has ended in.

    Args:
        trials: What `read_results` gave.
    """
    found = protocols(home, plan)
    images = {
        trial.key: seen
        for trial in trials
        if trial.kind == CONFIRM and trial.state == "complete"
        if (seen := test_predictions(home, home.trial(trial.key))) is not None
    }
    return confirmations(trials, found, objective(plan), images)


def under_way(home: Home, plan: Plan, trials: Sequence[TrialResult]) -> dict[str, tuple[int, int]]:
    """Cells whose confirmation has not come to its end yet: trials that have ended, and all of them."""
    waiting = {cell: each for cell, each in protocols(home, plan).items() if not each.looks}
    return {
        cell: progress([trial for trial in trials if trial.cell == cell], protocol)
        for cell, protocol in waiting.items()
    }


def test_predictions(home: Home, folder: Path) -> Predictions | None:
    """What the trial of a folder said of the test images; ``None`` where that cannot be read."""
    try:
        path = kept(home, folder, PREDICTIONS)
        if path is None:
            return None
        with np.load(path, allow_pickle=False) as arrays:
            return Predictions(arrays["test_targets"], arrays["test_predictions"])
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return None


def answers(home: Home, plan: Plan, trials: Sequence[TrialResult]) -> list[BestArm | Confirmation]:
    """The best of every cell: what was confirmed, else what the search found."""
    return answered(trials, confirmed(home, plan, trials), objective(plan))


def answered(
    trials: Sequence[TrialResult], said: Mapping[str, Confirmation], chosen: Objective
) -> list[BestArm | Confirmation]:
    """The same from what confirmations said, by the name of the cell."""
    return [said.get(winner.summary.cell, winner) for winner in best(trials, chosen)]
