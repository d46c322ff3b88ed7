"""The figures of a report, as JSON for a page, with the words around them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from markupsafe import Markup

from trackers import wording
from trackers.accuracy import accuracy_curves, accuracy_view
from trackers.class_figures import class_distribution, confusion_matrix
from trackers.figure_style import loss_styles
from trackers.figures import leaderboard_dots, metric_against_gamma, training_curves
from trackers.markup import embedded
from trackers.report_data import CellReport, ReportData, leading_arms
from trackers.views import classes_view, confusion_view, curves_view, dots_view, gamma_view

_DIGITS = 5


@dataclass(frozen=True)
class Plot:
    """A figure in the page: JSON that may stand inside HTML, and the words around it."""

    id: str
    heading: str
    caption: str
    alt: str
    height: int
    json: Markup


def arm_plots(number: int, cell: CellReport, data: ReportData) -> Iterable[Plot]:
    """The arms of a cell: beside each other, against gamma, by epoch; none without a ranked arm."""
    if not any(arm.n for arm in cell.arms):
        return
    metric = wording.metric_name(data.objective)
    styles = loss_styles(trial.loss for trial in data.trials)
    where = f"{metric}, {wording.split_name(data.objective)}"
    leader = wording.headline(cell)
    dots = dots_view(cell.arms)
    caption = "Large marks are means over the seeds, small dots the seeds, lines their range. "
    yield figure_in_page(
        f"dots-{number}", "Arms beside each other", leaderboard_dots(dots, styles, where),
        caption + _BASELINE + _left_out(dots.left_out, "the leading arms"),
        f"Dot plot of {where} by arm; highest {leader}",
    )  # fmt: skip
    gammas = gamma_view(cell.arms)
    if gammas.series:
        caption = (
            "Marks are means over the seeds, vertical lines their range; filled marks, joined by a line, are "
            "points of the specification, open ones were asked for by the study. " + _BASELINE
        )
        yield figure_in_page(
            f"gamma-{number}", "Score against gamma", metric_against_gamma(gammas, styles, where),
            caption + _left_out(gammas.left_out, "a selection, even over gamma"),
            f"{where} against gamma, a line for each loss; highest {leader}",
        )  # fmt: skip
    curves = curves_view(cell.trials, cell.arms, data.objective.metric)
    if curves.curves:
        caption = (
            "Means over the seeds by epoch. The arm with the highest score and cross-entropy are drawn "
            "boldly, with the range over their seeds as a band. Training losses of different loss functions "
            "cannot be compared."
        )
        yield figure_in_page(
            f"curves-{number}", "Training curves", training_curves(curves, styles, _panel(curves.metric)),
            caption + _left_out(curves.left_out, "the leading arms"),
            f"Training loss and {curves.metric} by epoch of {wording.counted(len(curves.curves), 'arm')}",
        )  # fmt: skip

    accuracy = accuracy_view(cell.trials, cell.arms, "test" if data.objective.split == "test" else "val")
    if accuracy is not None:
        other = "test set" if accuracy.split == "test" else "validation split"
        yield figure_in_page(
            f"accuracy-{number}", "Accuracy by epoch", accuracy_curves(accuracy, styles),
            "Means over the seeds, of the leading arm of every loss: dotted on the training images as they "
            f"were augmented, whole on the {other}.",
            f"Training and {accuracy.split} accuracy by epoch of {len(accuracy.curves)} arms",
        )  # fmt: skip


def _panel(name: str) -> str:
    split, _, metric = name.partition("/")
    return f"{metric.replace('_', ' ')}, {'validation' if split == 'val' else split}"


_BASELINE = "The dashed line is cross-entropy, the band behind it the range over its seeds."


def confusion_plots(number: int, cell: CellReport, first: str) -> Iterable[Plot]:
    """Confusion matrices of `leading_arms`, on the split ``first`` if they have it."""
    arms = leading_arms(cell)
    if not arms:
        return
    for split in (first, "val", "test"):
        views = [confusion_view(cell.trials, arm, split, cell.info.train_counts) for arm in arms]
        if views[0] is not None:
            break
    for place, view in enumerate(views):
        if view is None:
            continue
        name = {"val": "validation split", "test": "test set"}[view.split]
        yield figure_in_page(
            f"confusion-{number}-{place}", f"Confusion: {view.arm}", confusion_matrix(view),
            f"{view.arm}, {name}, {wording.counted(view.n, 'seed')}{' summed' if view.n > 1 else ''}.",
            f"Confusion matrix of {view.arm} on the {name}, {len(view.labels)} classes",
        )  # fmt: skip


def classes_plot(number: int, cell: CellReport) -> Plot | None:
    """Images by class, ``None`` where they are not known."""
    info = cell.info
    if not info.classes or len(info.train_counts) != len(info.classes):
        return None
    view = classes_view(
        info.classes, info.train_counts, info.validation_counts, info.test_counts, info.train_only
    )
    caption = f"From {max(view.train):,} training images down to {min(view.train):,}."
    if info.train_only:
        caption += " Hatched classes are too small to be validated and only train."
    alt = f"Images by class: {len(view.labels)} classes. {caption}"
    return figure_in_page(f"classes-{number}", "Images by class", class_distribution(view), caption, alt)


def _left_out(number: int, shown: str) -> str:
    return f" Drawn are {shown} and cross-entropy; {number:,} more arms are in results.csv." if number else ""


def figure_in_page(name: str, heading: str, figure: go.Figure, caption: str, alt: str) -> Plot:
    """A figure as JSON for a page, which holds the templates of light and dark once for all."""
    content = figure.to_plotly_json()
    content["layout"].pop("template", None)
    content = {"data": content["data"], "layout": content["layout"]}
    return Plot(name, heading, caption, alt, int(figure.layout.height), embedded(_rounded(content)))


def _rounded(value: Any) -> Any:
    """Five significant digits are more than a screen resolves, and make the page a third of its size."""
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if value == value and abs(value) != float("inf") else None
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_rounded(each) for each in value]
    return value
