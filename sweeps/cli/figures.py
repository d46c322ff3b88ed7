"""The verb ``figures``: every figure of a report, or those of the losses, as files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweeps.cli.app import HomeOption, JsonOption, app, home_at, print_json, print_table
from sweeps.cli.cluster import ClusterOption, answer_from

if TYPE_CHECKING:
    from sweeps.home import Home
    from trackers.plots import Plot


@app.command()
def figures(
    name: Annotated[
        str | None, typer.Argument(help="name of a sweep; without one: the losses over p")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="folder (the report's figures/, else ./figures)", show_default=False
        ),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option("--only", help="kinds of figures, such as gamma,confusion", show_default=False),
    ] = None,
    home: HomeOption = None,
    address: ClusterOption = None,
    json: JsonOption = False,
) -> None:
    """Write every figure as an interactive page and as JSON for Plotly."""
    answer_from(address, out=out or Path(f"{name}-figures" if name else "figures"), writes=True)
    from sweeps.errors import InputError
    from trackers.figure_files import KINDS, chosen, figure_files, kind_of
    from trackers.report import write_files

    kinds = [kind.strip() for kind in (only or "").split(",") if kind.strip()]
    for kind in kinds:
        if kind not in KINDS:
            raise InputError(f"--only: there are no figures of kind {kind!r}; there are {', '.join(KINDS)}")
    place = home_at(home)
    found = chosen(_plots(place, name), kinds)
    drawn = {kind_of(plot) for _, plot in found}
    absent = ", ".join(kind for kind in kinds if kind not in drawn)
    if absent:
        text = f"--only: of {name or 'the losses'} there is no figure of kind {absent}"
        if not found:
            raise InputError(f"{text}; leave --only out to see what there is")
        print(f"note: {text}", file=sys.stderr)
    folder = out or (Path("figures") if name is None else place.sweep(name) / "report" / "figures")
    write_files(folder, figure_files(found))
    rows = [
        {"name": plot.id, "of": where, "heading": plot.heading, "file": str(folder / f"{plot.id}.html")}
        for where, plot in found
    ]
    if json:
        print_json({"folder": str(folder), "figures": rows})
    else:
        print_table(("figure", "of", "shows"), [[row["name"], row["of"], row["heading"]] for row in rows])
        print(f"\n{folder / 'index.html'}")


def _plots(home: Home, name: str | None) -> list[tuple[str, Plot]]:
    """The figures of a sweep, or of the losses alone."""
    from sweeps.errors import InputError
    from sweeps.loss_curves import loss_curves
    from sweeps.reporting import report_data
    from sweeps.state import read_state, stored_plan
    from trackers.figure_files import all_plots
    from trackers.sweep_plots import loss_plots

    if name is None:
        return [("losses", plot) for plot in loss_plots(loss_curves())]
    state = read_state(home, name)
    data = report_data(home, stored_plan(home, name), state, state.state)
    if data is None:
        raise InputError(f"{name}: nothing has been started yet; see `sweeps status {name}`")
    return all_plots(data)
