"""Verbs that look after a sweep: stop, logs, sync, gc."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweeps.cli.app import HomeOption, JsonOption, NameArgument, app, home_at, print_json, print_table
from sweeps.cli.cluster import ClusterOption, answer_from
from sweeps.errors import TRACKING_INCOMPLETE, InputError

if TYPE_CHECKING:
    from sweeps.trial_log import TrialLog


@app.command()
def stop(
    name: Annotated[
        str | None, typer.Argument(help="name of a sweep: see `sweeps list`", show_default=False)
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="every sweep of the home that is driven on this machine")
    ] = False,
    patience: Annotated[
        float, typer.Option("--wait", min=0, help="longest wait in seconds for it to end")
    ] = 120.0,
    home: HomeOption = None,
    address: ClusterOption = None,
) -> None:
    """End a running sweep in order, from another terminal, or all; `sweeps run` goes on with it."""
    if every == (name is not None):
        raise InputError("stop: either the NAME of a sweep (see `sweeps list`), or --all")
    answer_from(address, stops=name)
    from sweeps.state import read_state
    from sweeps.stopping import stop_all, stop_sweep

    place = home_at(home)
    if name is None:
        stopped = [f"sweep {each} has stopped" for each in stop_all(place, patience, print)]
        print("\n".join(stopped) or "no sweep of this home is driven on this machine")
        return
    if stop_sweep(place, name, patience, print):
        print(f"sweep {name} has stopped: it is {read_state(place, name).state}")
    else:
        print(f"sweep {name} does not run: it is {read_state(place, name).state}")


@app.command()
def logs(
    trial: Annotated[
        str, typer.Argument(help="the first digits of its key, or study#number: see `sweeps trials`")
    ],
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="show each epoch as it comes, until the trial has ended")
    ] = False,
    home: HomeOption = None,
    address: ClusterOption = None,
    json: JsonOption = False,
) -> None:
    """Show one trial: its epochs, why it failed, its folder and its run; of a cluster, also a sweep's log."""
    answer_from(address, log_of=trial)
    from sweeps.trial_log import find_trial, followed, line

    place = home_at(home)
    found = find_trial(place, trial)
    if json and not follow:
        print_json(found.as_json())
        return
    if not json:
        print_trial(found)
        print_row(COLUMNS)
    for row in followed(place, found) if follow else found.history():
        if json:
            print(line(row), flush=True)
        else:
            print_row(cells_of(row))


def print_trial(log: TrialLog) -> None:
    """What is known of a trial, but for its epochs."""
    from trackers.escaping import legible
    from trackers.table import arm_label

    entry, attrs = log.entry, log.row.attrs
    lines = {
        "trial": f"{entry.key}  {arm_label(entry.loss, entry.params)} seed {entry.seed} ({entry.kind})",
        "name": f"{entry.study}#{entry.number}",
        "state": f"{log.row.state}, attempt {entry.attempt}",
        "taken from": attrs.get("origin") and f"sweep {attrs['origin']}",
        "folder": str(log.folder),
        "MLflow run": log.run_id,
        "also": ", ".join(f"{ref} {state}" for ref, state in log.others) or None,
        "warning": attrs.get("warning"),
        "earlier error": attrs.get("error") and attrs["error"].strip(),
        "reason": attrs.get("reason") and attrs["reason"].strip(),
    }
    for title, text in lines.items():
        if text:
            print(f"{title:<13} {legible(str(text))}")
    print()


COLUMNS = ("epoch", "time", "seconds", "rate", "train loss", "train acc %", "val loss", "val bal acc %")


def cells_of(row: Any) -> list[str]:
    """An epoch as a line of the table."""
    metrics = row["metrics"]

    def number(name: str, scale: float = 1.0, places: int = 4) -> str:
        return f"{scale * metrics[name]:.{places}f}" if name in metrics else "-"

    return [
        str(row["epoch"]),
        time.strftime("%H:%M:%S", time.localtime(row["timestamp"] / 1000)),
        number("seconds", places=1), f"{metrics['learning_rate']:g}" if "learning_rate" in metrics else "-",
        number("train/loss"), number("train/accuracy", 100, 2), number("val/loss"),
        number("val/balanced_accuracy", 100, 2),
    ]  # fmt: skip


def print_row(cells: Sequence[str]) -> None:
    """A line of the table, at once: columns keep their width while rows come."""
    print("  ".join(f"{cell:>13}" if index else f"{cell:>5}" for index, cell in enumerate(cells)), flush=True)


@app.command()
def sync(
    name: NameArgument, home: HomeOption = None, address: ClusterOption = None, json: JsonOption = False
) -> None:
    """Bring MLflow in line with ledger and histories, also after its database was lost; trains nothing."""
    answer_from(address)
    from sweeps.agreement import WRITTEN, steps
    from sweeps.syncing import sync_sweep

    synced = sync_sweep(home_at(home), name)
    if json:
        print_json(synced.as_json())
        raise typer.Exit(0 if synced.complete else TRACKING_INCOMPLETE)
    print(f"sweep {name} at {synced.uri}: {synced.runs} runs, with its own")
    rows = [
        [each.ref, each.key, each.place, each.found, "left" if each in synced.left else "mended"]
        for each in [*synced.seen, *(each for each in synced.left if each not in synced.seen)]
    ]
    if rows:
        print_table(("run", "trial", "where", "what was found", "now"), rows)
    else:
        print("all of them were in line")
    left = [each for each in synced.left if each.mend not in WRITTEN]
    for step in steps(left, name):
        print(f"what is left takes: {step}")
    if synced.problem:
        print(f"incomplete: {synced.problem}; once that is mended: sweeps sync {name}")
    raise typer.Exit(0 if synced.complete else TRACKING_INCOMPLETE)


@app.command()
def gc(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="remove it without asking")] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Show what nothing in a home refers to, and remove it after a question."""
    from sweeps.garbage import find_garbage, remove

    place = home_at(home)
    found = find_garbage(place)
    total = sum(each.size for each in found)
    if not json:
        rows = [[each.kind, each.shown, f"{each.size / 1e6:.1f}", each.why] for each in found]
        if rows:
            print_table(("what", "path", "MB", "why"), rows)
        print(f"{len(found)} things, {total / 1e6:.1f} MB, in {place.root}")
        if found and not yes:
            yes = sys.stdin.isatty() and typer.confirm("remove them?")
            if not yes:
                print("nothing was removed; --yes removes them")
    if found and yes:
        remove(place, found)
    if json:
        print_json(
            {"items": [each.as_json() for each in found], "bytes": total, "removed": bool(found and yes)}
        )
    elif found and yes:
        print("removed")
