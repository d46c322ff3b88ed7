"""The verb ``compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sweeps.cli.app import HomeOption, JsonOption, app, home_at, print_json, print_table
from sweeps.cli.cluster import ClusterOption, answer_from
from sweeps.display_words import pair_name

SideArgument = Annotated[str, typer.Argument(help="a sweep, or an arm of one: NAME:ARM", show_default=False)]


@app.command()
def compare(
    first: SideArgument,
    second: SideArgument,
    metric: Annotated[
        str | None, typer.Option("--metric", help="by default what the first sweep chooses by")
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", help="validation or test; of confirmed arms test")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="folder of the page (HOME/compare/FIRST--SECOND)")
    ] = None,
    home: HomeOption = None,
    address: ClusterOption = None,
    json: JsonOption = False,
) -> None:
    """Set two sweeps, or two arms, side by side, cell by cell and over the seeds that both have."""
    answer_from(address, out=out or Path(pair_name(first, second)), writes=True)
    from sweeps.comparing import compare as compared
    from sweeps.comparing import write_compared
    from trackers.side_by_side import comparison_table

    place = home_at(home)
    found = compared(place, first, second, metric, split)
    paths = [str(path) for path in write_compared(place, found, out)]
    if json:
        print_json({**found.as_json(), "files": paths})
        return
    table = comparison_table(found)
    print_table(table.header, table.shown(), table.title)
    print(f"\n{table.note}")
    for text in found.conditions:
        print(f"not the same: {text}")
    print("\n" + "\n".join(paths))
