"""The curves of the paper's losses, its figures 3 to 5: `cefl` has the formulas, `trackers` draws them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cefl.curves import cross_entropy_share, loss_curve
from trackers.loss_figures import CurveOverP, CurvesOverP

GAMMAS = (0.0, 0.5, 1.0, 2.0, 5.0)
NAMES = {"cross_entropy": "Cross-entropy", "focal": "Focal loss", "cefl": "CEFL", "cefl2": "CEFL2"}
P = np.linspace(0.005, 1.0, 200)
Lines = Sequence[tuple[str, str | None, NDArray[np.float64]]]


def loss_curves() -> tuple[CurvesOverP, ...]:
    """All losses at gamma 2, each loss by gamma, and what weighs how much inside CEFL and CEFL2."""
    by_loss: Lines = [(f"{NAMES[loss]}", loss, loss_curve(loss, P)) for loss in NAMES]
    figures = [
        _figure(
            "losses-by-loss", "Losses over p",
            "At gamma 2: CEFL and CEFL2 follow cross-entropy where p is small, and focal loss elsewhere.",
            "loss (nats)", by_loss,
        )
    ]  # fmt: skip
    for loss in ("focal", "cefl", "cefl2"):
        lines: Lines = [(f"gamma {gamma:g}", None, loss_curve(loss, P, gamma)) for gamma in GAMMAS]
        figures.append(
            _figure(
                f"losses-{loss}-by-gamma", f"{NAMES[loss]} by gamma", "Gamma 0 is cross-entropy.",
                "loss (nats)", lines,
            )
        )  # fmt: skip
    for loss in ("cefl", "cefl2"):
        share = cross_entropy_share(loss, P)
        lines = [("of cross-entropy", "cross_entropy", share), ("of focal loss", "focal", 1 - share)]
        figures.append(
            _figure(
                f"losses-{loss}-weights", f"Weights inside {NAMES[loss]}",
                "The two sum to 1, whatever gamma is.", "weight", lines,
            )
        )  # fmt: skip
    return tuple(figures)


def _figure(name: str, heading: str, caption: str, unit: str, lines: Lines) -> CurvesOverP:
    curves = tuple(CurveOverP(label, loss, tuple(map(float, values))) for label, loss, values in lines)
    return CurvesOverP(name, heading, caption, unit, tuple(map(float, P)), curves)
