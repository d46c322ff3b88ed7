"""Verbs that look after a sweep: stop."""

from __future__ import annotations

from typing import Annotated

import typer

from sweeps.cli.app import HomeOption, NameArgument, app, home_at


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
