"""The tracker as a watcher of the sweep: what happens becomes what MLflow should show.

MLflow is a projection of ledger and histories. What it holds stands in the sweep's ``tracking.jsonl``,
so that the next run brings only the rest in line.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from sweeps.addresses import same_database
from sweeps.cells import Cell
from sweeps.database_locks import locks_of
from sweeps.entries import Entry, entry_of
from sweeps.errors import EnvironmentProblem, InputError
from sweeps.files import naming, write_json
from sweeps.history import HISTORY, SPLIT_NAMES, History, folder_fault, read_result
from sweeps.home import Home
from sweeps.keeping import WEIGHTS, kept
from sweeps.ledger import Ledger
from sweeps.live import DIVERGED, Live, config_of
from sweeps.plan import Plan
from sweeps.results import describe, outcome
from sweeps.snapshot import LedgerRow
from sweeps.tracking_log import read_tracking
from sweeps.usage import ENVIRONMENT
from trackers.connection import check, initialise, load, sqlite_file
from trackers.errors import TrackingError, TrackingUnavailable
from trackers.masking import masked
from trackers.records import CONFUSION, run_of
from trackers.shared_view import experiment_tags
from trackers.wanted import Artifact, Dataset, Run
from trackers.writer import NOT_YET, RunWriter

PARENT = "sweep"
ENVIRONMENT_FILE = "environment.json"
MOST_REASON = 2000  # Characters of a traceback, from its end.
STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED", "interrupted": "KILLED"}
SWEEP_STATUS = {"done": "FINISHED", "budget": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}


class Tracking:
    """Writes one sweep to MLflow."""

    def __init__(self, plan: Plan, home: Home, ledger: Ledger) -> None:
        self.plan, self.home, self.ledger = plan, home, ledger
        server = home.tracked_at(plan.spec.tracking.uri)
        self.uri = server or home.mlflow_uri
        self.local = server is None
        self.experiment = plan.spec.tracking.experiment or plan.name
        self.known = read_tracking(home.sweep(plan.name))
        self.tags = git_tags()
        self.problem: str | None = None
        self.is_open = False  # Whether the writer runs, and the sweep's own run is open.
        try:
            self.writer = RunWriter(
                self.uri,
                self.experiment,
                plan.name,
                home.artifacts / plan.name if self.local or self.uri.startswith("postgresql") else None,
                shown_in_mlflow(plan),
                partial(initialise_shared, server) if server else partial(initialise_local, home),
            )
        except TrackingError as error:
            raise EnvironmentProblem(str(error)) from None

    def start(self) -> None:
        """Begin to write, first of all what an earlier run could not.

        A trial that a driver left without a word is interrupted until it goes on.
        """
        load()  # Here, since imports in two threads at once may get in each other's way.
        self.writer.start()
        self.is_open = True
        self.open_sweep()
        for entry, cell, row in self.tracked():
            if not self.known.get(entry.run_ref, {}).get("complete"):
                self.tell(entry, cell, row)

    def open_sweep(self, mend: Collection[str] = ()) -> None:
        """The sweep's own run is there, and open; ``mend``: see `tell`."""
        select = self.plan.spec.select
        tags = {
            **self.tags,
            "sweep.state": "running",
            "sweep.select": f"{select.split} {select.metric}, epoch {select.epoch}",
            "sweep.cells": str(len(self.plan.cells)),
        }
        run = Run(PARENT, self.plan.name, {}, tags, parent=True, run_id=self._run_id(PARENT))
        self.writer.open(run.mending(mend))

    def tracked(self) -> Iterator[tuple[Entry, Cell, LedgerRow]]:
        """Every trial of the plan's cells that has a run of its own; of several tries the last."""
        cells = {cell.name: cell for cell in self.plan.cells}
        rows = {entry_of(row).run_ref: row for row in self.ledger.rows() if "key" in row.attrs}
        for row in rows.values():
            cell = cells.get(row.study.split("/")[1])
            if cell is not None:
                yield entry_of(row), cell, row

    def tell(
        self, entry: Entry, cell: Cell, row: LedgerRow, mend: Collection[str] = (), weights: bool = False
    ) -> None:
        """A trial as ledger and history have it, while nothing trains it; with the weights that are kept.

        Args:
            mend: What is wrong with its run, see `trackers.wanted.Run.mending`.
        """
        history = History(self.home.trial(entry.key, entry.fresh))
        live = Live(entry, cell, config_of(entry, cell), history, None, 0.0)
        self.started(live, mend)
        state = "interrupted" if row.state == "running" else row.state
        self.ended(live, state, row.attrs.get("reason"), row.attrs.get("origin"))
        if weights and state == "complete" and "origin" not in row.attrs:
            self.add_weights(live)

    def _run_id(self, ref: str) -> str | None:
        run_id: str | None = self.known.get(ref, {}).get("run_id")
        return run_id

    def started(self, live: Live, mend: Collection[str] = ()) -> None:
        """A trial runs, or goes on: its run is open, with the rows that there are."""
        ref = live.entry.run_ref
        if self.known.get(ref, {}).get("complete"):  # Noted at once, for whoever comes after a crash.
            self._note([{**self.known[ref], "complete": False}])
        self.writer.open(self._run(live, "running").mending(mend))
        for row in live.history.rows:
            self.writer.log(ref, row)

    def _run(self, live: Live, state: str, reason: str | None = None, origin: str | None = None) -> Run:
        """What MLflow should say of a trial."""
        entry, cell, config, rows = live.entry, live.cell, live.config, live.history.rows
        told = {**entry.attrs, "reason": reason and reason[-MOST_REASON:], "origin": origin}
        result = read_result(live.history.path.parent)
        whole = state != "complete" or len(rows) == config.recipe.epochs  # Else its history is damaged.
        value = outcome(self.plan, state, rows, config.recipe) if whole else None
        run_id = entry.run_id or self._run_id(entry.run_ref)
        trial = describe(cell, replace(entry, attrs=told), state, value, rows, result, run_id)
        tags: dict[str, str | None] = {**self.tags, "sweep.attempt": str(entry.attempt)}
        if entry.fresh:
            tags["sweep.fresh"] = str(entry.fresh)
        if origin is not None:
            tags["sweep.reused"] = "true"
        if rows and ENVIRONMENT in rows[-1]:
            tags["sweep.host"] = rows[-1][ENVIRONMENT]["host"]
        if reason == DIVERGED:
            tags["sweep.state"] = "diverged"
        return run_of(
            trial,
            entry.run_ref,
            name=f"{trial.arm} seed {entry.seed} {cell.name}",
            params={
                "imbalance": "natural" if cell.imbalance is None else cell.imbalance,
                "validation": json.dumps(config.validation),
                "precision": config.precision,
                "data_seed": config.data_seed,
                "train_seed": config.train_seed,
                **config.recipe.as_json(),
            },
            tags=tags,
            dataset=Dataset(cell.dataset, config.digest[:36], cell.source),
            start_ms=rows[0]["timestamp"] if rows else None,
        )

    def row(self, live: Live, row: Mapping[str, Any]) -> None:
        """One more epoch."""
        self.writer.log(live.entry.run_ref, row)
        self._remember()

    def warned(self, live: Live, text: str) -> None:
        """Nothing: it stands in the ledger."""

    def ended(self, live: Live, state: str, reason: str | None, origin: str | None) -> None:
        """A trial has ended, or waits to go on."""
        if origin is not None:
            self.started(live)
        if not self.writer.knows(live.entry.run_ref):
            return  # Its start could not be noted: there was no room. Its run is as it was.
        self._close(live, state, reason, origin, self._artifacts(live, state))
        self._remember()

    def _close(
        self, live: Live, state: str, reason: str | None, origin: str | None, artifacts: list[Artifact]
    ) -> None:
        shown = "running" if state == "interrupted" else state
        tags = dict(self._run(live, shown, reason, origin).tags)
        if state == "interrupted":
            tags["sweep.state"] = state
        rows = live.history.rows
        end = max((row["timestamp"] for row in rows), default=None)  # A clock may have been set back.
        ref = live.entry.run_ref
        self.writer.close(ref, STATUS[state], tags=tags, end_time_ms=end, artifacts=artifacts)

    def _artifacts(self, live: Live, state: str = "complete") -> list[Artifact]:
        folder = live.history.path.parent
        if state != "complete" or folder_fault(folder, state) is not None:
            return []
        write_json(folder / "config.json", live.config.as_json())
        final = (read_result(folder) or {}).get("final", {})
        write_json(folder / CONFUSION, final.get("confusion", {}))
        names = ["config.json", CONFUSION, HISTORY]
        if ENVIRONMENT in live.history.rows[-1]:
            write_json(folder / ENVIRONMENT_FILE, live.history.rows[-1][ENVIRONMENT])
            names.append(ENVIRONMENT_FILE)
        if self.plan.spec.tracking.keep == "all" and kept(self.home, folder, WEIGHTS) is not None:
            names.append(WEIGHTS)
        return [Artifact(folder / name) for name in names]

    def add_weights(self, live: Live) -> None:
        """Upload the weights of a trial that is the best of its cell."""
        path = kept(self.home, live.history.path.parent, WEIGHTS)
        if path is not None:
            self._close(live, "complete", None, None, [*self._artifacts(live), Artifact(path)])

    def close_sweep(self, state: str, artifacts: list[Path]) -> None:
        """The sweep's own run has ended, with those of the files that are there."""
        existing = [Artifact(path) for path in artifacts if path.exists()]
        self.writer.close(PARENT, SWEEP_STATUS[state], tags={"sweep.state": state}, artifacts=existing)

    def finish(self, state: str, artifacts: list[Path], patience: float) -> bool:
        """End the sweep's own run and wait for the writer; whether MLflow holds everything."""
        self.is_open = False
        self.close_sweep(state, artifacts)
        complete = self.writer.flush(patience)
        self._remember()
        problems = self.writer.problems
        if problems:
            self.problem = f"{len(problems)} runs are not complete at {masked(self.uri)}; {cause(problems)}"
        self.writer.stop()
        return complete

    def _remember(self) -> None:
        """Note what the writer has learnt: run ids in the ledger, all of it in ``tracking.jsonl``."""
        told: list[dict[str, Any]] = [
            {"ref": each.ref, "run_id": each.run_id, "complete": each.complete}
            for each in self.writer.drain()
        ]
        self._note([value for value in told if self.known.get(value["ref"]) != value])

    def _note(self, values: list[dict[str, Any]]) -> None:
        """All at once: after an outage there are many, and on a shared disk every opening of a file waits."""
        if not values:
            return
        path = self.home.sweep(self.plan.name) / "tracking.jsonl"
        with naming(path), path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(value) + "\n" for value in values)
        self.known |= {value["ref"]: value for value in values}


