"""The figures that are of a whole sweep: across its cells, and the losses themselves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from trackers import wording
from trackers.across import (
    SPLITS,
    BarsView,
    LinesView,
    along_depth,
    along_imbalance,
    average_bars,
)
from trackers.across_figures import average_by_arm, lines_along
from trackers.figure_style import loss_styles
from trackers.loss_figures import CurvesOverP, curves_over_p
from trackers.plots import Plot, figure_in_page
from trackers.report_data import CellReport, ReportData

DEPTH_METRICS = ("accuracy", "macro_f1")
"""What is shown by depth beside the objective, as in the paper."""


def across_plots(cells: Sequence[CellReport], data: ReportData) -> Iterable[Plot]:
    """Averages over the imbalances, and scores by imbalance and by depth, where a sweep has several."""
    styles = loss_styles(trial.loss for trial in data.trials)
    split = SPLITS[data.objective.split]
    where = f"{wording.metric_name(data.objective)}, {wording.split_name(data.objective)}"
    for number, bars in enumerate(average_bars(cells), start=1):
        yield figure_in_page(
            f"average-{number}",
            f"Average over imbalances: {bars.where}",
            average_by_arm(bars, styles, where),
            _bars_caption(bars),
            f"Mean {where} by arm over the imbalances of {bars.where}",
        )
    objective = f"{split}/{data.objective.metric}"
    for number, view in enumerate(along_imbalance(cells, objective), start=1):
        yield _lines_plot(f"imbalance-{number}", "By imbalance", view, data)
    names = dict.fromkeys([objective, *(f"{split}/{name}" for name in DEPTH_METRICS)])
    views = [view for name in names for view in along_depth(cells, name) if view.lines]
    for number, view in enumerate(views, start=1):
        yield _lines_plot(f"depth-{number}", "By depth", view, data)


def loss_plots(curves: Iterable[CurvesOverP]) -> Iterable[Plot]:
    """Curves over p."""
    return map(_loss_plot, curves)


@lru_cache(maxsize=32)  # They are the same in every report.
def _loss_plot(view: CurvesOverP) -> Plot:
    styles = loss_styles(curve.loss for curve in view.curves if curve.loss is not None)
    lines = ", ".join(curve.label for curve in view.curves)
    return figure_in_page(
        view.name, view.heading, curves_over_p(view, styles), view.caption,
        f"{view.heading}: {view.unit} over p for {lines}",
    )  # fmt: skip


def _lines_plot(name: str, heading: str, view: LinesView, data: ReportData) -> Plot:
    styles = loss_styles(trial.loss for trial in data.trials)
    split, _, metric = view.metric.partition("/")
    shown = metric.replace("_", " ").replace("f1", "F1")
    where = f"{shown}, {'test set' if split == 'test' else 'validation split'}"
    caption = (
        "Means over the seeds after the last epoch. The leading arm of every loss is bold, with the range "
        "over its seeds."
    )
    if view.left_out:
        caption += f" {view.left_out:,} more arms are in results.csv."
    return figure_in_page(
        name, f"{heading}: {shown}, {view.where}", lines_along(view, styles, where), caption,
        f"{where} by {view.along} for {wording.counted(len(view.lines), 'arm')}, {view.where}",
    )  # fmt: skip


def _bars_caption(bars: BarsView) -> str:
    ratios = ", ".join(f"{ratio:g}" for ratio in bars.imbalances)
    caption = (
        f"Mean over the imbalances {ratios} of each seed, then over the seeds that have all; whiskers are "
        "the range over these seeds. The axis does not begin at 0."
    )
    if bars.partial:
        caption += f" Not drawn: {wording.counted(bars.partial, 'arm')} without a seed in every imbalance."
    return caption + (f" {bars.left_out:,} more arms are in results.csv." if bars.left_out else "")
