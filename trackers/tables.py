"""A table once, and the same numbers as Markdown, LaTeX and CSV; pandas writes the first two.

Markdown and LaTeX show what a person reads, CSV holds every value in full precision.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from trackers.escaping import escaped, harmless, latex_rows, one_line

DASH = "–"
LONG = 40
"""A LaTeX table of more rows than this may break across pages."""

LONGEST = 1000
"""Rows in Markdown and LaTeX, which nobody reads further; the CSV holds all."""


@dataclass(frozen=True)
class Column:
    """A column: its heading, how a value is shown, and whether it is aligned to the right."""

    name: str
    show: Callable[[Any], str] = str
    number: bool = False


@dataclass(frozen=True)
class Table:
    """Values in rows.

    Args:
        name: Stem of its files.
        title: What it shows, one line.
        columns: As many as each row has values.
        rows: Plain values; ``None`` where there is none.
        note: How to read it.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    note: str = ""

    def shown(self) -> list[list[str]]:
        """The first `LONGEST` rows as they are shown, a dash for what there is none of."""
        return [
            [
                DASH if value is None else column.show(value)
                for column, value in zip(self.columns, row, strict=True)
            ]
            for row in self.rows[:LONGEST]
        ]

    @property
    def notes(self) -> str:
        """How to read it, and what is left out of what people see."""
        more = len(self.rows) - LONGEST
        return f"{self.note} {more:,} more rows are in {self.name}.csv.".strip() if more > 0 else self.note

    @property
    def header(self) -> list[str]:
        """The headings."""
        return [column.name for column in self.columns]

    @property
    def numbers(self) -> list[int]:
        """Positions of the columns that are aligned to the right."""
        return [index for index, column in enumerate(self.columns) if column.number]


def files_of(tables: Iterable[Table]) -> dict[str, str]:
    """Name to content of the three files of every table."""
    return {
        f"{table.name}.{ending}": write(table)
        for table in tables
        for ending, write in (("md", as_markdown), ("tex", as_latex), ("csv", as_csv))
    }


def as_markdown(table: Table) -> str:
    """The table below its title; all text is escaped."""
    parts = [f"# {escaped(table.title)}", escaped(table.notes)]
    parts.append(markdown(table.header, table.shown(), table.numbers) if table.rows else "No rows.")
    return "\n\n".join(part for part in parts if part) + "\n"


def as_latex(table: Table) -> str:
    """A ``tabular`` or, with many rows, a ``longtable``, for ``\\input``; title and note are comments."""
    import pandas as pd

    packages = "booktabs" if len(table.rows) <= LONG else "booktabs and longtable"
    comments = [f"% {one_line(text)}" for text in (table.title, table.notes, f"Needs {packages}.") if text]
    if not table.rows:
        return "\n".join([*comments, "% No rows.", ""])
    shown = pd.DataFrame(
        [[one_line(text) for text in row] for row in table.shown()],
        columns=[one_line(name) for name in table.header],
    )
    alignment = "".join("r" if column.number else "l" for column in table.columns)
    body = shown.to_latex(index=False, escape=True, column_format=alignment, longtable=len(table.rows) > LONG)
    return "\n".join([*comments, latex_rows(body)])


def as_csv(table: Table) -> str:
    """Values in full precision; text that a spreadsheet would take for a formula gets an apostrophe."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([harmless(name) for name in table.header])
    writer.writerows([harmless(value) for value in row] for row in table.rows)
    return text.getvalue()


def markdown(header: Sequence[str], rows: Iterable[Sequence[object]], numbers: Iterable[int] = ()) -> str:
    """A Markdown table of texts; the columns in ``numbers`` are aligned to the right."""
    import pandas as pd

    right = set(numbers)
    body = [[escaped(value) for value in row] for row in rows]
    if not body:
        return ""
    alignment = ["right" if index in right else "left" for index in range(len(header))]
    frame = pd.DataFrame(body, columns=[escaped(name) for name in header])
    return str(frame.to_markdown(index=False, disable_numparse=True, colalign=alignment))