def check_tracking(plan: Plan, home: Home) -> None:
    """See that the tracking server that a specification names answers, or that the home's database opens.

    Raises:
        EnvironmentProblem: If it does not.
        InputError: If it is the database of the ledger.
    """
    uri, file = home.tracked_at(plan.spec.tracking.uri), sqlite_file(home.mlflow_uri)
    if uri and home.ledger and same_database(uri, home.ledger):
        raise InputError(
            f"{masked(uri)}: has the ledger, and cannot have the runs as well: Optuna and MLflow both keep"
            " the version of their tables in a table of one name; make a database for each"
        )
    try:
        if uri is not None:
            initialise_shared(uri)
            check(uri)
        elif file is not None and file.exists():
            initialise_local(home)
    except TrackingError as error:
        raise EnvironmentProblem(
            f"{error}; or run without it (--offline): a later `sweeps run` writes what is missing"
        ) from None


def shown_in_mlflow(plan: Plan) -> dict[str, str]:
    """Tags of the experiment, by which MLflow's page shows what differs between the runs of a plan."""
    bases = [(cell.dataset, cell.imbalance, cell.base.model) for cell in plan.cells]
    names = ("dataset", "imbalance", "model")
    differing = [
        name for name, values in zip(names, zip(*bases, strict=True), strict=True) if len(set(values)) > 1
    ]
    params = {name for cell in plan.cells for entry in cell.losses for name in entry.params}
    own = sorted(params, key=lambda name: (name != "gamma", name))
    select = plan.spec.select
    return experiment_tags(select.metric, SPLIT_NAMES[select.split], [*differing, "loss", *own, "seed"])


def initialise_local(home: Home) -> None:
    """Create or migrate the home's own database; only one process may do that at a time."""
    with home.initialising():
        initialise(home.mlflow_uri)


def initialise_shared(uri: str) -> None:
    """Create or migrate a PostgreSQL database that several drivers write themselves; nothing for a server."""
    if not uri.startswith("postgresql"):
        return
    try:
        with locks_of(uri).waiting("initialising"):
            initialise(uri)
    except EnvironmentProblem:
        raise TrackingUnavailable(f"MLflow's database {masked(uri)} does not answer; start it") from None


def git_tags() -> dict[str, str | None]:
    """Commit and state of the repository around the working folder, under MLflow's own tag for the commit."""
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=True
        )
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return {}
    return {
        "mlflow.source.git.commit": commit.stdout.strip(),
        "git.changed": str(bool(changed.stdout.strip())).lower(),
    }


def cause(problems: Mapping[str, str]) -> str:
    """The first run that has a reason to be incomplete, else the first that only waits; with it."""
    ref, why = min(problems.items(), key=lambda problem: problem[1] == NOT_YET)
    return f"{ref}: {why}"
