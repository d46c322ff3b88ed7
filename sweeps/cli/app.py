"""The application object, options that many verbs share, and how tables are printed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sweeps.home import Home

app = typer.Typer(
    help="Hyperparameter sweeps for image classification on imbalanced data.",
    epilog="Begin with:  sweeps run quickstart",
    no_args_is_help=True,
    rich_markup_mode=None,  # Rich's help costs a quarter of a second.
    pretty_exceptions_enable=False,
    add_completion=False,
)

UNLIMITED = 10_000  # Characters of a line, where no terminal folds it.

HomeOption = Annotated[
    str | None,
    typer.Option(
        "--home",
        help="folder of databases, trials and reports, or s3://BUCKET/FOLDER (SWEEPS_HOME, else ./runs)",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON instead of a table")]
NameArgument = Annotated[str, typer.Argument(help="name of a sweep: see `sweeps list`")]
SpecArgument = Annotated[
    str, typer.Argument(help="a YAML file, or a shipped specification such as quickstart")
]
SourceArgument = Annotated[
    str,
    typer.Argument(
        help="digits, cifar10, cifar100, mushroom:PATH, crop-disease:PATH, npz:PATH or folder:PATH"
    ),
]


def called(home: str | None = None) -> tuple[str, str]:
    """How this command was called, and its home as an option: for commands that are to come next."""
    by_uv = "UV_RUN_RECURSION_DEPTH" in os.environ
    return "uv run sweeps" if by_uv else "sweeps", "" if home is None else f" --home {home}"


def home_at(path: str | None) -> Home:
    """The home that an option, the environment or the default names."""
    from sweeps.home import Home

    return Home.at(path)


def print_json(value: object) -> None:
    """Indented, with stable keys."""
    from sweeps.state import to_json

    print(to_json(value))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str | None = None) -> None:
    """A table as wide as it needs; numbers to the right. ``None`` is shown as a dash."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from trackers.escaping import one_line

    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=None,
        padding=(0, 2, 0, 0),
        header_style="dim",
    )
    for index, column in enumerate(columns):
        values = [row[index] for row in rows if row[index] is not None]
        numeric = bool(values) and all(
            not isinstance(value, str) or value[:1] in "+-0123456789" for value in values
        )
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*("-" if value is None else escape(one_line(value)) for value in row))
    console = Console()
    if not console.is_terminal:  # A pipe has no width: nothing is folded.
        console = Console(width=UNLIMITED)
        console = Console(width=max(1, console.measure(table).maximum))
    console.print(table)


def percent(value: float | None) -> str | None:
    """``87.35`` for 0.87351."""
    return None if value is None else f"{100 * value:.2f}"
