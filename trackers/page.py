"""The HTML page of a report: one file that needs no network, whatever names the data brought along."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from plotly.offline import get_plotlyjs

from trackers import confirmed_words, verdicts, wording
from trackers.compare import baseline_of
from trackers.confirmed_plots import confirmed_plots
from trackers.figure_style import loss_styles
from trackers.markup import environment, inline, page_script, policy
from trackers.per_class import ClassTable, class_tables
from trackers.plots import Plot, arm_plots, classes_plot, confusion_plots
from trackers.published.figures import NOTE, Beside, beside_published
from trackers.report_data import (
    CellReport,
    ReportData,
    as_confirmed,
    cell_reports,
    class_split,
    count_states,
    unfinished,
)
from trackers.report_tables import CLASS_NOTE
from trackers.savings import in_words, savings
from trackers.search_plots import search_plots
from trackers.sweep_plots import across_plots, loss_plots

MOST_ROWS = 50
"""Arms in the leaderboard of a cell; all of them stand in the CSV."""

MOST_CLASSES = 100
"""Classes in the table of a cell; all of them stand in ``tables/per-class.csv``."""

MOST_UNFINISHED = 200
MOST_OPEN = 6
"""With more cells than this the sections of the cells start closed."""


@dataclass(frozen=True)
class Section:
    """A cell in the page."""

    id: str
    cell: CellReport
    rows: tuple[Any, ...]
    left_out: int
    plots: tuple[Plot, ...]
    confusions: tuple[Plot, ...]
    classes: Plot | None
    by_class: tuple[ClassTable, ...]
    published: tuple[Beside, ...]
    confirmed_plots: tuple[Plot, ...]
    saved: str


def render(data: ReportData) -> str:
    """The whole page as HTML."""
    cells = cell_reports(data)
    styles = loss_styles(trial.loss for trial in data.trials)
    script, library = page_script(), get_plotlyjs()
    left_over = unfinished(data.trials)
    pages = environment()
    sections = [_section(number, cell, data) for number, cell in enumerate(cells, start=1)]
    pages.globals.update(verdicts=verdicts, confirmed=confirmed_words)
    pages.globals.update(words=wording, styles=styles, class_note=CLASS_NOTE, most_classes=MOST_CLASSES)
    pages.globals.update(published_note=NOTE)
    return pages.get_template("report.html.j2").render(
        data=data,
        cells=cells,
        sections=sections,
        confirmed_cells=[section for section in sections if section.cell.confirmation is not None],
        across=tuple(across_plots(cells, data)),
        losses=tuple(loss_plots(data.losses_over_p)),
        all_open=len(cells) <= MOST_OPEN,
        states=count_states(data.trials),
        unfinished=left_over[:MOST_UNFINISHED],
        unfinished_total=len(left_over),
        policy=policy([library, script]),
        library=inline(library),
        script=inline(script),
    )


def _section(number: int, cell: CellReport, data: ReportData) -> Section:
    ranked = [arm for arm in cell.arms if arm.n]
    seen, split = as_confirmed(cell), class_split(cell, data.objective)
    base = baseline_of(ranked)
    rows = [arm for position, arm in enumerate(ranked) if position < MOST_ROWS or arm is base]
    return Section(
        id=f"cell-{number}",
        cell=cell,
        rows=tuple(rows),
        left_out=len(ranked) - len(rows),
        plots=(*arm_plots(number, cell, data), *search_plots(number, cell, data)),
        confusions=tuple(confusion_plots(number, seen, split)),
        classes=classes_plot(number, cell),
        by_class=class_tables(seen, split),
        published=beside_published(cell.trials),
        confirmed_plots=tuple(confirmed_plots(number, cell.confirmation)) if cell.confirmation else (),
        saved=in_words(savings(cell.trials)),
    )
