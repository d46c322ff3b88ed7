"""Figures of a confirmation: differences, means against gamma, recall by class size; only drawn here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from trackers.confirmation import Confirmation, ConfirmedArm
from trackers.confirmed_words import gap, p_value
from trackers.estimates import Recall
from trackers.figure_style import Style, blank, draw_baseline, safe, short, tick_angle
from trackers.table import arm_label
from trackers.views import Reference, ticks_of, unique_labels

ROW, HEAD = 58, 118
POINTS = 100


def differences(found: Confirmation, styles: Mapping[str, Style]) -> go.Figure:
    """A forest of paired differences: mark and thick line are mean and interval of the seeds, the thin line
    adds the test images, small marks are the seeds."""
    rows = [(arm, arm.difference) for arm in found.arms if arm.difference is not None]
    figure = blank(HEAD + ROW * len(rows))
    for row, (arm, difference) in enumerate(rows):
        style, estimate = styles[arm.loss], difference.estimate
        for half, width in ((estimate.half, 1.5), (estimate.h_seeds, 5)):
            if half is not None:
                figure.add_scatter(
                    x=[POINTS * (estimate.mean - half), POINTS * (estimate.mean + half)], y=[row, row],
                    mode="lines", line={"color": style.color, "width": width}, opacity=0.6, hoverinfo="skip",
                )  # fmt: skip
        figure.add_scatter(
            x=[POINTS * value for value in difference.values], y=[row + 0.24] * len(difference.values),
            mode="markers", marker={"color": style.color, "size": 4}, opacity=0.6, hoverinfo="skip",
        )  # fmt: skip
        figure.add_scatter(
            x=[POINTS * estimate.mean], y=[row], mode="markers",
            marker={"color": style.color, "size": 11, "symbol": style.symbol},
            customdata=[[safe(arm.arm), gap(difference), p_value(arm.p), estimate.n]],
            hovertemplate="%{customdata[0]}<br>%{customdata[1]} points, p %{customdata[2]},"
            " n = %{customdata[3]}<extra></extra>",
        )  # fmt: skip
    figure.add_vline(x=0, line={"color": "#7d848f", "width": 1.5, "dash": "dash"}, layer="below")
    figure.update_yaxes(
        tickmode="array", tickvals=list(range(len(rows))), range=[len(rows) - 0.4, -0.6], showgrid=False,
        ticktext=[safe(short(arm.arm, 34)) for arm, _ in rows],
    )  # fmt: skip
    figure.update_xaxes(title_text="difference, points", zeroline=False)
    return figure.update_layout(showlegend=False)


def means_against_gamma(found: Confirmation, styles: Mapping[str, Style], metric: str) -> go.Figure | None:
    """Test means of the confirmed arms with their 95% intervals by gamma, ``None`` if no arm has a gamma."""
    groups: dict[str, list[ConfirmedArm]] = {}
    for arm in sorted(found.arms, key=lambda arm: arm.params.get("gamma", 0.0)):
        if "gamma" in arm.params:
            others = {name: value for name, value in arm.params.items() if name != "gamma"}
            groups.setdefault(arm_label(arm.loss, others), []).append(arm)
    if not groups:
        return None
    figure = blank(400)
    for name, arms in groups.items():
        style = styles[arms[0].loss]
        figure.add_scatter(
            x=[arm.params["gamma"] for arm in arms], y=[arm.test.mean for arm in arms], name=safe(name),
            mode="lines+markers", line={"color": style.color, "width": 1.2, "dash": "dot"},
            marker={"color": style.color, "size": 10, "symbol": style.symbol},
            error_y={"array": [arm.test.half or 0.0 for arm in arms], "width": 5, "thickness": 1.5},
            customdata=[[safe(arm.arm), arm.test.n] for arm in arms],
            hovertemplate="%{customdata[0]}<br>mean %{y:.1%}, n = %{customdata[1]}<extra></extra>",
        )  # fmt: skip
    base = found.baseline
    if base is not None:
        low, high = (base.test.mean if end is None else end for end in (base.test.low, base.test.high))
        draw_baseline(figure, Reference(base.test.mean, low, high, base.test.n), "y")
    figure.update_xaxes(title_text="gamma")
    figure.update_yaxes(title_text=safe(metric), tickformat=".1~%")
    return figure.update_layout(showlegend=True)


def recall_by_size(found: Confirmation, styles: Mapping[str, Style]) -> go.Figure | None:
    """Recall of many-, medium- and few-shot classes by arm, ``None`` where it is not known."""
    groups = list(dict.fromkeys(group.label for arm in found.arms for group in arm.by_size))
    if not groups:
        return None
    images = {group.label: group.images for arm in found.arms for group in arm.by_size}
    figure = blank(380)
    for place, arm in enumerate(found.arms):
        shift = 0.7 * ((place + 0.5) / len(found.arms) - 0.5)
        x = [groups.index(group.label) + shift for group in arm.by_size]
        _recalls(figure, x, arm.by_size, arm, styles[arm.loss], hollow=place > 0 and not arm.is_baseline)
    figure.update_xaxes(
        tickmode="array", tickvals=list(range(len(groups))), range=[-0.5, len(groups) - 0.5], showgrid=False,
        ticktext=[f"{safe(group)}<br>{images[group]:,} images" for group in groups], tickangle=0,
    )  # fmt: skip
    figure.update_yaxes(title_text="recall, test set", tickformat=".0%")
    return figure.update_layout(showlegend=True)


def recall_by_class(found: Confirmation, styles: Mapping[str, Style]) -> go.Figure | None:
    """Recall of every class, the largest first, of the chosen arm and of cross-entropy."""
    arms = [found.winner] + ([found.baseline] if found.baseline and not found.winner.is_baseline else [])
    if not found.winner.recalls:
        return None
    labels = unique_labels([each.label for each in found.winner.recalls])
    figure = blank(400)
    for place, arm in enumerate(arms):
        shift = 0.3 * (place - (len(arms) - 1) / 2)
        x = [position + shift for position in range(len(arm.recalls))]
        _recalls(figure, x, arm.recalls, arm, styles[arm.loss], hollow=False)
    shown = ticks_of(labels)
    names = [
        f"{short(label)} ({each.train:,})" for label, each in zip(labels, found.winner.recalls, strict=True)
    ]
    places = [position for position, label in enumerate(labels) if label in shown]
    texts = [names[position] for position in places]
    figure.update_xaxes(
        tickmode="array", tickvals=places, ticktext=[safe(text) for text in texts],
        tickangle=tick_angle(texts), range=[-0.6, len(labels) - 0.4], showgrid=False,
    )  # fmt: skip
    figure.update_yaxes(title_text="recall, test set", tickformat=".0%")
    return figure.update_layout(showlegend=True)


def _recalls(
    figure: go.Figure,
    x: Sequence[float],
    values: Sequence[Recall],
    arm: ConfirmedArm,
    style: Style,
    hollow: bool,
) -> None:
    known = [each.interval is not None for each in values]
    figure.add_scatter(
        x=list(x), y=[each.mean for each in values], name=safe(arm.arm), mode="markers",
        marker={"color": style.color, "size": 9, "symbol": style.symbol + ("-open" if hollow else "")},
        error_y={
            "type": "data", "symmetric": False, "width": 4, "thickness": 1.5, "visible": any(known),
            "array": [each.interval.high - each.mean if each.interval else 0.0 for each in values],
            "arrayminus": [each.mean - each.interval.low if each.interval else 0.0 for each in values],
        },
        customdata=[[safe(arm.arm), safe(each.label), each.images, each.train] for each in values],
        hovertemplate="%{customdata[0]}, %{customdata[1]}<br>recall %{y:.1%}, %{customdata[2]} test images"
        "<extra></extra>",
    )  # fmt: skip
