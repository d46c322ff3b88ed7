"""The HTML page of a report: one file that needs no network, whatever names the data brought along.

Three things keep hostile names text: Jinja escapes every value, figures stand in JSON blocks without ``<``,
``>`` and ``&``, and a Content-Security-Policy lets only the scripts run whose SHA-256 it lists.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import plotly.graph_objects as go
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from trackers import wording
from trackers.class_figures import class_distribution, confusion_matrix
from trackers.compare import baseline_of
from trackers.figure_style import loss_styles, template
from trackers.figures import leaderboard_dots, metric_against_gamma, training_curves
from trackers.per_class import ClassTable, class_tables
from trackers.report_data import CellReport, ReportData, cell_reports, count_states, unfinished
from trackers.report_tables import CLASS_NOTE
from trackers.views import classes_view, confusion_view, curves_view, dots_view, gamma_view

MOST_ROWS = 50
"""Arms in the leaderboard of a cell; all of them stand in the CSV."""

MOST_CLASSES = 100
"""Classes in the table of a cell; all of them stand in ``tables/per-class.csv``."""

MOST_UNFINISHED = 200
MOST_OPEN = 6
"""With more cells than this the sections of the cells start closed."""

_TEMPLATES = Path(__file__).parent / "templates"
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


def render(data: ReportData) -> str:
    """The whole page as HTML."""
    cells = cell_reports(data)
    styles = loss_styles(trial.loss for trial in data.trials)
    script = (_TEMPLATES / "report.js").read_text(encoding="utf-8")
    library = get_plotlyjs()
    left_over = unfinished(data.trials)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(words=wording, styles=styles, class_note=CLASS_NOTE, most_classes=MOST_CLASSES)
    return environment.get_template("report.html.j2").render(
        data=data,
        cells=cells,
        sections=[_section(number, cell, data) for number, cell in enumerate(cells, start=1)],
        all_open=len(cells) <= MOST_OPEN,
        states=count_states(data.trials),
        unfinished=left_over[:MOST_UNFINISHED],
        unfinished_total=len(left_over),
        policy=policy([library, script]),
        css=Markup((_TEMPLATES / "report.css").read_text(encoding="utf-8")),
        library=_inline(library),
        script=_inline(script),
        templates=embedded({"light": template(), "dark": template(dark=True)}),
    )


def policy(scripts: Iterable[str]) -> str:
    """A Content-Security-Policy under which these inline scripts run and nothing is loaded from anywhere.

    Plotly sets styles on its elements and draws its PNG export through ``data:`` and ``blob:`` images.
    """
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def embedded(value: Any) -> Markup:
    """JSON that cannot end the script element around it: ``<`` becomes ``\\u003c``, so do ``>`` and ``&``."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _inline(script: str) -> Markup:
    if "</script" in script.lower() or "<!--" in script or "\r" in script:
        raise ValueError("an inline script must hold no `</script`, no `<!--` and no carriage return")
    return Markup(script)


def _section(number: int, cell: CellReport, data: ReportData) -> Section:
    metric = wording.metric_name(data.objective)
    ranked = [arm for arm in cell.arms if arm.n]
    rows = [arm for position, arm in enumerate(ranked) if position < MOST_ROWS or arm is baseline_of(ranked)]
    return Section(
        id=f"cell-{number}",
        cell=cell,
        rows=tuple(rows),
        left_out=len(ranked) - len(rows),
        plots=tuple(_arm_plots(number, cell, data, metric)) if ranked else (),
        confusions=tuple(_confusion_plots(number, cell, data)),
        classes=_classes_plot(number, cell),
        by_class=class_tables(cell, "test" if data.objective.split == "test" else "val"),
    )


def _arm_plots(number: int, cell: CellReport, data: ReportData, metric: str) -> Iterable[Plot]:
    styles = loss_styles(trial.loss for trial in data.trials)
    where = f"{metric}, {wording.split_name(data.objective)}"
    leader = wording.headline(cell)
    dots = dots_view(cell.arms)
    caption = "Large marks are means over the seeds, small dots the seeds, lines their range. "
    yield _plot(
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
        yield _plot(
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
        yield _plot(
            f"curves-{number}", "Training curves", training_curves(curves, styles, _panel(curves.metric)),
            caption + _left_out(curves.left_out, "the leading arms"),
            f"Training loss and {curves.metric} by epoch of {wording.counted(len(curves.curves), 'arm')}",
        )  # fmt: skip


def _panel(name: str) -> str:
    split, _, metric = name.partition("/")
    return f"{metric.replace('_', ' ')}, {'validation' if split == 'val' else split}"


_BASELINE = "The dashed line is cross-entropy, the band behind it the range over its seeds."


def _confusion_plots(number: int, cell: CellReport, data: ReportData) -> Iterable[Plot]:
    if cell.winner is None:
        return
    first = "test" if data.objective.split == "test" else "val"
    baseline = baseline_of(cell.arms)
    pair = [cell.winner.summary] + ([baseline] if baseline and baseline.rank != 1 else [])
    for split in (first, "val", "test"):
        views = [confusion_view(cell.trials, arm, split, cell.info.train_counts) for arm in pair]
        if views[0] is not None:
            break
    for place, view in enumerate(views):
        if view is None:
            continue
        name = {"val": "validation split", "test": "test set"}[view.split]
        yield _plot(
            f"confusion-{number}-{place}", view.arm, confusion_matrix(view),
            f"{view.arm}, {name}, {wording.counted(view.n, 'seed')}{' summed' if view.n > 1 else ''}.",
            f"Confusion matrix of {view.arm} on the {name}, {len(view.labels)} classes",
        )  # fmt: skip


def _classes_plot(number: int, cell: CellReport) -> Plot | None:
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
    return _plot(f"classes-{number}", "Images by class", class_distribution(view), caption, alt)


def _left_out(number: int, shown: str) -> str:
    return f" Drawn are {shown} and cross-entropy; {number:,} more arms are in results.csv." if number else ""


def _plot(name: str, heading: str, figure: go.Figure, caption: str, alt: str) -> Plot:
    content = figure.to_plotly_json()
    content["layout"].pop("template", None)  # the page holds the light and the dark one once for all figures
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
