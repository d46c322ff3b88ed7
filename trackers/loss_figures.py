"""Curves over p, the probability of the true class; whoever knows the losses gives the values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import plotly.graph_objects as go

from trackers.figure_style import Style, blank, safe

_BY_NUMBER = ("#7d848f", "#c2679f", "#2f80c3", "#d55e00", "#009e73", "#8f7a00")
HIGHEST = 5.0
"""Nats that are shown: every loss grows without limit towards p = 0."""


@dataclass(frozen=True)
class CurveOverP:
    """One curve; ``loss`` gives its colour, ``None`` that its place among the others does."""

    label: str
    loss: str | None
    values: tuple[float, ...]


@dataclass(frozen=True)
class CurvesOverP:
    """Curves in one figure.

    Args:
        name: Of the figure's files, such as ``losses-by-loss``.
        heading: Above it.
        caption: One or two sentences.
        unit: Title of the vertical axis; ``nats`` is cut at `HIGHEST`.
        p: Of every value, ascending.
        curves: With as many values as ``p``.
    """

    name: str
    heading: str
    caption: str
    unit: str
    p: tuple[float, ...]
    curves: tuple[CurveOverP, ...]


def curves_over_p(view: CurvesOverP, styles: Mapping[str, Style]) -> go.Figure:
    """Lines over p from 0 to 1."""
    figure = blank(380)
    for number, curve in enumerate(view.curves):
        style = styles.get(curve.loss) if curve.loss is not None else None
        color = style.color if style else _BY_NUMBER[number % len(_BY_NUMBER)]
        figure.add_scatter(
            x=list(view.p),
            y=list(curve.values),
            name=safe(curve.label),
            mode="lines",
            line={"color": color, "width": 2.25, "dash": style.dash if style else "solid"},
            hovertemplate="%{fullData.name}<br>p = %{x:.2f}: %{y:.3f}<extra></extra>",
        )
    figure.update_layout(legend={"y": -0.2, "yanchor": "top"}, margin={"t": 34})
    figure.update_xaxes(title_text="p, probability of the true class", range=[0, 1])
    top = HIGHEST if "nats" in view.unit else 1.0
    figure.update_yaxes(title_text=safe(view.unit), range=[0, 1.02 * top])
    return figure
