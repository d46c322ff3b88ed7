"""Verbs that look after a sweep: stop, sync."""

from __future__ import annotations

from typing import Annotated

import typer

from sweeps.cli.app import HomeOption, JsonOption, NameArgument, app, home_at, print_json, print_table
from sweeps.errors import TRACKING_INCOMPLETE


@app.command()
def stop(
    name: NameArgument,
    patience: Annotated[
        float, typer.Option("--wait", min=0, help="longest wait in seconds for it to end")
    ] = 120.0,
    home: HomeOption = None,
) -> None:
    """End a running sweep in order, from another terminal; `sweeps run` goes on with it."""
    from sweeps.state import read_state
    from sweeps.stopping import stop_sweep

    place = home_at(home)
    if stop_sweep(place, name, patience, print):
        print(f"sweep {name} has stopped: it is {read_state(place, name).state}")
    else:
        print(f"sweep {name} does not run: it is {read_state(place, name).state}")


@app.command()
def sync(name: NameArgument, home: HomeOption = None, json: JsonOption = False) -> None:
    """Bring MLflow in line with ledger and histories, also after its database was lost; trains nothing."""
    from sweeps.agreement import MLFLOW
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
    if any(each.place != MLFLOW for each in synced.left):
        print(f"what folders lack is trained again by: sweeps retry {name}")
    if synced.problem:
        print(f"incomplete: {synced.problem}; once that is mended: sweeps sync {name}")
    raise typer.Exit(0 if synced.complete else TRACKING_INCOMPLETE)
