"""Plotly figures of the arms of a cell: nothing is computed here, only drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from trackers.compare import ArmSummary
from trackers.figure_style import Style, blank, draw_baseline, laid_out, name_rows, safe
from trackers.views import Curve, CurvesView, DotsView, GammaSeries, GammaView, others_label


def metric_against_gamma(view: GammaView, styles: Mapping[str, Style], metric: str) -> go.Figure:
    """Mean score by gamma; filled marks, joined by a line, are points of the spec, open ones are asks."""
    figure = blank(430)
    for number, series in enumerate(view.series):
        style, name = styles[series.loss], _series_name(series)
        grid = [(x, arm) for x, arm in zip(series.gammas, series.arms, strict=True) if not arm.asked]
        figure.add_scatter(
            x=[x for x, _ in grid],
            y=[arm.mean for _, arm in grid],
            mode="lines",
            opacity=0.45,
            legendgroup=name,
            showlegend=False,
            hoverinfo="skip",
            line={"color": style.color, "width": 1.5, "dash": _DASHES[number % len(_DASHES)]},
        )
        ranges = [(x, arm) for x, arm in zip(series.gammas, series.arms, strict=True) if arm.n > 1]
        figure.add_scatter(
            x=[place for x, _ in ranges for place in (x, x, None)],
            y=[place for _, arm in ranges for place in (arm.minimum, arm.maximum, None)],
            mode="lines",
            opacity=0.55,
            legendgroup=name,
            showlegend=False,
            hoverinfo="skip",
            line={"color": style.color, "width": 1.5},
        )
        for asked in (False, True):
            _points(figure, series, style, name, asked)
    if view.best is not None:
        figure.add_scatter(
            x=[view.best.params["gamma"]],
            y=[view.best.mean],
            mode="markers",
            name="highest",
            hoverinfo="skip",
            marker={"symbol": "circle-open", "size": 19, "color": _HIGHLIGHT, "line": {"width": 2}},
        )
    draw_baseline(figure, view.baseline, "y")
    figure.update_xaxes(title_text="gamma")
    figure.update_yaxes(title_text=safe(metric), tickformat=".1~%")
    return figure


_HIGHLIGHT = "#c8379d"
_DASHES = ("solid", "dot", "dashdot")


def training_curves(view: CurvesView, styles: Mapping[str, Style], metric: str) -> go.Figure:
    """Training loss above, the metric below, by epoch; the best arm and cross-entropy stand out."""
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.07)
    laid_out(figure, 680)
    below = {"y": -0.12, "yanchor": "top", "maxheight": 0.2}
    figure.update_layout(legend=below, margin={"t": 34})
    order = {"other": 0, "baseline": 1, "best": 2}
    for rank, curve in sorted(enumerate(view.curves), key=lambda each: order[each[1].role]):
        for row, line in ((1, curve.train_loss), (2, curve.metric)):
            if curve.role != "other" and curve.n > 1:
                _band(figure, curve, line.low, line.high, styles[curve.loss].color, row)
            figure.add_scatter(
                x=list(curve.epochs),
                y=list(line.mean),
                name=safe(_curve_name(curve)),
                mode="lines",
                legendgroup=str(rank),
                legendrank=rank + 1,
                showlegend=row == 1,
                row=row,
                col=1,
                line=_curve_line(curve, styles[curve.loss]),
                opacity=0.38 if curve.role == "other" else 1.0,
                hovertemplate="%{fullData.name}<br>epoch %{x}: "
                + ("%{y:.3f}" if row == 1 else "%{y:.1%}")
                + "<extra></extra>",
            )
    figure.update_yaxes(title_text="training loss (nats)", rangemode="tozero", row=1, col=1)
    figure.update_yaxes(title_text=safe(metric), tickformat=".1~%", row=2, col=1)
    figure.update_xaxes(title_text="epoch", row=2, col=1)
    figure.update_layout(hovermode="closest")
    return figure


def leaderboard_dots(view: DotsView, styles: Mapping[str, Style], metric: str) -> go.Figure:
    """Mean score of the leading arms, best on top, with the range over seeds and every seed as a dot."""
    figure = blank(DOT_HEAD + DOT_ROW * len(view.arms))
    rows = list(enumerate(view.arms))
    for loss in dict.fromkeys(arm.loss for arm in view.arms):
        style, mine = styles[loss], [(row, arm) for row, arm in rows if arm.loss == loss]
        figure.add_scatter(
            x=[place for _, arm in mine for place in (arm.minimum, arm.maximum, None)],
            y=[place for row, _ in mine for place in (row, row, None)],
            mode="lines",
            legendgroup=loss,
            showlegend=False,
            opacity=0.5,
            hoverinfo="skip",
            line={"color": style.color, "width": 2},
        )
        figure.add_scatter(
            x=[score for _, arm in mine for score in arm.scores],
            y=[row for row, arm in mine for _ in arm.scores],
            mode="markers",
            marker={"color": style.color, "size": 4},
            opacity=0.6,
            legendgroup=loss,
            showlegend=False,
            hoverinfo="skip",
        )
        figure.add_scatter(
            x=[arm.mean for _, arm in mine],
            y=[row for row, _ in mine],
            mode="markers",
            name=safe(loss),
            legendgroup=loss,
            customdata=[_hover(arm) for _, arm in mine],
            marker={"color": style.color, "size": 10, "symbol": style.symbol},
            hovertemplate="%{customdata[0]}<br>mean %{x:.1%}, %{customdata[1]}<extra></extra>",
        )
    draw_baseline(figure, view.baseline, "x")
    name_rows(figure, [arm.arm for arm in view.arms])
    figure.update_yaxes(range=[len(rows) - 0.4, -1.2], showgrid=False)
    figure.update_xaxes(title_text=safe(metric), tickformat=".1~%")
    return figure


DOT_HEAD, DOT_ROW = 120, 25


def _series_name(series: GammaSeries) -> str:
    """Of asks each with an alpha of its own the name of the loss: a legend of all would hide the figure."""
    if all(arm.asked for arm in series.arms):
        return safe(series.loss)
    return safe(others_label(series.loss, series.others))


def _points(figure: go.Figure, series: GammaSeries, style: Style, name: str, asked: bool) -> None:
    mine = [(x, arm) for x, arm in zip(series.gammas, series.arms, strict=True) if arm.asked == asked]
    shown = f"{name}, asked by the study" if asked else name
    if mine:
        figure.add_scatter(
            x=[x for x, _ in mine],
            y=[arm.mean for _, arm in mine],
            mode="markers",
            legendgroup=name,
            name=shown,
            showlegend=all(trace.name != shown for trace in figure.data),
            customdata=[_hover(arm) for _, arm in mine],
            marker={
                "symbol": style.symbol + ("-open" if asked else ""),
                "color": style.color,
                "size": 10,
                "line": {"width": 2 if asked else 0, "color": style.color},
            },
            hovertemplate="%{customdata[0]}<br>mean %{y:.1%}, %{customdata[1]}<extra></extra>",
        )


def _hover(arm: ArmSummary) -> list[str]:
    return [safe(arm.arm), f"n = {arm.n} (seeds {', '.join(map(str, arm.seeds))})"]


def _band(
    figure: go.Figure,
    curve: Curve,
    low: Sequence[float | None],
    high: Sequence[float | None],
    color: str,
    row: int,
) -> None:
    x = list(curve.epochs)
    red, green, blue = (int(color[index : index + 2], 16) for index in (1, 3, 5))
    shared = {
        "mode": "lines",
        "line": {"width": 0},
        "showlegend": False,
        "hoverinfo": "skip",
        "row": row,
        "col": 1,
    }
    figure.add_scatter(x=x, y=list(low), **shared)
    figure.add_scatter(
        x=x, y=list(high), fill="tonexty", fillcolor=f"rgba({red},{green},{blue},0.15)", **shared
    )


def _curve_name(curve: Curve) -> str:
    return f"{curve.arm} (highest)" if curve.role == "best" else curve.arm


def _curve_line(curve: Curve, style: Style) -> dict[str, Any]:
    width = {"best": 3.0, "baseline": 2.5, "other": 1.25}[curve.role]
    return {"color": style.color, "width": width, "dash": style.dash}
