"""Draws trials as lines across axes, the first axis on top; nothing is computed here but places in pixels.

The axes lie one below the other, each as wide as the page, so that a telephone shows them all with their
labels. They are ordinary lines: Plotly's own parallel coordinates write code while they run, which the
policy of a page forbids, and take three of the sixteen WebGL contexts that a browser gives to a whole page.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from trackers.figure_style import blank, safe, short
from trackers.parallel import SHADES, Axis, ParallelView, TrialLine

_LOW, _HIGH = (0x8B, 0x95, 0xA5), (0xC8, 0x37, 0x9D)
_RULE = "#808791"
_LABEL, _BETWEEN, _MARGIN, _DOT = 17, 54, 12, 5
_NARROW, _LETTER = 265, 6.4
"""Width of the axes on a telephone, and of a letter of a tick, in px."""

MOST_LETTERS = 18


def parallel_coordinates(view: ParallelView) -> go.Figure:
    """A line for each trial, drawn from the lowest score to the highest, darker and wider the higher."""
    bands = _bands(view.axes)
    bottom = bands[-1][1]
    figure = blank(bottom + 2 * _MARGIN)
    for shade in range(SHADES):
        lines = [line for line in view.lines if line.shade == shade]
        if lines:
            _lines(figure, lines, bands, shade)
    _scores(figure, view.lines, bands[-1][0])
    for axis, (top, below) in zip(view.axes, bands, strict=True):
        last = below == bottom
        for edge in ([top] if top else []) + ([] if last else [below]):
            figure.add_shape(
                type="line", x0=-0.03, x1=1.03, y0=edge, y1=edge, layer="below", opacity=0.55,
                line={"color": _RULE, "width": 1},
            )  # fmt: skip
        _labels(figure, axis, top + _DOT if last else top)
    figure.update_xaxes(visible=False, range=[-0.07, 1.07], fixedrange=True)
    figure.update_yaxes(
        tickmode="array",
        tickvals=[(top + below) / 2 for top, below in bands],
        ticktext=[safe(short(axis.name, 11)) for axis in view.axes],
        range=[bottom, 0],
        showgrid=False,
        fixedrange=True,
    )
    figure.update_layout(showlegend=False, margin={"l": 6, "r": 6, "t": _MARGIN, "b": _MARGIN})
    return figure


def _bands(axes: Sequence[Axis]) -> list[tuple[int, int]]:
    """Upper and lower edge of every axis in px from the top; labels stand between, no line crosses them."""
    bands, top = [], 0
    for axis in axes:
        below = top + _LABEL * _levels(axis) + 3
        bands.append((top, below))
        top = below + _BETWEEN
    return bands


def _levels(axis: Axis) -> int:
    """Rows that the labels of an axis need beside each other on a telephone."""
    if len(axis.ticks) < 2:
        return 1
    places = [place for place, _ in axis.ticks]
    apart = min(second - first for first, second in zip(places, places[1:], strict=False)) * _NARROW
    widest = max(len(short(text, MOST_LETTERS)) for _, text in axis.ticks) * _LETTER
    return max(1, min(4, math.ceil(widest / apart)))


def _labels(figure: go.Figure, axis: Axis, top: int) -> None:
    levels = _levels(axis)
    figure.add_scatter(
        x=[place for place, _ in axis.ticks],
        y=[top + 2 + _LABEL * (number % levels + 0.5) for number in range(len(axis.ticks))],
        text=[safe(short(text, MOST_LETTERS)) for _, text in axis.ticks],
        mode="text",
        textfont={"size": 11.5},
        hoverinfo="skip",
        cliponaxis=False,
    )


def _lines(
    figure: go.Figure, lines: Sequence[TrialLine], bands: Sequence[tuple[int, int]], shade: int
) -> None:
    """From the lower edge of each axis to the upper edge of the next."""
    steps = range(len(bands) - 1)
    figure.add_scatter(
        x=[x for line in lines for step in steps for x in (line.places[step], line.places[step + 1], None)],
        y=[y for _ in lines for step in steps for y in (bands[step][1], bands[step + 1][0], None)],
        mode="lines",
        hoverinfo="skip",
        opacity=0.3 + 0.65 * shade / (SHADES - 1),
        line={"color": shade_color(shade), "width": 1 + 1.2 * shade / (SHADES - 1)},
    )


def _scores(figure: go.Figure, lines: Sequence[TrialLine], y: int) -> None:
    stopped = {"complete": "", "pruned": ", stopped early"}
    figure.add_scatter(
        x=[line.places[-1] for line in lines],
        y=[y] * len(lines),
        customdata=[
            [f"{safe(line.arm)}, seed {line.seed}{stopped[line.state]}", f"{line.score:.2%}"]
            for line in lines
        ],
        mode="markers",
        cliponaxis=False,
        marker={"color": [shade_color(line.shade) for line in lines], "size": 8},
        hovertemplate="%{customdata[0]}<br>%{customdata[1]}<extra></extra>",
    )


def shade_color(shade: int) -> str:
    """From grey to magenta; all keep a contrast of 3 on a light and on a dark page."""
    share = shade / (SHADES - 1)
    return "#" + "".join(
        f"{round(low + share * (high - low)):02x}" for low, high in zip(_LOW, _HIGH, strict=True)
    )
