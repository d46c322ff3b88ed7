"""Verbs that begin: init, schema, plan, run, confirm."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweeps.cli.app import (
    HomeOption,
    JsonOption,
    NameArgument,
    SourceArgument,
    SpecArgument,
    app,
    called,
    home_at,
    percent,
    print_json,
    print_table,
)
from sweeps.cli.cluster import drive_there
from sweeps.joining import cluster_address

if TYPE_CHECKING:
    from sweeps.home import Home
    from sweeps.options import Display, Options, Outcome
    from sweeps.spec import LoadedSpec

ExecutorOption = Annotated[str, typer.Option("--executor", help="ray, or inline: in this process")]
ConcurrentOption = Annotated[int | None, typer.Option("--concurrent", min=1, help="most trials at a time")]
AddressOption = Annotated[
    str | None,
    typer.Option(
        "--address",
        help="HOST:PORT of a Ray cluster to join, or auto (RAY_ADDRESS); by default a Ray of its own",
    ),
]
JoinOrAskOption = Annotated[
    str | None,
    typer.Option(
        "--address",
        help="as of run; or http://HEAD:8265: as a job of that cluster",
        show_default=False,
    ),
]
LOGS = ("text", "json")
LogOption = Annotated[
    str, typer.Option("--log", help="text, or json: a line of JSON on standard error for whatever happens")
]
NotifyOption = Annotated[
    str | None,
    typer.Option(
        "--notify",
        help="command or https address to call with JSON at the end and on a new best (SWEEPS_NOTIFY)",
    ),
]
OfflineOption = Annotated[
    bool, typer.Option("--offline", help="start although the tracking server does not answer")
]


@app.command()
def init(
    source: SourceArgument,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="file to write (NAME.yaml)", show_default=False)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="replace the file if it exists")] = False,
    skip_corrupt: Annotated[
        bool, typer.Option("--skip-corrupt", help="leave out images that cannot be read")
    ] = False,
    home: HomeOption = None,
) -> None:
    """Look at a data set and write a commented specification that fits it."""
    from sweeps.initialising import write_initial

    path, lines = write_initial(source, out, force, home_at(home), skip_corrupt)
    print("\n".join(lines))
    print(f"\nwrote {path}; next: sweeps plan {path}, then: sweeps run {path}")


@app.command()
def schema() -> None:
    """Print the JSON schema of a specification, for editors."""
    from sweeps.spec import Spec

    print_json({"$schema": "https://json-schema.org/draft/2020-12/schema", **Spec.model_json_schema()})


@app.command()
def plan(
    spec: SpecArgument,
    name: Annotated[
        str | None, typer.Option("--name", help="name of the sweep, instead of the specification's")
    ] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Show cells, trials, and what is already done; trains nothing."""
    from sweeps.overview import overview
    from sweeps.own_parts import check_parts
    from sweeps.plan import build_plan
    from sweeps.preparing import PreparingBar
    from sweeps.spec import load_spec
    from sweeps.state import extended

    place = home_at(home)
    loaded = load_spec(spec)
    place.create()
    built = build_plan(loaded, place.data, name, PreparingBar())
    check_parts(built, loaded)
    view = overview(extended(place, built), place)
    if json:
        print_json(view)
        return
    columns = (
        "cell",
        "train images",
        "ratio",
        "rarest",
        "validation",
        "test",
        "listed",
        "asks",
        "done",
        "to do",
    )
    keys = ("cell", "train_images", "ratio", "rarest", "validation_images", "test_images", "points", "asks",
            "done",             "to_do")  # fmt: skip
    print_table(columns, [[cell[key] for key in keys] for cell in view["cells"]], f"sweep {view['name']}")
    print()
    print_table(
        ("loss", "arms", "values"), [[loss["loss"], loss["arms"], loss["values"]] for loss in view["losses"]]
    )
    for cell in view["cells"]:
        for note in cell["notes"]:
            print(f"note: {cell['cell']}: {note}")
    if view["confirm"] is not None:
        print_outlook(view["confirm"])
    trials = view["trials"]
    print(
        f"\n{trials['total']} trials ({view['points_a_seed']} a seed, {view['seeds']} seeds;"
        " asks are an upper bound),"
        f" {trials['waiting']} to do,"
        f" {trials['complete']} done, {trials['failed']} failed; {view['estimate']}"
    )
    if view["budget"]:
        words = {name: f"{value:,}" for name, value in view["budget"].items() if name != "patience"}
        if patience := view["budget"].get("patience"):
            words["patience"] = f"{patience['trials']} asks that are not better by {patience['by']:g}"
        print("budget: " + ", ".join(f"{name} {value}" for name, value in words.items()))


