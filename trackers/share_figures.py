"""Draws shares as horizontal bars; nothing is computed here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from trackers.figure_style import SPARE_COLORS, blank, safe, short
from trackers.shares import BETWEEN_LOSSES, BETWEEN_SETTINGS, WITHIN, Importance, VariationView

ROW_HEAD, ROW = 96, 46
INTERPLAY = "interplay"
_GREY = "#7d848f"
_PARTS = {BETWEEN_LOSSES: "#8a6fd1", BETWEEN_SETTINGS: "#3f97a8", WITHIN: _GREY}


def variation_bars(view: VariationView) -> go.Figure:
    """A bar of all losses, and one for each loss: between losses, between parameters, between seeds."""
    labels = [_label(row.of, row.n, f"{row.settings} settings") for row in view.rows]
    parts = {name: [row.parts.get(name) for row in view.rows] for name in _PARTS}
    return _stacked(labels, parts, _PARTS, "share of the variation")


def importance_bars(found: Sequence[Importance]) -> go.Figure:
    """A bar for each loss, by parameter; what the parameters explain together only is the rest."""
    names = list(dict.fromkeys(name for each in found for name in each.shares))
    colors = {name: SPARE_COLORS[number % len(SPARE_COLORS)] for number, name in enumerate(names)}
    parts: dict[str, list[float | None]] = {name: [each.shares.get(name) for each in found] for name in names}
    parts[INTERPLAY] = [max(0.0, 1 - sum(each.shares.values())) for each in found]
    labels = [_label(each.loss, each.n, f"predicts {each.predicted or 0:.0%}") for each in found]
    return _stacked(labels, parts, {**colors, INTERPLAY: _GREY}, "share of what the model explains")


def _label(name: str, n: int, more: str) -> str:
    return f"{safe(short(name))}<br>n = {n}, {more}"


def _stacked(
    labels: Sequence[str], parts: Mapping[str, Sequence[float | None]], colors: Mapping[str, str], axis: str
) -> go.Figure:
    figure = blank(ROW_HEAD + ROW * len(labels))
    for name, values in parts.items():
        if any(value is not None for value in values):
            figure.add_bar(
                y=list(range(len(labels))),
                x=list(values),
                orientation="h",
                name=safe(name),
                marker={"color": colors[name]},
                text=["" if value is None or value < 0.06 else f"{value:.0%}" for value in values],
                textposition="inside",
                insidetextanchor="middle",
                textangle=0,
                textfont={"color": "#15181d", "size": 12},
                hovertemplate=f"{safe(name)}: %{{x:.1%}}<extra></extra>",
            )
    figure.update_layout(barmode="stack", bargap=0.42, legend={"traceorder": "normal"})
    figure.update_xaxes(title_text=axis, tickformat=".0%", range=[0, 1], nticks=6)
    figure.update_yaxes(
        tickmode="array", tickvals=list(range(len(labels))), ticktext=list(labels), showgrid=False,
        range=[len(labels) - 0.5, -0.5], ticklabelstandoff=6,
    )  # fmt: skip
    return figure
