"""The curves over p are those that training minimises."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cefl.curves import LOSSES, cross_entropy_share, loss_curve
from cefl.losses import build_loss

P = np.linspace(0.001, 0.999, 97)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
def test_a_curve_is_the_loss_of_a_model_that_gives_the_true_class_p(loss: str, gamma: float) -> None:
    params = {} if loss == "cross_entropy" else {"gamma": gamma}
    logits = torch.tensor(np.stack([np.log(P), np.log1p(-P)], axis=1))
    module = build_loss(loss, params)
    each = [float(module(row[None], torch.zeros(1, dtype=torch.int64))) for row in logits]
    assert loss_curve(loss, P, gamma) == pytest.approx(each, rel=1e-9)


def test_alpha_scales_focal_loss_alone() -> None:
    assert loss_curve("focal", P, 2.0, 0.25) == pytest.approx(0.25 * loss_curve("focal", P, 2.0))
    assert loss_curve("cefl", P, 2.0, 0.25) == pytest.approx(loss_curve("cefl", P, 2.0))


def test_the_share_of_cross_entropy_falls_from_1_to_0_and_is_half_in_the_middle() -> None:
    for loss in ("cefl", "cefl2"):
        share = cross_entropy_share(loss, [0.0, 0.25, 0.5, 0.75, 1.0])
        assert share[[0, 2, 4]] == pytest.approx([1.0, 0.5, 0.0])
        assert (np.diff(share) < 0).all()
    assert cross_entropy_share("cefl2", 0.25) > cross_entropy_share("cefl", 0.25)
    assert cross_entropy_share("cefl2", 0.75) < cross_entropy_share("cefl", 0.75)


@pytest.mark.parametrize(
    ("loss", "p", "message"),
    [
        ("hinge", 0.5, "loss must be one of cross_entropy"),
        ("cefl", 1.5, "0 <= p <= 1"),
        ("cefl", 0.0, "at 0"),
    ],
)
def test_what_has_no_value_is_refused(loss: str, p: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        loss_curve(loss, p)