def print_outlook(view: dict[str, Any]) -> None:
    """What the confirmation costs and what it can show."""
    print()
    seeds = list(view["cells"][0]["detectable"])
    print_table(
        ("confirmation", "arms", "trials", "spread", "seen in", *(f"{each} seeds" for each in seeds)),
        [
            [
                cell["cell"], f"{cell['arms']} + cross-entropy", cell["trials"], cell["spread"],
                cell["source"], *(cell["detectable"][each] for each in seeds),
            ]
            for cell in view["cells"]
        ],
        f"then confirmed with {view['seeds']} seeds; differences to cross-entropy, in points, that so many"
        " seeds find in 80 of 100 cases",
    )  # fmt: skip


@app.command()
def run(
    spec: SpecArgument,
    name: Annotated[
        str | None, typer.Option("--name", help="name of the sweep, instead of the specification's")
    ] = None,
    executor: ExecutorOption = "ray",
    concurrent: ConcurrentOption = None,
    asks: Annotated[
        int | None,
        typer.Option("--asks", min=1, help="ask every study so many times more than it was so far"),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="train what is complete once more, beside it, and compare")
    ] = False,
    offline: OfflineOption = False,
    address: AddressOption = None,
    notify: NotifyOption = None,
    log: LogOption = "text",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Run a sweep, or go on with it, and write the report."""
    from sweeps.spec import load_spec

    check_choices(executor, log)
    loaded, place = load_spec(spec), home_at(home)
    place.create()  # What cannot work is said before anything slow is imported.
    shown = display_of(log, loaded, name)
    from sweeps.driver import run_sweep
    from sweeps.options import Options

    joined = cluster_address(address)
    options = Options(name, executor, offline, fresh, concurrent, asks, address=joined, notify=notify)
    outcome = run_sweep(loaded, place, options, shown)
    tell(outcome, place, home, f"run {spec}", json)


@app.command()
def confirm(
    name: NameArgument,
    seeds: Annotated[
        int | None,
        typer.Option(
            "--seeds", min=2, help="how many in all; more than there are adds the rest", show_default="5"
        ),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option("--top", min=1, help="arms of each cell beside cross-entropy", show_default="3"),
    ] = None,
    executor: ExecutorOption = "ray",
    concurrent: ConcurrentOption = None,
    offline: OfflineOption = False,
    address: JoinOrAskOption = None,
    notify: NotifyOption = None,
    log: LogOption = "text",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Train the leading arms of a finished search and cross-entropy again, with seeds of their own."""
    drive_there(address, name)
    from sweeps.confirming import Asked
    from sweeps.options import Options

    joined = cluster_address(address)
    options = Options(
        name,
        executor,
        offline,
        concurrent=concurrent,
        confirm=Asked(top, seeds),
        address=joined,
        notify=notify,
    )
    go_on("confirm", name, options, log, home, json)


