"""Verbs of data sets: data prepare, list, show, verify."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sweeps.cli.app import HomeOption, JsonOption, SourceArgument, app, home_at, print_json, print_table
from sweeps.errors import ENVIRONMENT, WRONG_INPUT

data_app = typer.Typer(
    help="Prepare, list, show and verify data sets.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(data_app, name="data")


@data_app.command()
def prepare(
    source: SourceArgument,
    test_per_class: Annotated[
        int | None,
        typer.Option("--test-per-class", min=1, help="test images a class, where there is no test split"),
    ] = None,
    skip_corrupt: Annotated[
        bool, typer.Option("--skip-corrupt", help="leave out images that cannot be read, and count them")
    ] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Check every image of a data set and write its cache; what cannot be read is listed at once."""
    from cefl.errors import UnreadableImages
    from sweeps.data_sets import Cached, facts, prepare_source, users
    from sweeps.initialising import description
    from trackers.escaping import legible

    place = home_at(home)
    try:
        dataset, made = prepare_source(place, source, test_per_class, skip_corrupt)
    except UnreadableImages as error:
        if not json:
            raise
        images = [vars(image) for image in error.images]
        print_json({"source": error.place, "images": error.total, "unreadable": images})
        raise typer.Exit(WRONG_INPUT) from None
    if json:
        print_json(facts(Cached(dataset.folder, dataset, None), users(place)))
        return
    print(legible("\n".join(description(dataset))))
    print(f"\n{'prepared' if made else 'was prepared already'}: {dataset.folder}")


@data_app.command("list")
def list_data(home: HomeOption = None, json: JsonOption = False) -> None:
    """List the prepared data sets of a home, and which sweeps use them."""
    from sweeps.data_sets import caches, facts, users

    place = home_at(home)
    used = users(place)
    rows = [facts(each, used) for each in caches(place)]
    if json:
        print_json(rows)
    elif not rows:
        print(f"no data sets in {place.data} yet; begin with: sweeps data prepare digits")
    else:
        columns = ("name", "images", "classes", "left out", "MB", "digest", "used by", "folder", "source")
        print_table(columns, [table_row(row) for row in rows])


def table_row(row: dict[str, Any]) -> list[Any]:
    """A cache as a row of the table."""
    return [
        row["name"], row["images"], row["classes"], row["left_out"] or None, f"{row['bytes'] / 1e6:.1f}",
        row["digest"][:12] if row["digest"] else "damaged", ", ".join(row["used_by"]) or None,
        Path(row["folder"]).name, row["source"],
    ]  # fmt: skip


@data_app.command()
def show(
    name: Annotated[
        str, typer.Argument(help="name of a prepared data set: see `sweeps data list`; or a source")
    ],
    imbalance: Annotated[
        float | None, typer.Option("--imbalance", help="show also the long tail of this ratio")
    ] = None,
    order: Annotated[
        str, typer.Option("--order", help="ascending: the first class is the rarest; descending: the last")
    ] = "ascending",
    seed: Annotated[int, typer.Option("--seed", min=0, help="of the images and of the long tail")] = 0,
    columns: Annotated[int, typer.Option("--images", min=1, max=50, help="sample images a class")] = 8,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="folder to write to", show_default=False)
    ] = None,
    home: HomeOption = None,
    json: Annotated[bool, typer.Option("--json", help="print the paths as JSON")] = False,
) -> None:
    """Draw sample images and the number of images by class: data.html, samples.png."""
    from sweeps.data_sets import opened
    from sweeps.data_showing import show as write_shown

    place = home_at(home)
    paths = write_shown(place, opened(place, name), imbalance, order, seed, columns, out)
    if json:
        print_json({"page": str(paths[0]), "files": [str(path) for path in paths]})
    else:
        print("\n".join(map(str, paths)))


@data_app.command()
def verify(
    name: Annotated[str | None, typer.Argument(help="name of a prepared data set; by default all")] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Compare every byte of the caches with their digests."""
    from sweeps.data_sets import verified

    rows = verified(home_at(home), name)
    if json:
        print_json(rows)
    else:
        print_table(
            ("state", "name", "problem"), [[row["state"], row["name"], row["problem"]] for row in rows]
        )
    raise typer.Exit(ENVIRONMENT if any(row["problem"] for row in rows) else 0)
