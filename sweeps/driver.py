"""Driving one sweep: plan, run or resume, report; and the exit code that says how it went."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError

from cefl import data
from cefl.errors import CeflError
from sweeps.conductor import Conductor
from sweeps.confirming import Asked, begin, check_ready, kept_weights, note_looks
from sweeps.database_locks import unavailable
from sweeps.disk import MindingConductor, minding_disk, trouble
from sweeps.errors import (
    DONE,
    INTERRUPTED,
    NONE_SUCCEEDED,
    SOME_FAILED,
    TRACKING_INCOMPLETE,
    UNEXPECTED,
    EnvironmentProblem,
    InputError,
)
from sweeps.home import Home
from sweeps.keeping import WEIGHTS, discard, holding, publish
from sweeps.ledger import Ledger, check_owner
from sweeps.live import Watcher
from sweeps.own_parts import check_parts
from sweeps.plan import Plan, build_plan
from sweeps.protocol import with_confirmation
from sweeps.repeating import compare_expected, compare_fresh
from sweeps.spec import LoadedSpec
from sweeps.state import Clock, check_comparable, extend, extended, read_state, write_spec
from sweeps.stopping import is_requested, stopping_in_order
from sweeps.telling import Telling
from sweeps.tracking import Tracking, check_tracking

TRACKING_PATIENCE_SECONDS, OFFLINE_PATIENCE_SECONDS = 60.0, 3.0
INTERRUPTED_PATIENCE_SECONDS, FULL_DISK_PATIENCE_SECONDS = 5.0, 0.5
"""Longest waits for the tracker at the end; what is missing then, the next run writes. A pod that is told to
go has 30 s."""

REPORT_FILES = ("report.html", "report.md", "results.csv", "best.yaml")


class Executor(Protocol):
    """Who trains: see `sweeps.executors`."""

    @property
    def slots(self) -> int: ...

    def run(self, conductor: Conductor) -> None: ...

    def interrupt(self) -> None: ...


class Display(Watcher, Protocol):
    """Who shows the progress."""

    def note(self, text: str) -> None: ...

    def preparing(self, source: str, done: int, total: int) -> None: ...

    def running(self, conductor: Conductor, slots: int) -> Any: ...


@dataclass(frozen=True)
class Options:
    """How a sweep is run, beside what its specification says."""

    name: str | None = None
    executor: str = "ray"
    offline: bool = False
    fresh: bool = False
    concurrent: int | None = None
    asks: int | None = None
    confirm: Asked | None = None
    retry: bool = False
    address: str | None = None  # Of the cluster to join: see `sweeps.joining`.
    notify: str | None = None  # Whom to call: see `sweeps.notifying`; by default what the environment says.


@dataclass(frozen=True)
class Outcome:
    """How a run of a sweep ended."""

    plan: Plan
    state: str
    exit_code: int
    report: Path | None
    repeated: list[dict[str, Any]]
    tracking_problem: str | None
    trained: int
    reason: str | None = None
    stopped_early: int = 0


def run_sweep(loaded: LoadedSpec, home: Home, options: Options, display: Display) -> Outcome:
    """Run a sweep, or what is left of it.

    Raises:
        SweepError: If it cannot start; nothing is written then.
        DiskProblem: If its disk fails or is full; what it has done by then is interrupted.
    """
    with minding_disk(home):
        return drive(loaded, home, options, display)


def drive(loaded: LoadedSpec, home: Home, options: Options, display: Display) -> Outcome:
    """The same; errors of the disk as they come."""
    name = options.name or loaded.spec.name
    if options.address is None:
        check_gpus(loaded)
        return drive_here(loaded, home, options, display, name, None)
    display.note(opening(options))
    executor = make_executor(loaded, options)  # First: what the cluster cannot give is refused.
    try:
        return drive_here(loaded, home, options, display, name, executor)
    finally:
        close_executor(executor)


def drive_here(
    loaded: LoadedSpec, home: Home, options: Options, display: Display, name: str, executor: Executor | None
) -> Outcome:
    """The same, with the executor if it is there already."""
    home.create()
    if executor is not None and isinstance(asked := getattr(executor, "asked", None), dict):
        from sweeps.executors.reaching import check_nodes

        check_nodes(home, asked)
    first = name not in home.sweeps()
    plan = build_plan(loaded, home.data, name, display.preparing)
    check_selection(plan)
    check_parts(plan, loaded)
    with home.driving(name, display.note), ExitStack() as opened:
        check_owner(home, name)
        check_comparable(home, plan)
        plan = extended(home, plan) if options.asks is None else extend(home, plan, options.asks)
        plan = with_confirmation(home, plan)
        if options.confirm is not None:
            check_ready(home, plan, read_state(home, name).state, options.confirm)
        verify_data(plan)
        if first and not options.offline:
            check_tracking(plan, home)
        for dataset in publish(home, plan):
            display.note(f"sent {dataset} to {home.storage}")
        rungs = {search.study: search.rungs for search in plan.searches}
        ledger = opened.enter_context(closing(Ledger(home, name, rungs)))
        tracking = Tracking(plan, home, ledger)
        write_spec(home, plan, loaded)
        clock = Clock(home, name, loaded)
        telling = opened.enter_context(Telling(home, plan, ledger, options.notify, display.note))
        state, reason, code = "failed", None, UNEXPECTED
        try:
            spent = read_state(home, name).seconds
            watchers = (tracking, display, clock, *telling.watchers)
            conductor = MindingConductor(plan, ledger, home, watchers, options.fresh, spent, options.retry)
            opened.callback(conductor.release)
            conductor.closed, conductor.note = options.confirm is not None, display.note
            tracking.start()  # After the conductor has seen what is not asked for any more.
            telling.states = conductor.states
            code = execute(conductor, loaded, options, display, executor)
            plan = conductor.plan
            note_looks(home, ledger, plan)
            display.note("writing the report")
            state, code = conclude(conductor, code)
            reason = conductor.ended_by if state == "budget" else None
            finish_weights(plan, home, conductor, tracking)
            if state == "interrupted":  # Who ends it may not wait for long: first what is to be kept.
                tracking.finish(state, [], INTERRUPTED_PATIENCE_SECONDS)
                clock.write(state, reason)
            report = write_report(home, plan, state, reason)
            if state != "interrupted":
                files = [report.parent / each for each in REPORT_FILES] if report else []
                patience = OFFLINE_PATIENCE_SECONDS if options.offline else TRACKING_PATIENCE_SECONDS
                if not tracking.finish(state, files, patience) and code in (DONE, SOME_FAILED):
                    code = TRACKING_INCOMPLETE
        except (KeyboardInterrupt, SystemExit):
            state, code = "interrupted", INTERRUPTED
            raise
        except Exception as error:
            if home.ledger is not None and isinstance(error, StorageInternalError | DBAPIError):
                state = "interrupted"
                tracking.finish(state, [], OFFLINE_PATIENCE_SECONDS)
                raise unavailable(home.ledger, error.__cause__ or error) from None
            if trouble(error, home) is not None:
                state = "interrupted"
                with suppress(OSError):
                    tracking.finish(state, [], FULL_DISK_PATIENCE_SECONDS)
            raise
        finally:
            with suppress(*(OSError,) if state == "interrupted" else ()):
                clock.write(state, reason)
            telling.finish(state, code, reason)
        repeated = compare_fresh(ledger, home) if options.fresh else []
        repeated += compare_expected(loaded.base, home, plan)
        return Outcome(
            plan, state, code, report, repeated, tracking.problem, len(conductor.trained), reason,
            conductor.stopped_early,
        )  # fmt: skip


def check_gpus(loaded: LoadedSpec) -> None:
    """Refuse a sweep that asks for more GPUs a trial than this machine has."""
    asked = loaded.spec.resources.gpus
    if asked == "auto" or asked == 0:
        return
    import torch

    there = torch.cuda.device_count()
    if float(asked) > there:
        raise EnvironmentProblem(
            f"{loaded.file}: resources.gpus: a trial asks for {asked:g} GPUs, but there are {there};"
            " set a smaller number, or `gpus: auto`"
        )


def check_selection(plan: Plan) -> None:
    """Refuse to choose by validation images where a cell has none."""
    for cell in plan.cells:
        if plan.spec.select.split == "validation" and not sum(cell.validation_counts):
            raise InputError(
                f"cell {cell.name} has no validation images to choose by; give a `validation` rule, or say"
                " `select: {split: test}`"
            )


def verify_data(plan: Plan) -> None:
    """See that the data caches are the bytes that they were."""
    for folder in sorted({cell.base.data for cell in plan.cells}):
        try:
            data.verify(Path(folder))
        except CeflError as error:
            raise EnvironmentProblem(str(error)) from None


def execute(
    conductor: MindingConductor, loaded: LoadedSpec, options: Options, display: Display,
    joined: Executor | None = None,
) -> int:  # fmt: skip
    """Train what is left, then the confirmation; 0, or the code of the signal or request that ended it."""
    go_on_to_confirm(conductor, options, display)
    if conductor.exhausted:
        return DONE

    def requested() -> bool:
        return is_requested(conductor.home, conductor.plan.name)

    if joined is None:
        display.note(opening(options))
    executor = joined or make_executor(loaded, options)
    try:
        with stopping_in_order(conductor, executor, display.note, requested) as received:
            with display.running(conductor, executor.slots):
                executor.run(conductor)
                go_on_to_confirm(conductor, options, display)
                executor.run(conductor)
            conductor.end_blocked()
            return received[0] if received else DONE
    finally:
        if joined is None:
            close_executor(executor)


def close_executor(executor: Executor) -> None:
    """End what an executor has begun."""
    close: Callable[[], None] = getattr(executor, "close", lambda: None)
    close()


def opening(options: Options) -> str:
    """Where the trials will run, in words."""
    if options.executor != "ray":
        return "starting in this process"
    return f"joining Ray at {options.address}" if options.address else "starting Ray"


def go_on_to_confirm(conductor: Conductor, options: Options, display: Display) -> None:
    """Begin the confirmation, or add to it, where one is asked for and the search is done.

    A budget of trials, epochs or patience ends a search as its last trial does; one of hours ends all.
    """
    asked = options.confirm or (Asked() if conductor.plan.spec.confirm else None)
    if asked is None or conductor.stopping or not conductor.exhausted:
        return
    if options.confirm is None and (spent := conductor.account.out_of_time()):
        display.note(f"not confirmed, {spent}; `sweeps confirm {conductor.plan.name}` does it all the same")
        return
    plan = begin(conductor.home, conductor.plan, asked)
    more = len(plan.confirmations) - len(conductor.plan.confirmations)
    conductor.extend(plan)
    if more:
        seeds = {trial.config.seed for trial in plan.confirmations}
        display.note(f"the search is done; {more} trials confirm its leading arms, {len(seeds)} seeds each")


def make_executor(loaded: LoadedSpec, options: Options) -> Executor:
    """The executor of that name."""
    if options.executor == "inline":
        from sweeps.executors.inline import InlineExecutor

        return InlineExecutor(loaded.spec.resources)
    from sweeps.executors.ray_tune import RayExecutor

    resources = loaded.spec.resources
    if options.concurrent is not None:
        resources = resources.model_copy(update={"concurrent": options.concurrent})
    return RayExecutor(resources, address=options.address)


def conclude(conductor: Conductor, code: int) -> tuple[str, int]:
    """State of the sweep and exit code, from what became of its trials."""
    if code != DONE:
        return "interrupted", code
    if conductor.states["complete"] == 0:
        return "failed", NONE_SUCCEEDED
    state = "done" if conductor.ended_by is None else "budget"
    return state, SOME_FAILED if conductor.states["failed"] else DONE


def finish_weights(plan: Plan, home: Home, conductor: Conductor, tracking: Tracking) -> None:
    """Keep the weights that the specification says: of each cell's best, upload them; of the others none.

    While trials are left, an arm that is behind may still be the best: nothing is removed.
    """
    if plan.spec.tracking.keep != "best" or conductor.stopping:
        return
    there = holding(home, WEIGHTS)
    keep, now = kept_weights(home, plan), {live.entry.ref: live for live in conductor.trained}
    for entry, cell, row in tracking.tracked():
        if row.state != "complete" or "origin" in row.attrs:
            continue
        folder = home.trial(entry.key, entry.fresh)
        if entry.key not in keep:
            if folder.name in there:
                discard(home, folder, WEIGHTS)
        elif entry.ref in now:
            tracking.add_weights(now[entry.ref])
        elif folder.name in there:  # Trained by a driver that did not come to its end.
            tracking.tell(entry, cell, row, weights=True)


def write_report(home: Home, plan: Plan, state: str, reason: str | None) -> Path | None:
    """The report of a sweep, ``None`` while no trial has a result."""
    from sweeps.reporting import report_sweep

    return report_sweep(home, plan, replace(read_state(home, plan.name), reason=reason), state)
