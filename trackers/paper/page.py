"""The page of a comparison with the paper: verdicts, printed and measured in one grid, contradictions."""

from __future__ import annotations

from dataclasses import dataclass

from trackers.markup import environment, inline, page_script, policy
from trackers.paper import wording
from trackers.paper.comparison import PaperComparison
from trackers.paper.measured import Compared
from trackers.tables import Table, files_of


@dataclass(frozen=True)
class Grid:
    """A table as the paper prints it, a row for each loss or class; ``None`` where it has no cell."""

    title: str
    corner: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Compared | None, ...]], ...]


def grids(comparison: PaperComparison) -> tuple[Grid, ...]:
    """One grid for each metric, of Table 5 one for each loss."""
    table, cells = comparison.table, comparison.measured.cells
    if table.along == "class":
        by_class = {(c.printed.arm, c.printed.class_name, c.printed.metric): c for c in cells}
        return tuple(
            Grid(
                arm, "Class", tuple(wording.METRICS[metric].capitalize() for metric in table.metrics),
                tuple(
                    (str(name), tuple(by_class.get((arm, str(name), metric)) for metric in table.metrics))
                    for name in table.places
                ),
            )
            for arm in table.arms
        )  # fmt: skip
    by_place = {(c.printed.arm, c.printed.along, c.printed.metric): c for c in cells}
    averages = {each.arm: each.compared for each in comparison.averages}
    columns = tuple(wording.place(place) for place in table.places)
    return tuple(
        Grid(
            wording.METRICS[metric].capitalize(),
            f"Loss, by {table.along}",
            (*columns, "10 to 500") if averages else columns,
            tuple(
                (arm, (*(by_place.get((arm, place, metric)) for place in table.places),
                       *((averages[arm],) if averages else ())))
                for arm in table.arms
            ),
        )
        for metric in table.metrics
    )  # fmt: skip


def render(comparison: PaperComparison, created: str) -> str:
    """The whole page as HTML."""
    script = page_script()
    return environment().get_template("paper.html.j2").render(
        comparison=comparison,
        grids=grids(comparison),
        contrasts=wording.contrasts_table(comparison),
        words=wording,
        created=created,
        policy=policy([script]),
        script=inline(script),
    )  # fmt: skip


def tables_of(comparison: PaperComparison) -> list[Table]:
    """The tables of a comparison: cells, and contrasts where there are any."""
    tables = [wording.cells_table(comparison)]
    return tables + ([wording.contrasts_table(comparison)] if comparison.contrasts else [])


def files(comparison: PaperComparison, created: str) -> dict[str, str]:
    """Path below the report's folder to content: the page, and each table as Markdown, LaTeX and CSV."""
    page = {f"paper-{comparison.table.name}.html": render(comparison, created)}
    return page | {f"tables/{name}": text for name, text in files_of(tables_of(comparison)).items()}
