"""One run of a sweep, from the ledger that is opened to the report, however it ends."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from pathlib import Path

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError

from sweeps.collecting import sparing
from sweeps.conductor import Conductor
from sweeps.confirming import Asked, begin, note_looks
from sweeps.database_locks import unavailable
from sweeps.disk import MindingConductor, trouble
from sweeps.errors import (
    DONE,
    ENVIRONMENT,
    NONE_SUCCEEDED,
    SOME_FAILED,
    TRACKING_INCOMPLETE,
    UNEXPECTED,
    code_of,
)
from sweeps.home import Home
from sweeps.ledger import Ledger
from sweeps.options import Display, Executor, Options, Outcome
from sweeps.plan import Plan
from sweeps.repeating import compare_expected, compare_fresh
from sweeps.spec import LoadedSpec
from sweeps.state import Clock, read_state, write_spec
from sweeps.stopping import is_requested, stopping_in_order
from sweeps.telling import Telling
from sweeps.tracking import Tracking
from sweeps.weights import finish_weights

TRACKING_PATIENCE_SECONDS, OFFLINE_PATIENCE_SECONDS = 60.0, 3.0
INTERRUPTED_PATIENCE_SECONDS, FULL_DISK_PATIENCE_SECONDS = 5.0, 0.5
"""Longest waits for the tracker at the end; what is missing then, the next run writes. A pod that is told to
go has 30 s."""

REPORT_FILES = ("report.html", "report.md", "results.csv", "best.yaml")


class Drive:
    """One run of a sweep that this process has the right to drive.

    Args:
        opened: What is closed when the right is given back.

    Attributes:
        state, reason, code, problem: How it ends, as far as that is known: state of the sweep, which limit of
            its budget ended it, exit code of the process, and the error that ended it, in words.
        unkept: Best arms whose weights are not there.
    """

    def __init__(
        self, loaded: LoadedSpec, home: Home, options: Options, display: Display, plan: Plan,
        opened: ExitStack,
    ) -> None:  # fmt: skip
        self.loaded, self.home, self.options, self.display = loaded, home, options, display
        self.plan = plan
        self.state, self.code = "failed", UNEXPECTED
        self.reason: str | None = None
        self.problem: str | None = None
        self.unkept: list[str] = []
        rungs = {search.study: search.rungs for search in plan.searches}
        self.ledger = opened.enter_context(closing(Ledger(home, plan.name, rungs)))
        self.tracking = Tracking(plan, home, self.ledger)
        write_spec(home, plan, loaded)
        self.clock = Clock(home, plan.name, loaded)
        self.telling = opened.enter_context(Telling(home, plan, self.ledger, options.notify, display.note))
        self._opened = opened
        self.conductor: MindingConductor | None = None

    def run(self, executor: Executor | None) -> Outcome:
        """Train what is left, and report; with the executor if there is one already."""
        try:
            conductor = self.conductor = self._conductor()
            self.code = execute(conductor, self.loaded, self.options, self.display, executor)
            report = self._conclude(conductor)
            repeated = compare_fresh(self.ledger, self.home) if self.options.fresh else []
            repeated += compare_expected(self.loaded.base, self.home, self.plan)
            with suppress(*(OSError,) if self.state == "interrupted" else ()):
                self.clock.write(self.state, self.reason)
        except BaseException as error:
            told = self._broken_off(error)
            with suppress(OSError):
                self.clock.write(self.state, self.reason)
            if told is not error:
                raise told from None
            raise
        finally:
            self.telling.finish(self.state, self.code, self.reason, self.problem)
        return Outcome(
            self.plan, self.state, self.code, report, repeated, self.tracking.problem,
            len(conductor.trained), self.reason, conductor.stopped_early, tuple(self.unkept),
        )  # fmt: skip

    def _conductor(self) -> MindingConductor:
        options, plan = self.options, self.plan
        spent = read_state(self.home, plan.name).seconds
        watchers = (self.tracking, self.display, self.clock, *self.telling.watchers)
        conductor = MindingConductor(
            plan, self.ledger, self.home, watchers, options.fresh, spent, options.retry
        )
        self._opened.callback(conductor.release)
        conductor.closed = options.confirm is not None
        self.tracking.start()  # After the conductor has seen what is not asked for any more.
        self.telling.states = conductor.states
        return conductor

    def _conclude(self, conductor: MindingConductor) -> Path | None:
        """Everything after the last training; where the report is."""
        home, self.plan = self.home, conductor.plan
        note_looks(home, self.ledger, self.plan)
        self.display.note("writing the report")
        self.state, self.code = conclude(conductor, self.code)
        self.reason = conductor.ended_by if self.state == "budget" else None
        self.unkept = finish_weights(self.plan, home, conductor, self.tracking)
        if self.state == "interrupted":  # Who ends it may not wait for long: first what is to be kept.
            self.tracking.finish(self.state, [], INTERRUPTED_PATIENCE_SECONDS)
            self.clock.write(self.state, self.reason)
        report = write_report(home, self.plan, self.state, self.reason, self.display.note)
        if self.state != "interrupted":
            files = [report.parent / each for each in REPORT_FILES] if report else []
            patience = OFFLINE_PATIENCE_SECONDS if self.options.offline else TRACKING_PATIENCE_SECONDS
            if not self.tracking.finish(self.state, files, patience) and self.code in (DONE, SOME_FAILED):
                self.code = TRACKING_INCOMPLETE
        return report

    def _broken_off(self, error: BaseException) -> BaseException:
        """Note how an error ends the sweep, which one whose database or disk fails only interrupts.

        Returns:
            What is raised instead: one of a ledger's database as what it means.
        """
        told, disk, patience = error, None, OFFLINE_PATIENCE_SECONDS
        if self.home.ledger is not None and isinstance(error, StorageInternalError | DBAPIError):
            self.state, told = "interrupted", unavailable(self.home.ledger, error.__cause__ or error)
        elif not isinstance(error, Exception):  # A signal, beside the trainings.
            self.state, patience = "interrupted", INTERRUPTED_PATIENCE_SECONDS
        elif (disk := trouble(error, self.home)) is not None:
            self.state, patience = "interrupted", FULL_DISK_PATIENCE_SECONDS
        else:
            self.state = "failed"
        if self.tracking.is_open:
            with suppress(OSError):  # What ended the sweep is what is told.
                for live in self.conductor.live.values() if self.conductor is not None else ():
                    self.tracking.ended(live, "interrupted", None, None)
                self.tracking.finish(self.state, [], patience)
        self.code = code_of(told) if disk is None else ENVIRONMENT  # As `minding_disk` will raise it.
        self.problem = disk or str(told) or type(told).__name__
        return told


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
        with sparing(), stopping_in_order(conductor, executor, display.note, requested) as received:
            with display.running(conductor, executor.slots):
                executor.run(conductor)
                go_on_to_confirm(conductor, options, display)
                executor.run(conductor)
            conductor.end_blocked()
            return received[0] if received else DONE
    finally:
        if joined is None:
            close_executor(executor)


def opening(options: Options) -> str:
    """Where the trials will run, in words."""
    if options.executor != "ray":
        return "starting in this process"
    return f"joining Ray at {options.address}" if options.address else "starting Ray"


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


def close_executor(executor: Executor) -> None:
    """End what an executor has begun."""
    close: Callable[[], None] = getattr(executor, "close", lambda: None)
    close()


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


def conclude(conductor: Conductor, code: int) -> tuple[str, int]:
    """State of the sweep and exit code, from what became of its trials."""
    if code != DONE:
        return "interrupted", code
    if conductor.states["complete"] == 0:
        return "failed", NONE_SUCCEEDED
    state = "done" if conductor.ended_by is None else "budget"
    return state, SOME_FAILED if conductor.states["failed"] else DONE


def write_report(
    home: Home, plan: Plan, state: str, reason: str | None, say: Callable[[str], object]
) -> Path | None:
    """The report of a sweep, ``None`` while no trial has a result."""
    from sweeps.reporting import report_sweep

    return report_sweep(home, plan, replace(read_state(home, plan.name), reason=reason), state, say)
