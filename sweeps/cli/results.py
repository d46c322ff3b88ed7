"""Verbs that show what came out: status, list, trials, best, report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweeps.cli.app import (
    HomeOption,
    JsonOption,
    NameArgument,
    app,
    called,
    home_at,
    percent,
    print_json,
    print_table,
)
from sweeps.cli.cluster import ClusterOption, answer_from

if TYPE_CHECKING:
    from sweeps.home import Home
    from sweeps.plan import Plan
    from trackers.compare import BestArm
    from trackers.confirmation import Confirmation
    from trackers.table import TrialResult


@app.command()
def status(
    name: NameArgument, home: HomeOption = None, address: ClusterOption = None, json: JsonOption = False
) -> None:
    """Show how far a sweep is."""
    answer_from(address)
    from sweeps.overview import sweep_status

    view = sweep_status(home_at(home), name)
    if json:
        print_json(view)
        return
    trials = view["trials"]
    state = view["state"] if view["reason"] is None else f"{view['state']} ({view['reason']})"
    print(
        f"sweep {view['name']}: {state}; " + ", ".join(f"{count} {state}" for state, count in trials.items())
    )
    keys = ("cell", "total", "waiting", "running", "complete", "pruned", "failed")
    print_table(keys, [[cell[key] for key in keys] for cell in view["cells"]])


@app.command("list")
def list_sweeps(home: HomeOption = None, address: ClusterOption = None, json: JsonOption = False) -> None:
    """List the sweeps of a home."""
    answer_from(address)
    from sweeps.overview import sweep_list

    place = home_at(home)
    rows = sweep_list(place)
    if json:
        print_json(rows)
    elif not rows:
        print(f"no sweeps in {place.root} yet; begin with: sweeps run quickstart")
    else:
        keys = ("name", "state", "total", "complete", "failed", "updated")
        print_table(keys, [[row[key] for key in keys] for row in rows])


@app.command()
def trials(
    name: NameArgument, home: HomeOption = None, address: ClusterOption = None, json: JsonOption = False
) -> None:
    """List every trial of a sweep."""
    answer_from(address)
    from sweeps.results import read_results
    from sweeps.state import stored_plan

    place = home_at(home)
    found = read_results(place, stored_plan(place, name), histories=json)
    if json:
        print_json([trial.as_json() for trial in found])
        return
    columns = ("key", "cell", "arm", "seed", "kind", "state", "score %", "seconds", "reason")
    print_table(
        columns,
        [
            [
                trial.key, trial.cell, trial.arm, trial.seed, trial.kind, trial.state, percent(trial.score),
                None if trial.seconds is None else f"{trial.seconds:.1f}",
                remark(trial),
            ]
            for trial in found
        ],
    )  # fmt: skip


def remark(trial: TrialResult) -> str:
    """Why a trial failed or cannot be read, or where it was reused from."""
    if trial.origin and not trial.reason:
        return f"reused from {trial.origin}"
    return trial.reason.strip().splitlines()[-1] if trial.reason else ""


@app.command()
def best(
    name: NameArgument, home: HomeOption = None, address: ClusterOption = None, json: JsonOption = False
) -> None:
    """Show the best arm of every cell."""
    answer_from(address)
    from sweeps.state import stored_plan

    place = home_at(home)
    print_best(place, stored_plan(place, name), json, home)


@app.command()
def report(
    name: NameArgument,
    home: HomeOption = None,
    paper: Annotated[
        str | None,
        typer.Option(
            "--paper",
            help="beside a table of the paper: table2, table3, table4-crop, table4-mushroom, table5",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", help="with --paper: the model to set in place of the table's one"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="with --address: where its files come (NAME-report)", show_default=False
        ),
    ] = None,
    address: ClusterOption = None,
    json: Annotated[bool, typer.Option("--json", help="print the paths, or the comparison, as JSON")] = False,
) -> None:
    """Write the report of a sweep: report.html, report.md, results.csv, best.yaml, tables/."""
    from sweeps.errors import InputError

    if out is not None and address is None:
        raise InputError("--out: is for --address; without it the report lies in the home")
    answer_from(address, out=out or Path(f"{name}-report"), writes=True)
    from sweeps.reporting import report_sweep
    from sweeps.state import read_state, stored_plan

    if model is not None and paper is None:
        raise InputError("--model: is for --paper; give both, or neither")
    place = home_at(home)
    state, plan = read_state(place, name), stored_plan(place, name)
    if paper is not None:
        from sweeps.cli.beside_paper import print_beside_paper

        print_beside_paper(place, plan, paper, model, json)
        return
    page = report_sweep(place, plan, state, state.state, lambda text: print(text, file=sys.stderr))
    if page is None:
        raise InputError(f"{name}: nothing has been started yet; see `sweeps status {name}`")
    files = sorted(str(path) for path in page.parent.rglob("*") if path.is_file())
    if json:
        print_json({"report": str(page), "files": files})
    else:
        print("\n".join(files))


def print_best(home: Home, plan: Plan, json: bool, given: str | None) -> None:
    """The best arm of every cell, as confirmed or as the search found it, as tables or as JSON.

    Args:
        given: The home as the command line named it.
    """
    from sweeps.confirming import answers
    from sweeps.results import read_results
    from trackers.confirmation import Confirmation

    found = answers(home, plan, read_results(home, plan, histories=False))
    if json:
        print_json([each.as_json() for each in found])
        return
    confirmed = [each for each in found if isinstance(each, Confirmation)]
    if confirmed:
        print_confirmed(confirmed)
    searched = [each for each in found if not isinstance(each, Confirmation)]
    if searched or not confirmed:
        print_searched(searched, plan, given)


def print_confirmed(found: list[Confirmation]) -> None:
    """What confirmations say, and of what."""
    from trackers import confirmed_words as words

    rows = [
        [
            each.cell, each.winner.arm, percent(each.winner.test.mean), words.interval(each.winner.test),
            each.winner.test.n, percent(each.baseline.test.mean) if each.baseline else None,
            words.gap(each.winner.difference), words.p_value(each.winner.p),
            words.beats(each.winner), words.listed(each.ties),
        ]
        for each in found
    ]  # fmt: skip
    columns = (
        "cell", "best arm", "test %", "95% interval", "n", "cross-entropy %", "difference", "p",
        "beats cross-entropy", "not told apart from",
    )  # fmt: skip
    objective = found[0].objective
    chosen = words.chosen_by(found[0])
    print_table(columns, rows, f"confirmed: {objective.metric} on test, chosen by {chosen}")
    for each in found:
        if each.undecided:
            print(f"{each.cell}: undecided: {each.undecided}.")
    for scope in dict.fromkeys(words.scope(each) for each in found):
        print(scope)
    if objective.split == "test":
        print("Warning: chosen on the test set, as the specification says; these scores are optimistic.")


def print_searched(winners: list[BestArm], plan: Plan, home: str | None) -> None:
    """What a search found, and what that is not."""
    if not winners:
        print("no trial is complete: nothing can be compared yet")
        return
    select = plan.spec.select
    rows: list[list[Any]] = [
        [
            winner.summary.cell, winner.summary.arm, percent(winner.mean), winner.summary.n,
            percent(winner.baseline),
            None if winner.difference is None else f"{100 * winner.difference:+.2f}", winner.candidates,
        ]
        for winner in winners
    ]  # fmt: skip
    title = f"best by {select.metric} on {select.split}, epoch: {select.epoch}"
    print_table(("cell", "best arm", "score %", "n", "cross-entropy %", "difference", "arms"), rows, title)
    if select.split == "validation":
        print(
            "A search score: the highest of many on the same images is optimistic, and no claim of a winner."
        )
    else:
        print("Warning: chosen on the test set, as the specification says; these scores are optimistic.")
    call, at = called(home)
    print(f"To confirm them with seeds of their own: {call} confirm {plan.name}{at}")
