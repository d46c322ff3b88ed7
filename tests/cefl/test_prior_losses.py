"""The losses that know the class sizes: hand calculations, limit cases, and F.cross_entropy beside them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cefl.catalog import LOSSES
from cefl.losses import build_loss, cross_entropy_loss, focal_loss
from cefl.prior_losses import (
    balanced_softmax_loss,
    class_balanced_loss,
    class_balanced_weights,
    ldam_loss,
    logit_adjustment_loss,
)

COUNTS = [10, 40, 90, 160]
NAMES = (
    "balanced_softmax", "logit_adjustment", "cb_cross_entropy", "cb_focal", "cross_entropy_drw", "ldam",
    "ldam_drw",
)  # fmt: skip


def batch(seed: int = 0, dtype: torch.dtype = torch.float64, spread: float = 2.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = spread * torch.randn(6, 4, generator=generator, dtype=torch.float64)
    return logits.to(dtype), torch.tensor([0, 1, 2, 3, 0, 2])


def module(name: str, **params: float) -> Any:
    return build_loss(name, params, train_counts=COUNTS, epochs=10)


def test_two_equal_logits_by_hand() -> None:
    """Class 0 has a quarter of the images: its balanced softmax is 1/4 where the logits are equal."""
    logits, targets = torch.zeros(2, 2, dtype=torch.float64), torch.tensor([0, 1])
    found = balanced_softmax_loss(logits, targets, [25, 75], reduction="none")
    torch.testing.assert_close(found, torch.tensor([math.log(4), math.log(4 / 3)], dtype=torch.float64))
    # At tau 2 the shares are squared: 1/16 against 9/16.
    found = logit_adjustment_loss(logits, targets, [25, 75], tau=2.0, reduction="none")
    torch.testing.assert_close(found, torch.tensor([math.log(10), math.log(10 / 9)], dtype=torch.float64))


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("shape", [(6, 4), (4,), (3, 4, 2)])
def test_tau_zero_is_cross_entropy_and_tau_one_is_balanced_softmax(
    shape: tuple[int, ...], reduction: str
) -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(shape, generator=generator, dtype=torch.float64)
    targets = torch.randint(4, (shape[0], *shape[2:]) if len(shape) > 1 else (), generator=generator)
    options: dict[str, Any] = {"reduction": reduction}
    torch.testing.assert_close(
        logit_adjustment_loss(logits, targets, COUNTS, tau=0.0, **options),
        F.cross_entropy(logits, targets, **options),
    )
    prior = (
        torch.tensor(COUNTS, dtype=torch.float64)
        .log()
        .reshape((4,) if len(shape) == 1 else (1, 4) + (1,) * (len(shape) - 2))
    )
    expected = F.cross_entropy(logits + prior, targets, **options)
    torch.testing.assert_close(balanced_softmax_loss(logits, targets, COUNTS, **options), expected)
    torch.testing.assert_close(
        logit_adjustment_loss(logits, targets, torch.tensor(COUNTS), **options), expected
    )


def test_equal_class_sizes_leave_cross_entropy() -> None:
    logits, targets = batch()
    expected = F.cross_entropy(logits, targets)
    for loss in (balanced_softmax_loss, class_balanced_loss):
        torch.testing.assert_close(loss(logits, targets, [7, 7, 7, 7]), expected)
    margins = F.one_hot(targets, 4) * 0.5
    torch.testing.assert_close(
        ldam_loss(logits, targets, [7] * 4, scale=3.0), F.cross_entropy(3 * (logits - margins), targets)
    )


def test_weights_by_effective_number_by_hand() -> None:
    """At beta 1/2, one image counts 1 and two count 1.5, so the weights stand as 1 to 2/3, of sum 2."""
    torch.testing.assert_close(
        class_balanced_weights([1, 2], 0.5), torch.tensor([1.2, 0.8], dtype=torch.float64)
    )
    torch.testing.assert_close(class_balanced_weights(COUNTS, 0.0), torch.ones(4, dtype=torch.float64))
    inverse = 1 / torch.tensor(COUNTS, dtype=torch.float64)
    near_one = class_balanced_weights(COUNTS, 1 - 1e-13)
    torch.testing.assert_close(near_one, 4 * inverse / inverse.sum(), rtol=1e-10, atol=0)
    assert float(near_one.sum()) == pytest.approx(4, abs=1e-12)


def test_cao_weights_of_cifar10_are_those_of_their_formula() -> None:
    counts = [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    effective = [1.0 - 0.9999**count for count in counts]
    weights = [(1.0 - 0.9999) / each for each in effective]
    expected = torch.tensor([each / sum(weights) * 10 for each in weights], dtype=torch.float64)
    torch.testing.assert_close(class_balanced_weights(counts, 0.9999), expected, rtol=1e-9, atol=0)


def test_a_class_balanced_mean_divides_by_the_number_of_targets() -> None:
    logits, targets = batch()
    holed = torch.where(torch.arange(6) < 4, targets, -100)
    weight = class_balanced_weights(COUNTS, 0.99)
    expected = (weight[targets] * F.cross_entropy(logits, targets, reduction="none"))[:4].sum() / 4
    found = class_balanced_loss(logits, holed, COUNTS, beta=0.99)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(module("cb_cross_entropy", beta=0.99)(logits, holed), found)


def test_class_balanced_focal_keeps_the_weight_outside_the_probability() -> None:
    logits, targets = batch()
    weight = class_balanced_weights(COUNTS, 0.9999)[targets]
    plain = focal_loss(logits, targets, gamma=2.0, reduction="none")
    torch.testing.assert_close(
        module("cb_focal", gamma=2.0)(logits, targets), (weight * plain).mean(), rtol=1e-6, atol=0
    )
    torch.testing.assert_close(
        module("cb_focal", gamma=0.0)(logits, targets), module("cb_cross_entropy")(logits, targets)
    )
    torch.testing.assert_close(
        module("cb_focal", gamma=1.0, beta=0.0)(logits, targets), focal_loss(logits, targets, gamma=1.0)
    )


def test_ldam_by_hand() -> None:
    """16 times fewer images make the margin twice as large: 0.5 against 0.25; the cosines are equal."""
    logits, targets = torch.zeros(2, 2, dtype=torch.float64), torch.tensor([0, 1])
    found = ldam_loss(logits, targets, [10, 160], scale=4.0, reduction="none")
    expected = torch.tensor([math.log1p(math.exp(2.0)), math.log1p(math.exp(1.0))], dtype=torch.float64)
    torch.testing.assert_close(found, expected)


def test_ldam_is_the_cross_entropy_of_lowered_and_scaled_cosines() -> None:
    logits, targets = batch(spread=0.4)
    margins = 0.3 * (10 / torch.tensor(COUNTS, dtype=torch.float64)) ** 0.25
    lowered = 30 * (logits - F.one_hot(targets, 4) * margins)
    weight = torch.tensor([4.0, 3, 2, 1], dtype=torch.float64)
    torch.testing.assert_close(
        ldam_loss(logits, targets, COUNTS, max_margin=0.3, weight=weight),
        F.cross_entropy(lowered, targets, weight=weight),
        rtol=1e-6,
        atol=0,
    )
    torch.testing.assert_close(
        ldam_loss(logits, targets, COUNTS, max_margin=1e-9, scale=1.0), cross_entropy_loss(logits, targets)
    )


@pytest.mark.parametrize("name", ["cross_entropy_drw", "ldam_drw"])
def test_deferred_weights_come_in_at_their_epoch(name: str) -> None:
    logits, targets = batch(spread=0.4)
    deferred = build_loss(name, {}, train_counts=COUNTS, epochs=200)
    plain = cross_entropy_loss if name == "cross_entropy_drw" else module("ldam")
    weight = class_balanced_weights(COUNTS, 0.9999)
    for epoch, weighted in ((0, False), (159, False), (160, True), (199, True), (159, False)):
        deferred.set_epoch(epoch)
        if not weighted:
            expected = plain(logits, targets)
        elif name == "cross_entropy_drw":
            expected = F.cross_entropy(logits, targets, weight=weight)
        else:
            expected = ldam_loss(logits, targets, COUNTS, weight=weight)
        torch.testing.assert_close(deferred(logits, targets), expected, rtol=1e-6, atol=1e-9)


def test_no_deferral_weighs_from_the_first_epoch_and_beta_zero_never() -> None:
    logits, targets = batch()
    assert module("cross_entropy_drw", defer=0.0)(logits, targets) != cross_entropy_loss(logits, targets)
    torch.testing.assert_close(
        module("cross_entropy_drw", defer=0.0, beta=0.0)(logits, targets), cross_entropy_loss(logits, targets)
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_derivative_agrees_with_finite_differences(name: str) -> None:
    logits, targets = batch(spread=0.3)
    loss = module(name)
    assert torch.autograd.gradcheck(lambda values: loss(values, targets), logits.requires_grad_())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("name", NAMES)
def test_value_and_gradient_are_finite_in_every_float_type(name: str, dtype: torch.dtype) -> None:
    loss = module(name)
    logits, targets = batch(dtype=dtype, spread=1000.0)
    leaf = logits.requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(leaf, targets)
    value.backward()
    assert value.dtype == torch.float32
    assert torch.isfinite(value)
    assert leaf.grad is not None
    assert torch.isfinite(leaf.grad).all()
    torch.testing.assert_close(value, loss(logits.float(), targets))


@pytest.mark.parametrize("name", NAMES)
def test_float32_agrees_with_float64(name: str) -> None:
    logits, targets = batch(dtype=torch.float32, spread=0.5)
    loss = module(name)
    exact = loss(logits.double(), targets)
    assert abs(float(loss(logits, targets)) - float(exact)) <= 2e-6 * float(exact)


@pytest.mark.parametrize("name", NAMES)
def test_class_sizes_follow_the_module_and_its_state(name: str) -> None:
    loss = module(name)
    assert loss.train_counts.tolist() == COUNTS
    assert loss.to("meta").train_counts.device.type == "meta"
    other = build_loss(name, {}, train_counts=[1, 1, 1, 1], epochs=10)
    other.load_state_dict(module(name).state_dict())
    logits, targets = batch(spread=0.5)
    torch.testing.assert_close(other(logits, targets), module(name)(logits, targets))


@pytest.mark.parametrize("name", NAMES)
def test_what_a_loss_needs_is_asked_for(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} needs train_counts"):
        build_loss(name, {}, epochs=3)
    with pytest.raises(ValueError, match="train_counts >= 1.*not for \\[1\\]"):
        build_loss(name, {}, train_counts=[3, 0], epochs=3)
    with pytest.raises(ValueError, match="leave `weight` out"):
        build_loss(name, {}, torch.ones(4), train_counts=COUNTS, epochs=3)
    logits, targets = batch()
    with pytest.raises(ValueError, match=r"train_counts must have shape \(4,\), but got \(2,\)"):
        build_loss(name, {}, train_counts=[3, 1], epochs=3)(logits, targets)


@pytest.mark.parametrize(
    ("name", "params", "rule"),
    [
        ("logit_adjustment", {"tau": -0.1}, "`0 <= tau < inf` must hold, but got tau=-0.1"),
        ("cb_focal", {"beta": 1.0}, "`0 <= beta < 1` must hold, but got beta=1.0"),
        ("cb_focal", {"gamma": math.nan}, "`0 <= gamma < inf` must hold"),
        ("cross_entropy_drw", {"defer": 1.0}, "`0 <= defer < 1` must hold"),
        ("ldam", {"max_margin": 0.0}, "`0 < max_margin < inf` must hold"),
        ("ldam_drw", {"scale": math.inf}, "`0 < scale < inf` must hold"),
    ],
)
def test_parameters_out_of_range_are_refused(name: str, params: dict[str, float], rule: str) -> None:
    with pytest.raises(ValueError, match=rule.replace("`", ".")):
        module(name, **params)


def test_every_loss_of_the_catalog_can_be_built() -> None:
    for name, params in LOSSES.items():
        loss = build_loss(name, params, train_counts=COUNTS, epochs=10)
        assert isinstance(loss, nn.Module)
        assert torch.isfinite(loss(*batch(spread=0.5)))
