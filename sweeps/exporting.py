"""The best model of a cell in a folder that stands alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cefl.config import TrialConfig
from sweeps.best_spec import arm_of, best_spec
from sweeps.cells import Cell
from sweeps.confirming import answers, test_predictions
from sweeps.errors import EnvironmentProblem, InputError
from sweeps.files import write_json, write_text
from sweeps.history import read_result
from sweeps.home import Home
from sweeps.keeping import WEIGHTS, holding, kept
from sweeps.model_card import Card, model_card
from sweeps.plan import Plan
from sweeps.repeating import EXPECTED, expected_of
from sweeps.replacing import check_free, writing_out
from sweeps.results import read_results
from sweeps.state import stored_plan
from sweeps.weights import folder_with_weights, members
from trackers.compare import BestArm
from trackers.confirmation import Confirmation
from trackers.table import TrialResult

BEST, CARD = "best.yaml", "README.md"


@dataclass(frozen=True)
class Export:
    """What was exported, and where."""

    folder: Path
    cell: Cell
    trial: TrialResult
    answer: BestArm | Confirmation
    files: tuple[Path, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values with stable keys."""
        return {
            "folder": str(self.folder), "cell": self.cell.name, "dataset": self.cell.dataset,
            "key": self.trial.key, "loss": self.trial.loss, "params": dict(self.trial.params),
            "seed": self.trial.seed, "score": self.trial.score, "run_id": self.trial.run_id,
            "files": [str(path) for path in self.files],
        }  # fmt: skip


def export(
    home: Home, name: str, cell: str | None, seed: int | None, out: Path | None, force: bool
) -> Export:
    """Write weights, model card, ``best.yaml`` and what running it should give.

    Args:
        cell: Which one; may be left out where there is one alone.
        seed: Whose weights; by default those with the highest validation score of the arm.
        out: Folder to make, by default ``NAME-CELL``.
        force: Replace a folder that is there.

    Raises:
        InputError: If there is nothing to export, or the folder is there.
        EnvironmentProblem: If it cannot be written.
    """
    plan = stored_plan(home, name)
    trials = read_results(home, plan, histories=False)
    answer = chosen_answer(plan, answers(home, plan, trials), cell)
    trial, source = chosen_trial(home, name, trials, answer, seed)
    folder = (out or Path(f"{name}-{trial.cell}".replace(":", "-"))).absolute()
    check_free(folder, force)
    own = plan.cell(trial.cell)
    if own is None:
        raise InputError(f"{trial.cell}: the specification has this cell no more")
    with writing_out(folder, force) as aside:
        write_all(aside, home, plan, own, trials, trial, source, answer)
    return Export(folder, own, trial, answer, tuple(sorted(folder.iterdir())))


def chosen_answer(
    plan: Plan, found: Sequence[BestArm | Confirmation], cell: str | None
) -> BestArm | Confirmation:
    """The best of the cell that was asked for.

    Raises:
        InputError: If it is not clear which, or there is none.
    """
    by_cell = {each.cell if isinstance(each, Confirmation) else each.summary.cell: each for each in found}
    if not by_cell:
        raise InputError(f"{plan.name}: no trial is complete yet; see `sweeps status {plan.name}`")
    names = ", ".join(by_cell)
    if cell is None and len(by_cell) > 1:
        raise InputError(f"--cell: {plan.name} has {len(by_cell)} cells; give one of {names}")
    wanted = cell if cell is not None else next(iter(by_cell))
    if wanted not in by_cell:
        raise InputError(f"--cell: '{wanted}' is not one of {names}")
    return by_cell[wanted]


def chosen_trial(
    home: Home, name: str, trials: Sequence[TrialResult], answer: BestArm | Confirmation, seed: int | None
) -> tuple[TrialResult, Path]:
    """The trial whose weights are exported, and the folder of the training that they are of.

    Raises:
        InputError: If there are none.
    """
    there, own = holding(home, WEIGHTS), members(trials, answer)
    seeds = sorted(trial.seed for trial in own)
    if seed is not None and seed not in seeds:
        told = ", ".join(map(str, seeds))
        raise InputError(f"--seed: {seed} is none of {told}, the seeds of {arm_of(answer).arm}")
    weighted = [
        (trial, folder)
        for trial in own
        if seed in (None, trial.seed) and (folder := folder_with_weights(home, trial.key, there)) is not None
    ]
    if not weighted:
        which = "" if seed is None else f" of seed {seed}"
        best = home.sweep(name) / "report" / BEST
        raise InputError(
            f"{arm_of(answer).arm}: no weights{which} were kept; to train it once more and keep them:"
            f" sweeps run {best} --fresh --home {home.root}"
        )
    return max(weighted, key=lambda each: (each[0].score or 0.0, -each[0].seed))


def write_all(
    folder: Path, home: Home, plan: Plan, cell: Cell, trials: Sequence[TrialResult], trial: TrialResult,
    source: Path, answer: BestArm | Confirmation,
) -> None:  # fmt: skip
    """Everything, into a folder that is there and empty.

    Args:
        source: Folder of the training that the weights are of.
    """
    from cefl.exported import write_model  # Takes torch.

    result = read_result(source) or {}
    config = TrialConfig.from_json(result["config"])
    weights = kept(home, source, WEIGHTS)
    if weights is None:
        raise EnvironmentProblem(f"{source / WEIGHTS}: was there a moment ago, and is gone")
    write_model(folder, config, weights)
    write_text(folder / BEST, best_spec(plan, [answer]))
    write_json(folder / EXPECTED, expected_of(home, members(trials, answer)))
    this = replace(trial, metrics=result["metrics"])  # Of a repetition they may differ in the last digits.
    card = Card(plan, cell, config, this, answer, result["final"], test_predictions(home, source))
    write_text(folder / CARD, model_card(card))


def registered(home: Home, name: str, found: Export, model: str) -> dict[str, str]:
    """Make an export a version of a model in MLflow's registry, with the data set's alias on it.

    Returns:
        ``version`` and ``uri``.

    Raises:
        InputError: If MLflow has no run of the trial yet; `TrackingError` if it does not take the version.
    """
    from trackers.registry import register

    plan = stored_plan(home, name)
    if found.trial.run_id is None:
        raise InputError(
            f"{found.trial.key}: MLflow has no run of this trial yet; run the sweep again, then export"
        )
    tags = {
        "sweep.name": name, "sweep.cell": found.cell.name, "sweep.key": found.trial.key,
        "loss": found.trial.arm, "confirmed": str(isinstance(found.answer, Confirmation)).lower(),
    }  # fmt: skip
    version, uri = register(
        home.tracked_at(plan.spec.tracking.uri) or home.mlflow_uri,
        model,
        found.trial.run_id,
        found.folder,
        found.cell.dataset,
        tags,
    )
    return {"version": version, "uri": uri}
