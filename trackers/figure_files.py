"""Figures as files: a page for each that draws it, its JSON for Plotly, and one library for all pages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from plotly.offline import get_plotlyjs

from trackers.confirmed_plots import confirmed_plots
from trackers.figure_style import template
from trackers.markup import environment, inline, local_policy, page_script
from trackers.plots import Plot, arm_plots, classes_plot, confusion_plots
from trackers.report_data import ReportData, as_confirmed, cell_reports, class_split
from trackers.search_plots import search_plots
from trackers.sweep_plots import across_plots, loss_plots

LIBRARY = "plotly.min.js"
KINDS = (
    "differences", "means", "sizes", "recalls", "dots", "gamma", "curves", "accuracy", "parallel",
    "variation", "importance", "confusion", "classes", "average", "imbalance", "depth", "losses",
)  # fmt: skip
"""First part of the name of every figure."""


def all_plots(data: ReportData) -> list[tuple[str, Plot]]:
    """Every figure of a report with what it is of: the name of its cell, or of the sweep."""
    cells = cell_reports(data)
    found: list[tuple[str, Plot]] = []
    for number, cell in enumerate(cells, start=1):
        classes = classes_plot(number, cell)
        said = cell.confirmation
        mine = [*(confirmed_plots(number, said) if said else []), *arm_plots(number, cell, data)]
        mine += search_plots(number, cell, data)
        mine += confusion_plots(number, as_confirmed(cell), class_split(cell, data.objective))
        found += [(cell.info.name, plot) for plot in (*mine, *([classes] if classes else []))]
    found += [(data.sweep, plot) for plot in across_plots(cells, data)]
    return found + [("losses", plot) for plot in loss_plots(data.losses_over_p)]


def kind_of(plot: Plot) -> str:
    """One of `KINDS`."""
    return plot.id.split("-")[0]


def figure_files(plots: Sequence[tuple[str, Plot]]) -> dict[str, str]:
    """Name to content: ``NAME.html`` and ``NAME.json`` of every figure, ``index.html``, and the library."""
    page, script = environment().get_template("figure.html.j2"), page_script()
    shared = {"policy": local_policy([script]), "script": inline(script), "library": LIBRARY}
    files = {}
    for where, plot in plots:
        files[f"{plot.id}.html"] = page.render(where=where, plots=[plot], title=plot.heading, **shared)
        files[f"{plot.id}.json"] = with_template(plot)
    index = environment().get_template("figures.html.j2")
    files["index.html"] = index.render(plots=plots, policy=local_policy([]))
    return {**files, LIBRARY: get_plotlyjs()}


def with_template(plot: Plot) -> str:
    """The figure as ``plotly.io.from_json`` reads it, in the colours of a light page."""
    content = json.loads(str(plot.json))
    content["layout"]["template"] = template()
    return json.dumps(content, allow_nan=False)


def chosen(plots: Iterable[tuple[str, Plot]], kinds: Sequence[str]) -> list[tuple[str, Plot]]:
    """The figures of these kinds, all where none is named."""
    return [each for each in plots if not kinds or kind_of(each[1]) in kinds]
