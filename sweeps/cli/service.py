"""Verbs around a sweep: ui, doctor."""

from __future__ import annotations

from typing import Annotated

import typer

from sweeps.cli.app import HomeOption, JsonOption, app, home_at, print_json, print_table


@app.command()
def ui(
    name: Annotated[str | None, typer.Argument(help="name of a sweep, to open its experiment")] = None,
    port: Annotated[
        int,
        typer.Option(
            "--port", min=0, max=65535, help="of MLflow; 0 takes a free one; the studies' is the next"
        ),
    ] = 5000,
    home: HomeOption = None,
) -> None:
    """Start MLflow and a dashboard of the studies on this machine's loopback, and print their addresses."""
    from sweeps.service import serve_ui

    raise typer.Exit(serve_ui(home_at(home), name, port))


@app.command()
def doctor(
    uri: Annotated[str | None, typer.Option("--uri", help="a tracking server to check as well")] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Check installation, devices, home and tracking, and say what to do."""
    from sweeps.doctor import examine

    findings = examine(home, uri)
    if json:
        print_json(findings)
    else:
        marks = {"ok": "ok", "note": "note", "problem": "PROBLEM"}
        rows = [[marks[each["state"]], each["what"], each["found"], each["next"]] for each in findings]
        print_table(("", "what", "found", "what to do"), rows)
    raise typer.Exit(7 if any(each["state"] == "problem" for each in findings) else 0)
