"""Driving one sweep: what is asked for is planned and checked, and then run or resumed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from cefl import data
from cefl.errors import CeflError
from sweeps import notifying
from sweeps.addresses import from_environment
from sweeps.confirming import check_ready
from sweeps.disk import minding_disk
from sweeps.drive import Drive, close_executor, make_executor, opening
from sweeps.errors import EnvironmentProblem, InputError
from sweeps.executors.machine import check_machine
from sweeps.home import Home
from sweeps.keeping import publish
from sweeps.ledger import check_owner
from sweeps.names import check_name
from sweeps.options import Display, Executor, Options, Outcome
from sweeps.own_parts import check_parts
from sweeps.plan import Plan, build_plan
from sweeps.protocol import with_confirmation
from sweeps.spec import LoadedSpec
from sweeps.state import check_comparable, extend, extended, last_state, read_state
from sweeps.tracking import check_tracking


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
    check_name(name)
    options = replace(options, notify=options.notify or from_environment(notifying.VARIABLE))
    if options.address is None or options.executor == "inline":
        check_machine(loaded, options.executor)
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
    if first:
        check_weights(plan, executor, display.note)
    with home.driving(name, display.note), ExitStack() as opened:
        plan = admitted(plan, home, options, first)
        for dataset in publish(home, plan):
            display.note(f"sent {dataset} to {home.storage}")
        return Drive(loaded, home, options, display, plan, opened).run(executor)


def admitted(plan: Plan, home: Home, options: Options, first: bool) -> Plan:
    """A plan with what was asked for before, refused where it cannot go on; nothing is written."""
    check_owner(home, plan.name)
    last_state(home, plan.name)  # What is damaged is told before anything is written.
    check_comparable(home, plan)
    plan = extended(home, plan) if options.asks is None else extend(home, plan, options.asks)
    plan = with_confirmation(home, plan)
    if options.confirm is not None:
        check_ready(home, plan, read_state(home, plan.name).state, options.confirm)
    verify_data(plan)
    if first and not options.offline:
        check_tracking(plan, home)
    return plan


def check_selection(plan: Plan) -> None:
    """Refuse to choose by validation images where a cell has none."""
    for cell in plan.cells:
        if plan.spec.select.split == "validation" and not sum(cell.validation_counts):
            raise InputError(
                f"cell {cell.name} has no validation images to choose by; give a `validation` rule, or say"
                " `select: {split: test}`"
            )


def check_weights(plan: Plan, executor: Executor | None, say: Callable[[str], None]) -> None:
    """See that published weights are where trials start from them: here, or on the nodes of a cluster.

    Raises:
        EnvironmentProblem: If they cannot be had there.
    """
    models = sorted({cell.base.model for cell in plan.cells if cell.base.pretrained})
    if not models:
        return
    say(f"pretrained weights of {', '.join(models)}: looked for, and downloaded where there are none")
    if executor is not None and isinstance(asked := getattr(executor, "asked", None), dict):
        from sweeps.executors.reaching import check_weights_on_nodes

        check_weights_on_nodes(models, asked)
        return
    from cefl.pretrained import weights_file

    for model in models:
        try:
            weights_file(model)
        except CeflError as error:
            raise EnvironmentProblem(str(error)) from None


def verify_data(plan: Plan) -> None:
    """See that the data caches are the bytes that they were."""
    for folder in sorted({cell.base.data for cell in plan.cells}):
        try:
            data.verify(Path(folder))
        except CeflError as error:
            raise EnvironmentProblem(str(error)) from None
