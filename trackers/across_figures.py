"""Figures across the cells of a sweep; nothing is computed here, only drawn."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go

from trackers.across import ArmLine, BarsView, LinesView
from trackers.figure_style import Style, blank, name_rows, safe

BAR_HEAD, BAR_ROW = 120, 25


def lines_along(view: LinesView, styles: Mapping[str, Style], metric: str) -> go.Figure:
    """Mean by imbalance (logarithmic) or depth; the leading arm of every loss is bold, with its range."""
    figure = blank(460)
    for rank, line in reversed(list(enumerate(view.lines))):
        style, x = styles[line.loss], [_place(view, point.x) for point in line.points]
        if line.leads:
            _ranges(figure, line, x, style)
        figure.add_scatter(
            x=x,
            y=[point.mean for point in line.points],
            customdata=[[f"{point.x:g}", point.n] for point in line.points],
            name=safe(line.arm),
            mode="lines+markers",
            legendgroup=str(rank),
            legendrank=rank + 1,
            opacity=1.0 if line.leads else 0.4,
            line={"color": style.color, "width": 2.5 if line.leads else 1.25, "dash": style.dash},
            marker={"symbol": style.symbol, "size": 9 if line.leads else 6, "color": style.color},
            hovertemplate=(
                f"%{{fullData.name}}<br>{view.along} %{{customdata[0]}}: %{{y:.1%}}, n = %{{customdata[1]}}"
                "<extra></extra>"
            ),
        )
    figure.update_xaxes(
        title_text=view.along,
        type="log" if view.along == "imbalance" else "category",
        tickmode="array",
        tickvals=[_place(view, tick) for tick in view.ticks],
        ticktext=[f"{tick:g}" for tick in view.ticks],
    )
    if view.along == "depth":
        figure.update_xaxes(categoryorder="array", categoryarray=[_place(view, tick) for tick in view.ticks])
    figure.update_yaxes(title_text=safe(metric), tickformat=".1~%")
    figure.update_layout(legend={"y": -0.16, "yanchor": "top", "maxheight": 0.3}, hovermode="closest")
    return figure


def average_by_arm(view: BarsView, styles: Mapping[str, Style], metric: str) -> go.Figure:
    """A bar for each arm, best on top, with the range over its seeds."""
    figure = blank(BAR_HEAD + BAR_ROW * len(view.bars))
    rows = list(enumerate(view.bars))
    for loss in dict.fromkeys(bar.loss for bar in view.bars):
        mine = [(row, bar) for row, bar in rows if bar.loss == loss]
        figure.add_bar(
            y=[row for row, _ in mine],
            x=[bar.mean for _, bar in mine],
            orientation="h",
            name=safe(loss),
            marker={"color": styles[loss].color, "opacity": 0.5},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [bar.high - bar.mean for _, bar in mine],
                "arrayminus": [bar.mean - bar.low for _, bar in mine],
                "color": "#808791",
                "thickness": 2,
                "width": 3,
            },
            customdata=[[safe(bar.arm), bar.n, bar.low, bar.high] for _, bar in mine],
            hovertemplate=(
                "%{customdata[0]}<br>%{x:.2%}, n = %{customdata[1]}"
                " (%{customdata[2]:.2%} to %{customdata[3]:.2%})<extra></extra>"
            ),
        )
    name_rows(figure, [bar.arm for bar in view.bars])
    figure.update_yaxes(range=[len(rows) - 0.4, -0.6], showgrid=False)
    figure.update_xaxes(title_text=safe(metric), tickformat=".1~%", range=_zoomed(view))
    figure.update_layout(bargap=0.3, barmode="overlay")
    return figure


def _zoomed(view: BarsView) -> list[float]:
    """From just below the least value, as the paper draws it: bars from 0 would all look alike."""
    low, high = min(bar.low for bar in view.bars), max(bar.high for bar in view.bars)
    room = max(high - low, 0.01)
    return [max(0.0, low - 0.25 * room), min(1.0, high + 0.08 * room)]


def _place(view: LinesView, x: float) -> float | str:
    return x if view.along == "imbalance" else f"{x:g}"


def _ranges(figure: go.Figure, line: ArmLine, x: list[float | str], style: Style) -> None:
    figure.add_scatter(
        x=[place for each in x for place in (each, each, None)],
        y=[place for point in line.points for place in (point.low, point.high, None)],
        mode="lines",
        showlegend=False,
        hoverinfo="skip",
        opacity=0.5,
        line={"color": style.color, "width": 1.5},
    )
