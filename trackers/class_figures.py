"""Figures by class: the confusion matrix and the number of images; nothing is computed here, only drawn."""

from __future__ import annotations

import plotly.graph_objects as go

from trackers.figure_style import blank, safe, short, tick_angle
from trackers.views import ClassesView, ConfusionView

TEXT_CLASSES = 15
"""Up to this many classes a confusion matrix prints its counts."""


def confusion_matrix(view: ConfusionView) -> go.Figure:
    """Row shares as colour, counts as text (few classes) or on hover, from 2 to hundreds of classes."""
    figure = blank(520)
    labels = [safe(label) for label in view.labels]
    few = len(labels) <= TEXT_CLASSES
    figure.add_heatmap(
        x=labels,
        y=labels,
        z=view.shares,
        text=view.counts,
        zmin=0,
        zmax=1,
        autocolorscale=True,
        xgap=1 if few else 0,
        ygap=1 if few else 0,
        hoverongaps=False,
        texttemplate="%{text}" if few else None,
        textfont={"size": 12 if len(labels) <= 10 else 9},
        hovertemplate="true: %{y}<br>predicted: %{x}<br>%{text} images, %{z:.1%} of the class<extra></extra>",
        colorbar={
            "orientation": "h",
            "thickness": 8,
            "len": 0.4,
            "x": 1,
            "xanchor": "right",
            "y": 1.01,
            "yanchor": "bottom",
            "outlinewidth": 0,
            "tickformat": ".0%",
            "dtick": 0.5,
            "tickfont": {"size": 11},
        },
    )
    ticks = {
        "tickvals": [safe(label) for label in view.ticks],
        "ticktext": [safe(short(t)) for t in view.ticks],
    }
    square = {"type": "category", "showgrid": False, "constrain": "domain", "tickmode": "array", **ticks}
    figure.update_xaxes(title_text="predicted class", tickangle=tick_angle(view.ticks), **square)
    figure.update_yaxes(
        title_text="true class", autorange="reversed", scaleanchor="x", constraintoward="top", **square
    )
    figure.update_layout(margin={"l": 10, "r": 10, "t": 40, "b": 10})
    return figure


def number_heights(view: ClassesView) -> list[float]:
    """Where the number of a bar stands: on the bar, or above the marks that would be in its way."""
    room, heights = NUMBER_ROOM * max(view.train, default=0), []
    for place, count in enumerate(view.train):
        height = count
        for mark in sorted(split[place] for split in (view.validation, view.test) if split):
            if height - room / 2 < mark < height + room:
                height = max(height, mark)
        heights.append(float(height))
    return heights


def class_distribution(view: ClassesView) -> go.Figure:
    """Training images by class as bars, other splits as markers; hatched bars are classes that only train."""
    figure = blank(360)
    labels = [safe(label) for label in view.labels]
    few = len(labels) <= MOST_BAR_NUMBERS
    figure.add_bar(
        x=labels,
        y=view.train,
        name="training",
        marker={
            "color": "#2f80c3",
            "pattern": {"shape": ["/" if alone else "" for alone in view.train_only]},
        },
        hovertemplate="%{x}<br>training: %{y} images<extra></extra>",
    )
    for name, counts, symbol, color in (
        ("validation", view.validation, "diamond", "#d55e00"),
        ("test", view.test, "line-ew-open", "#7d848f"),
    ):
        if counts:
            figure.add_scatter(
                x=labels,
                y=counts,
                name=name,
                mode="markers",
                marker={
                    "symbol": symbol,
                    "size": 8 if few else 5,
                    "color": color,
                    "line": {"width": 2 if "line" in symbol else 0, "color": color},
                },
                hovertemplate=f"%{{x}}<br>{name}: %{{y}} images<extra></extra>",
            )
    if few:
        figure.add_scatter(
            x=labels,
            y=number_heights(view),
            text=[f"{count}" for count in view.train],
            mode="markers+text",
            marker={"opacity": 0, "size": 8},
            textposition="top center",
            textfont={"size": 11},
            cliponaxis=False,
            hoverinfo="skip",
            showlegend=False,
        )
    ticks = {
        "tickvals": [safe(label) for label in view.ticks],
        "ticktext": [safe(short(t)) for t in view.ticks],
    }
    figure.update_xaxes(type="category", showgrid=False, tickmode="array", **ticks)
    figure.update_xaxes(tickangle=tick_angle(view.ticks))
    figure.update_yaxes(title_text="images", rangemode="tozero")
    figure.update_layout(bargap=0.25, showlegend=True)
    return figure


NUMBER_ROOM = 0.08  # Of the height of the axis: a number and half a mark.
MOST_BAR_NUMBERS = 30
