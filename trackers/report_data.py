"""What a report is made of, and what it works out once for the page, the Markdown and the CSV alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from trackers.compare import ArmSummary, BestArm, Objective, arm_key, baseline_of, best, by_cell, leaderboard
from trackers.confirmation import Confirmation
from trackers.table import STATES, TrialResult

if TYPE_CHECKING:
    from trackers.loss_figures import CurvesOverP
    from trackers.shares import Importance


@dataclass(frozen=True)
class CellInfo:
    """What is known of a cell's data, whatever became of its trials.

    Args:
        name: Name of the cell, as in `TrialResult.cell`.
        dataset: Name of the data set.
        classes: Names of the ``C`` classes.
        train_counts: Training images by class, shape ``(C,)``; this and the next two may be empty: not known.
        validation_counts: Validation images by class, shape ``(C,)``.
        test_counts: Test images by class, shape ``(C,)``.
        train_only: Names of the classes that are too small to be validated.
        notes: Remarks for the reader, one sentence each.
        digest: SHA-256 of the data set.
    """

    name: str
    dataset: str
    classes: Sequence[str] = ()
    train_counts: Sequence[int] = ()
    validation_counts: Sequence[int] = ()
    test_counts: Sequence[int] = ()
    train_only: Sequence[str] = ()
    notes: Sequence[str] = ()
    digest: str = ""


@dataclass(frozen=True)
class ReportData:
    """One sweep, ready to be reported.

    Args:
        sweep: Its name.
        state: ``running``, ``interrupted``, ``budget``, ``done`` or ``failed``.
        reason: Which limit ended it where its budget did, in words.
        title: Headline of the page.
        objective: What the arms were ranked by.
        trials: All trials in any state.
        cells: The planned cells in their order; a cell that only the trials know is added behind them.
        spec_text: The specification as it was written, YAML.
        provenance: Group to name to value: versions, hardware, git, data digests.
        run_command: Runs or resumes the sweep.
        ui_command: Shows the runs in MLflow.
        confirmations: What was confirmed, by the name of the cell.
        under_way: Cells whose confirmation has begun and not ended: trials that ended, and all of them.
        confirm_command: Trains the leading arms again with new seeds, ``None`` if there is no such command.
        best_file: Name of the file beside the report with the best configurations, ``None`` without one.
        best_command: Runs that file.
        created: Time of writing, as it shall be shown.
        duration: Length of the sweep as it shall be shown, such as ``2 h 14 min``.
        losses_over_p: Curves of the losses themselves.
        importances: Of the parameters, by cell and loss.
    """

    sweep: str
    state: str
    title: str
    objective: Objective
    trials: Sequence[TrialResult]
    cells: Sequence[CellInfo]
    spec_text: str = ""
    provenance: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    run_command: str = ""
    ui_command: str = ""
    confirmations: Mapping[str, Confirmation] = field(default_factory=dict)
    under_way: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    confirm_command: str | None = None
    best_file: str | None = None
    best_command: str | None = None
    created: str = ""
    duration: str = ""
    reason: str | None = None
    losses_over_p: Sequence[CurvesOverP] = ()
    importances: Sequence[Importance] = ()


@dataclass(frozen=True)
class CellReport:
    """One cell with all that is said of it; ``winner`` is ``None`` as long as no trial is complete.

    ``arms`` and ``winner`` are those of the search, ``confirmation`` is what was found out about them.
    """

    info: CellInfo
    trials: tuple[TrialResult, ...]
    arms: tuple[ArmSummary, ...]
    winner: BestArm | None
    confirmation: Confirmation | None = None
    under_way: tuple[int, int] | None = None

    @property
    def states(self) -> dict[str, int]:
        """Number of trials by state, in the order of `STATES`, without zeros."""
        return count_states(self.trials)


def cell_reports(data: ReportData) -> list[CellReport]:
    """Every cell, planned ones first in their order, with its leaderboard and its leading arm."""
    boards = by_cell(leaderboard(data.trials, data.objective))
    winners = {winner.summary.cell: winner for winner in best(data.trials, data.objective)}
    members: dict[str, list[TrialResult]] = {info.name: [] for info in data.cells}
    for trial in data.trials:
        members.setdefault(trial.cell, []).append(trial)
    known = {info.name: info for info in data.cells}
    return [
        CellReport(
            info=known.get(name) or _info_from(trials[0]),
            trials=tuple(trials),
            arms=tuple(boards.get(name, ())),
            winner=winners.get(name),
            confirmation=data.confirmations.get(name),
            under_way=data.under_way.get(name),
        )
        for name, trials in members.items()
    ]


def as_confirmed(cell: CellReport) -> CellReport:
    """The cell as its confirmation sees it: its trials alone, its arms in its order, for views of both."""
    said = cell.confirmation
    if said is None:
        return cell
    trials = tuple(
        replace(trial, kind="point")
        for trial in cell.trials
        if trial.kind == "confirm" and trial.seed in said.seeds
    )
    board = {arm_key(arm): arm for arm in leaderboard(trials, said.objective)}
    arms = [replace(board[arm.key], rank=rank) for rank, arm in enumerate(said.arms, start=1)]
    winner = None if cell.winner is None else replace(cell.winner, summary=arms[0])
    return replace(cell, trials=trials, arms=tuple(arms), winner=winner)


def leading_arms(cell: CellReport) -> list[ArmSummary]:
    """The leading arm, cross-entropy unless it leads, and the best arm of every other loss, by rank."""
    if cell.winner is None:
        return []
    chosen, baseline = [cell.winner.summary], baseline_of(cell.arms)
    if baseline is not None and baseline.rank != 1:
        chosen.append(baseline)
    for arm in cell.arms:
        if arm.n and arm.loss not in {each.loss for each in chosen}:
            chosen.append(arm)
    return chosen


def class_split(cell: CellReport, objective: Objective) -> str:
    """``test`` where test images may be looked at: after a confirmation, or where they choose."""
    return "test" if cell.confirmation is not None or objective.split == "test" else "val"


def count_states(trials: Sequence[TrialResult]) -> dict[str, int]:
    """Number of trials by state, in the order of `STATES`, without zeros."""
    counts = Counter(trial.state for trial in trials)
    return {state: counts[state] for state in STATES if counts[state]}


def unfinished(trials: Sequence[TrialResult]) -> list[TrialResult]:
    """Failed trials, then pruned ones."""
    return [trial for state in ("failed", "pruned") for trial in trials if trial.state == state]


def _info_from(trial: TrialResult) -> CellInfo:
    return CellInfo(trial.cell, trial.dataset, trial.classes, trial.train_counts)
