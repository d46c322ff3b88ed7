"""The HTML page of a data set: sample images, images by class, and what was noticed; one file, no network."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from trackers.class_figures import class_distribution
from trackers.markup import environment, inline, page_script, policy
from trackers.plots import Plot, figure_in_page
from trackers.views import classes_view


@dataclass(frozen=True)
class Distribution:
    """Images of each class in the splits of a data set, or in those of a trial; a split may be empty."""

    heading: str
    train: Sequence[int]
    validation: Sequence[int]
    test: Sequence[int]
    train_only: Sequence[str] = ()


@dataclass(frozen=True)
class DataPage:
    """What there is to show of a data set.

    Attributes:
        facts: Names and values, such as source and digest.
        notes: Remarks for the reader, one sentence each.
        sheet: A PNG of sample images.
        sheet_caption: Which images these are.
    """

    title: str
    facts: Mapping[str, str]
    notes: Sequence[str]
    classes: Sequence[str]
    distributions: Sequence[Distribution]
    sheet: bytes
    sheet_caption: str


def render_data(page: DataPage) -> str:
    """The whole page as HTML; names are text, whatever they are."""
    script, library = page_script(), get_plotlyjs()
    return (
        environment()
        .get_template("data.html.j2")
        .render(
            page=page,
            plots=[
                _plot(number, each, page.classes) for number, each in enumerate(page.distributions, start=1)
            ],
            sheet=Markup(base64.b64encode(page.sheet).decode("ascii")),
            policy=policy([library, script]),
            library=inline(library),
            script=inline(script),
        )
    )


def _plot(number: int, shown: Distribution, classes: Sequence[str]) -> Plot:
    view = classes_view(classes, shown.train, shown.validation, shown.test, shown.train_only)
    smallest = max(1, min(view.train))
    caption = (
        f"From {max(view.train):,} training images down to {min(view.train):,}: "
        f"a ratio of {max(view.train) / smallest:,.1f}."
    )
    if shown.train_only:
        caption += " Hatched classes are too small to be validated and only train."
    alt = f"{shown.heading}: {len(view.labels)} classes. {caption}"
    return figure_in_page(f"classes-{number}", shown.heading, class_distribution(view), caption, alt)
