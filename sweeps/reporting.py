"""The report of a sweep: what the tracker's page needs, gathered; and ``best.yaml`` beside it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sweeps.best_spec import best_spec
from sweeps.cells import Cell
from sweeps.confirming import answered, confirmed, under_way
from sweeps.display_words import readable
from sweeps.doctor import versions
from sweeps.files import write_text
from sweeps.history import read_result
from sweeps.home import Home
from sweeps.importance import importances
from sweeps.loss_curves import loss_curves
from sweeps.plan import Plan
from sweeps.results import damaged, objective, read_results
from sweeps.spec.loading import NO_FILE
from sweeps.state import SweepState
from sweeps.tracking import git_tags
from trackers.report import CellInfo, ReportData, write_report
from trackers.table import TrialResult

PAGE, BEST = "report.html", "best.yaml"


def report_sweep(
    home: Home, plan: Plan, state: SweepState, shown: str, say: Callable[[str], object] = lambda text: None
) -> Path | None:
    """Write the report of a sweep.

    Args:
        state: What the sweep's folder says of it.
        shown: The state to report, which may be newer.
        say: Told of every trial that cannot be read; the report says it, too.

    Returns:
        The page, ``None`` while nothing has been started.
    """
    data = report_data(home, plan, state, shown)
    if data is None:
        return None
    for problem in damaged(data.trials):
        say(f"warning: {problem}")
    folder = home.sweep(plan.name) / "report"
    if data.best_file is not None:
        answers = answered(data.trials, data.confirmations, data.objective)
        write_text(folder / BEST, best_spec(plan, answers))
    else:
        (folder / BEST).unlink(missing_ok=True)
    write_report(folder, data)
    return folder / PAGE


def report_data(home: Home, plan: Plan, state: SweepState, shown: str) -> ReportData | None:
    """All that a report is made of; arguments as in `report_sweep`, ``None`` while nothing was started."""
    trials = read_results(home, plan)
    if not trials:
        return None
    said = confirmed(home, plan, trials)
    winners = answered(trials, said, objective(plan))
    return ReportData(
        sweep=plan.name,
        state=shown,
        reason=state.reason,
        title=f"Sweep {plan.name}",
        objective=objective(plan),
        trials=trials,
        cells=[cell_info(cell, trials) for cell in plan.cells],
        spec_text=plan.text,
        provenance=provenance(home, plan, trials),
        run_command="" if state.file == NO_FILE else f"sweeps run {state.file}",
        ui_command=f"sweeps ui {plan.name}",
        confirmations=said,
        under_way=under_way(home, plan, trials),
        confirm_command=f"sweeps confirm {plan.name}",
        best_file=BEST if winners else None,
        best_command=f"sweeps run {BEST}" if winners else None,
        created=time.strftime("%Y-%m-%d %H:%M:%S %z"),
        duration=readable(state.seconds or time.time() - state.started),
        losses_over_p=loss_curves(),
        importances=importances(trials),
    )


def cell_info(cell: Cell, trials: Sequence[TrialResult]) -> CellInfo:
    """The data of a cell, and which of its trials cannot be read."""
    return CellInfo(
        name=cell.name,
        dataset=cell.dataset,
        classes=cell.classes,
        train_counts=cell.train_counts,
        validation_counts=cell.validation_counts,
        test_counts=cell.test_counts,
        train_only=cell.train_only,
        notes=(*cell.notes, *damaged([trial for trial in trials if trial.cell == cell.name])),
        digest=cell.base.digest,
    )


def provenance(home: Home, plan: Plan, trials: Sequence[TrialResult]) -> dict[str, dict[str, str]]:
    """Where the numbers come from: versions, hardware, repository, data, and how they were computed."""
    finals = [
        result.get("final", {})
        for trial in trials
        if trial.state == "complete" and (result := read_result(home.trial(trial.key)))
    ]

    def seen(name: str) -> str:
        return ", ".join(sorted({str(final[name]) for final in finals if name in final})) or "unknown"

    recipes = {cell.name: cell.base.recipe for cell in plan.cells}
    return {
        "versions": {name: str(version) for name, version in versions().items()},
        "hardware": {
            "trained on": seen("device"),
            "precision": seen("precision"),
            "threads a trial": seen("threads"),
            "processor": platform.processor() or platform.machine(),
            "cores": str(os.cpu_count()),
            "system": f"{platform.system()} {platform.release()}",
        },
        "repository": {name.rpartition("git.")[2]: str(value) for name, value in git_tags().items()}
        or {"commit": "not in a git repository"},
        "package": {"cefl-sweeps": importlib.metadata.version("cefl-sweeps")},
        "data digests": {cell.dataset: cell.base.digest for cell in plan.cells},
        **({"own parts": parts} if (parts := own_parts(plan)) else {}),
        "recipes": {
            name: ", ".join(
                f"{key} {value}" for key, value in recipe.as_json().items() if value not in (None, [])
            )
            for name, recipe in recipes.items()
        },
    }


def own_parts(plan: Plan) -> dict[str, str]:
    """What losses and models of the user's own are known by: the SHA-256 of their file, and their version."""
    return {path: digest for cell in plan.cells for path, digest in cell.own.digests.items()}