@app.command()
def retry(
    name: NameArgument,
    executor: ExecutorOption = "ray",
    concurrent: ConcurrentOption = None,
    offline: OfflineOption = False,
    address: JoinOrAskOption = None,
    notify: NotifyOption = None,
    log: LogOption = "text",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Run the failed trials of a sweep again, and what is left of it."""
    drive_there(address, name)
    from sweeps.options import Options

    joined = cluster_address(address)
    options = Options(
        name, executor, offline, concurrent=concurrent, retry=True, address=joined, notify=notify
    )
    go_on("retry", name, options, log, home, json)


def display_of(log: str, loaded: LoadedSpec, name: str | None) -> Display:
    """Who shows the progress."""
    if log == "json":
        from sweeps.logbook import Logbook

        return Logbook(name or loaded.spec.name)
    from sweeps.display import TerminalDisplay

    return TerminalDisplay(loaded.spec)


def go_on(verb: str, name: str, options: Options, log: str, home: str | None, json: bool) -> None:
    """Run what is left of a sweep that was started here, by the specification that it last ran by."""
    from sweeps.driver import run_sweep
    from sweeps.state import stored_spec

    check_choices(options.executor, log)
    place = home_at(home)
    loaded = stored_spec(place, name)
    outcome = run_sweep(loaded, place, options, display_of(log, loaded, name))
    tell(outcome, place, home, f"{verb} {name}", json)


def check_choices(executor: str, log: str) -> None:
    """Refuse an executor or a log that there is not."""
    from sweeps.errors import InputError
    from sweeps.executors import EXECUTORS

    for option, value, choices in (("executor", executor, EXECUTORS), ("log", log, LOGS)):
        if value not in choices:
            raise InputError(f"--{option}: '{value}' is not one of {', '.join(choices)}")


def tell(outcome: Outcome, place: Home, home: str | None, verb: str, json: bool) -> None:
    """Print what came out and what to do next, and end with the exit code."""
    from sweeps.cli.results import print_best

    print_best(place, outcome.plan, json, home)
    if json:
        raise typer.Exit(outcome.exit_code)
    if outcome.repeated:
        print_repeated(outcome.repeated)
    call, at = called(home)
    stopped = f", {outcome.stopped_early} more stopped early" if outcome.stopped_early else ""
    best = outcome.report.parent / "best.yaml" if outcome.report else None  # There once a trial is complete.
    lines = {
        "trained now": f"{outcome.trained} trials{stopped}; sweep {outcome.plan.name} is {outcome.state}",
        "budget": outcome.reason and f"{outcome.reason}; with a larger one the same command goes on",
        "report": str(outcome.report) if outcome.report else None,
        "run the best": f"{call} run {best}{at}" if best and best.exists() else None,
        "weights": outcome.unkept
        and f"none were kept of {', '.join(outcome.unkept)}; to train that once more and keep them:"
        f" {call} run {best} --fresh{at}",
        "see every run": f"{call} ui {outcome.plan.name}{at}",
        "tracking": outcome.tracking_problem
        and f"incomplete: {outcome.tracking_problem}; then: {call} sync {outcome.plan.name}{at}",
        "go on": f"{call} {verb}{at}" if outcome.state == "interrupted" else None,
    }
    print()
    for title, text in lines.items():
        if text:
            print(f"{title:<14} {text}")
    raise typer.Exit(outcome.exit_code)


def print_repeated(rows: list[dict[str, object]]) -> None:
    """First and repeated trainings side by side."""
    from trackers.table import arm_label

    print()
    table = [
        [
            str(row["study"]).split("/")[1],
            arm_label(str(row["loss"]), row["params"]),  # type: ignore[arg-type]
            row["seed"],
            row["repetition"],
            percent(row["first"]),  # type: ignore[arg-type]
            percent(row["again"]),  # type: ignore[arg-type]
            "yes" if row["identical"] else "; ".join(["no", *row["apart"]]),  # type: ignore[misc]
        ]
        for row in rows
    ]
    print_table(
        ("cell", "arm", "seed", "repetition", "first %", "again %", "same to the last bit"),
        table,
        "trained again",
    )
