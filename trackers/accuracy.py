"""Accuracy by epoch, on the training images and on those that judge: is it learnt or remembered?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from trackers.compare import ArmSummary, arm_key, baseline_of
from trackers.figure_style import Style, laid_out, safe
from trackers.table import TrialResult
from trackers.views import Line, epochs_of, mean_line, trials_by_arm

MOST_ARMS = 6


@dataclass(frozen=True)
class AccuracyCurve:
    """One arm over ``n`` seeds; ``judged`` holds ``None`` in epochs that were not evaluated."""

    arm: str
    loss: str
    n: int
    epochs: tuple[int, ...]
    train: Line
    judged: Line


@dataclass(frozen=True)
class AccuracyView:
    """The best arm of each loss, at most `MOST_ARMS`, and cross-entropy; ``split`` is ``val`` or ``test``."""

    split: str
    curves: tuple[AccuracyCurve, ...]


def accuracy_view(
    trials: Iterable[TrialResult], arms: Sequence[ArmSummary], first: str
) -> AccuracyView | None:
    """Training and other accuracy of one cell, ``None`` where training accuracy is not known.

    Args:
        trials: Of the cell.
        arms: Its leaderboard.
        first: Split to prefer, ``"val"`` or ``"test"``; the other one where it has no accuracy.
    """
    by_arm = trials_by_arm(trials)
    best: dict[str, ArmSummary] = {}
    for arm in arms:
        if arm.n:
            best.setdefault(arm.loss, arm)
    chosen = list(best.values())[:MOST_ARMS]
    baseline = baseline_of(arms)
    if baseline is not None and baseline not in chosen:
        chosen.append(baseline)
    histories = {arm.arm: epochs_of(by_arm[arm_key(arm)]) for arm in chosen}
    for split in (first, "val", "test"):
        curves = []
        for arm in chosen:
            rows, epochs = histories[arm.arm]
            train, judged = (mean_line(rows, epochs, f"{name}/accuracy") for name in ("train", split))
            if any(value is not None for value in train.mean) and any(
                value is not None for value in judged.mean
            ):
                curves.append(AccuracyCurve(arm.arm, arm.loss, len(rows), epochs, train, judged))
        if curves:
            return AccuracyView(split, tuple(curves))
    return None


def accuracy_curves(view: AccuracyView, styles: Mapping[str, Style]) -> go.Figure:
    """Dotted lines for the training images, whole ones for the others, or a mark where it is one epoch."""
    figure = laid_out(go.Figure(), 440)
    other = "validation" if view.split == "val" else "test"
    for rank, curve in enumerate(view.curves):
        style = styles[curve.loss]
        for name, line, dash in (("training", curve.train, "dot"), (other, curve.judged, "solid")):
            alone = sum(value is not None for value in line.mean) == 1
            figure.add_scatter(
                x=list(curve.epochs),
                y=list(line.mean),
                name=safe(f"{curve.arm}, {name}"),
                mode="markers" if alone else "lines",
                legendgroup=str(rank),
                line={"color": style.color, "width": 1.5 if name == "training" else 2.25, "dash": dash},
                marker={"color": style.color, "size": 9, "symbol": style.symbol},
                hovertemplate="%{fullData.name}<br>epoch %{x}: %{y:.1%}<extra></extra>",
            )
    figure.update_xaxes(title_text="epoch", rangemode="tozero")
    figure.update_yaxes(title_text="accuracy", tickformat=".0%")
    figure.update_layout(legend={"y": -0.16, "yanchor": "top", "maxheight": 0.35})
    return figure
