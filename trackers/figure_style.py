"""What all figures share: colours, the two templates, escaped labels, cross-entropy as a reference.

Every loss has one colour, one marker and one line style in all figures. The colours follow Okabe and Ito and
keep a contrast above 3 on the light and on the dark background, so that one figure serves both; what differs
between the two lies in `template`. All names are escaped, because Plotly reads a little HTML in every text.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from trackers.compare import BASELINE
from trackers.escaping import one_line
from trackers.views import Reference

_LIGHT = ("#1d2127", "#5b626d", "#e3e6ea", "#ffffff")
_BLUES = ["#fbfcfd", "#d9e8f6", "#86b6de", "#2f80c3", "#0b3a66"]
LONGEST_TICK = 18
_NARROW_TICK = 25

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


@dataclass(frozen=True)
class Style:
    """How a loss is drawn everywhere."""

    color: str
    symbol: str
    dash: str


_KNOWN = {
    BASELINE: Style("#7d848f", "diamond", "dash"),
    "focal": Style("#2f80c3", "square", "solid"),
    "cefl": Style("#d55e00", "circle", "solid"),
    "cefl2": Style("#009e73", "triangle-up", "solid"),
}
_SPARE = (
    Style("#c2679f", "cross", "solid"),
    Style("#8f7a00", "pentagon", "solid"),
    Style("#8a6fd1", "hexagon", "solid"),
    Style("#3f97a8", "star-square", "solid"),
    Style("#c2679f", "x", "dot"),
    Style("#8f7a00", "triangle-down", "dot"),
    Style("#8a6fd1", "star", "dot"),
    Style("#3f97a8", "hourglass", "dot"),
)


SPARE_COLORS = tuple(dict.fromkeys(style.color for style in _SPARE))
"""For what is no loss."""


def loss_styles(losses: Iterable[str]) -> dict[str, Style]:
    """A style for each loss: fixed for the known ones, for others the spare ones by name."""
    losses = sorted(set(losses))
    unknown = [loss for loss in losses if loss not in _KNOWN]
    spare = {loss: _SPARE[index % len(_SPARE)] for index, loss in enumerate(unknown)}
    return {loss: _KNOWN.get(loss) or spare[loss] for loss in losses}


def template(dark: bool = False) -> dict[str, Any]:
    """Everything that differs between a light and a dark page, as a Plotly template."""
    ink, soft, grid, page = ("#e6e8eb", "#a4abb5", "#31363e", "#15181d") if dark else _LIGHT
    axis = {
        "gridcolor": grid,
        "linecolor": grid,
        "zerolinecolor": grid,
        "tickcolor": grid,
        "tickfont": {"color": soft, "size": 12},
        "title": {"font": {"color": soft, "size": 12.5}, "standoff": 10},
        "automargin": True,
        "zeroline": False,
    }
    low_to_high = ["#15181d", "#123a5c", "#1f6cab", "#7cb8e8", "#e4f1fc"] if dark else _BLUES
    scale = [[0.0, low_to_high[0]], [0.15, low_to_high[1]], [0.45, low_to_high[2]], [0.75, low_to_high[3]]]
    scale.append([1.0, low_to_high[4]])
    return {
        "layout": {
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"family": FONT, "size": 13, "color": ink},
            "xaxis": axis,
            "yaxis": axis,
            "colorscale": {"sequential": scale},
            "hoverlabel": {"bgcolor": page, "bordercolor": grid, "font": {"family": FONT, "color": ink}},
            "legend": {"font": {"color": ink, "size": 12}, "bgcolor": "rgba(0,0,0,0)"},
            "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": soft, "activecolor": ink},
            "annotationdefaults": {"font": {"color": soft, "size": 12}},
        }
    }


def safe(text: str) -> str:
    """Text that Plotly shows as it is, in one line: it understands tags and entities, so both are escaped."""
    return html.escape(one_line(text), quote=False)


def short(text: str, most: int = LONGEST_TICK) -> str:
    """At most ``most`` characters; the whole name stays in the hover text and in the tables."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def name_rows(figure: go.Figure, names: Sequence[str]) -> None:
    """Names of rows 0, 1, ... beside the vertical axis; `report.js` takes shorter ones on a narrow page."""
    labels = {most: [safe(short(name, most)) for name in names] for most in (34, _NARROW_TICK)}
    figure.update_yaxes(tickmode="array", tickvals=list(range(len(names))), ticktext=labels[34])
    narrow = {"yaxis.ticktext": labels[_NARROW_TICK], "yaxis.tickfont": {"size": 10}, "xaxis.nticks": 4}
    figure.update_layout(meta={"narrow": narrow})


def blank(height: int) -> go.Figure:
    return laid_out(go.Figure(), height)


def laid_out(figure: go.Figure, height: int) -> go.Figure:
    """The template goes in as one object: a dictionary would be merged into that of Plotly, which is slow."""
    return figure.update_layout(
        template=go.layout.Template(template()),
        height=height,
        margin={"l": 10, "r": 16, "t": 34, "b": 10},
        hovermode="closest",
        legend={"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom", "xanchor": "left"},
    )


def draw_baseline(figure: go.Figure, baseline: Reference | None, axis: str) -> None:
    """Cross-entropy as a dashed line along the whole axis, the range over its seeds as a band behind it."""
    if baseline is None:
        return
    style = _KNOWN[BASELINE]
    across = "x" if axis == "y" else "y"
    if baseline.n > 1:
        figure.add_shape(
            type="rect",
            layer="below",
            line={"width": 0},
            fillcolor=style.color,
            opacity=0.16,
            **{f"{across}ref": f"{across} domain", f"{across}0": 0, f"{across}1": 1},
            **{f"{axis}0": baseline.low, f"{axis}1": baseline.high},
        )
    figure.add_shape(
        type="line",
        layer="below",
        line={"color": style.color, "width": 2, "dash": "dash"},
        **{f"{across}ref": f"{across} domain", f"{across}0": 0, f"{across}1": 1},
        **{f"{axis}0": baseline.mean, f"{axis}1": baseline.mean},
    )
    place = {"xref": "x domain", "x": 1, "y": baseline.mean, "xanchor": "right", "yanchor": "bottom"}
    if axis == "x":
        place = {"yref": "y domain", "y": 1, "x": baseline.mean, "xanchor": "left", "yanchor": "top"}
    figure.add_annotation(text=f"cross-entropy {baseline.mean:.1%}", showarrow=False, **place)


def tick_angle(labels: Sequence[str]) -> int:
    """Degrees at which these names fit below an axis of half a page."""
    if max((len(label) for label in labels), default=0) * len(labels) <= 60:
        return 0
    return -45 if len(labels) <= 10 else -90
