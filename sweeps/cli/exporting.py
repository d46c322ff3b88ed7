"""The verb ``export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sweeps.cli.app import HomeOption, JsonOption, NameArgument, app, home_at, percent, print_json
from sweeps.cli.cluster import ClusterOption, answer_from


@app.command()
def export(
    name: NameArgument,
    cell: Annotated[
        str | None, typer.Option("--cell", help="which cell, where there are several", show_default=False)
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", help="whose weights (those with the highest score)", show_default=False),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="folder to make (NAME-CELL)")] = None,
    force: Annotated[bool, typer.Option("--force", help="replace the folder if it is there")] = False,
    register: Annotated[
        str | None,
        typer.Option(
            "--register", help="and make it a version of this model in MLflow's registry", show_default=False
        ),
    ] = None,
    home: HomeOption = None,
    address: ClusterOption = None,
    json: JsonOption = False,
) -> None:
    """Write the best model of a cell into a folder: weights, model card, best.yaml."""
    answer_from(address, out=out, writes=True, force=force)
    from sweeps.exporting import export as exported
    from sweeps.exporting import registered

    place = home_at(home)
    found = exported(place, name, cell, seed, out, force)
    version = registered(place, name, found, register) if register is not None else None
    if json:
        print_json({**found.as_json(), "registered": version})
        return
    print(
        f"{found.cell.name}: {found.trial.arm}, seed {found.trial.seed}, score {percent(found.trial.score)} %"
    )
    print("\n".join(str(path) for path in found.files))
    print(f'\nuse it: cefl.load("{found.folder}").predict(images)')
    print(f"again:  sweeps run {found.folder / 'best.yaml'}")
    if version is not None:
        print(f"registered: version {version['version']}, {version['uri']}")
