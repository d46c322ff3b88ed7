"""The losses where arithmetic ends: huge and masked logits, tiny values, 0-dim parameters, other types."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cefl.loss_base import true_margin
from cefl.losses import CEFLLoss, build_loss, cefl2_loss, cefl_loss, cross_entropy_loss, focal_loss

FOCUSING: dict[str, Callable[..., Tensor]] = {"focal": focal_loss, "cefl": cefl_loss, "cefl2": cefl2_loss}
ALL: dict[str, Callable[..., Tensor]] = {"cross_entropy": cross_entropy_loss, **FOCUSING}
GAMMAS = (0.0, 0.3, 0.5, 1.0, 2.0, 5.0)


def value_and_slope(loss: Callable[..., Tensor], logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    leaf = logits.clone().requires_grad_()
    value = loss(leaf, targets)
    (slope,) = torch.autograd.grad(value.sum(), leaf)
    return value.detach(), slope


@pytest.mark.parametrize("offset", [-400.0, -6.6, 37.3, 400.0, 9000.0])
@pytest.mark.parametrize("name", FOCUSING)
def test_a_common_offset_of_the_logits_costs_no_digits(name: str, offset: float) -> None:
    """Against float64 on the same float32 logits, of which those at -6.6 differ in sign.

    A margin made in float32 was seen to err by 5e-6 at -6.6, by 9e-5 at 400 and by 3e-3 at 9000.
    """
    generator = torch.Generator().manual_seed(1)
    logits = offset + torch.randn(4000, 6, generator=generator)
    logits[:, 2] += 18 * torch.rand(4000, generator=generator)
    targets = torch.full((4000,), 2)

    def loss(values: Tensor, classes: Tensor) -> Tensor:
        return FOCUSING[name](values, classes, gamma=5.0, reduction="none")

    for got, wanted in zip(
        value_and_slope(loss, logits, targets), value_and_slope(loss, logits.double(), targets), strict=True
    ):
        normal = wanted.abs() > torch.finfo(torch.float32).tiny
        assert normal.float().mean() > 0.9
        assert ((got.double() - wanted).abs() <= 1.5e-6 * wanted.abs())[normal].all()


@pytest.mark.parametrize("gamma", [2.0, 5.0])
def test_below_the_smallest_normal_number_float32_is_right_to_a_step(gamma: float) -> None:
    """At a margin of 40 the focal loss is near e^(-40 (gamma + 1)): one step of float32, or 0."""
    logits, target = torch.tensor([[40.0, 0.0]]), torch.tensor([0])
    true = focal_loss(logits.double(), target, gamma=gamma)
    assert 0 < true < torch.finfo(torch.float32).tiny
    found = focal_loss(logits, target, gamma=gamma)
    assert abs(found.double() - true) <= torch.finfo(torch.float32).smallest_normal * 2**-23
    mixed, exact = (cefl_loss(values, target, gamma=gamma).item() for values in (logits, logits.double()))
    assert mixed == pytest.approx(exact, rel=1e-6, abs=0), "near e^(-80), so float32 holds it"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("name", ALL)
def test_logits_up_to_ten_thousand_of_either_sign_give_finite_numbers(name: str, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = (10_000 * (2 * torch.rand(300, 7, generator=generator) - 1)).to(dtype)
    logits[:100] = logits[:100].sign() * 10_000
    logits[100:150] = 0
    targets = torch.randint(7, (300,), generator=generator)
    for gamma in GAMMAS if name in FOCUSING else (None,):
        module = build_loss(name, {} if gamma is None else {"gamma": gamma})
        value, slope = value_and_slope(module, logits, targets)
        assert torch.isfinite(value)
        assert torch.isfinite(slope).all()
        assert slope.dtype == dtype


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("row", [[1.0, -math.inf], [1.0, -math.inf, -math.inf], [1.0, -math.inf, 2.0]])
def test_classes_masked_by_minus_infinity_are_as_in_torch(row: list[float], name: str) -> None:
    logits, target = torch.tensor([row]), torch.tensor([0])
    value, slope = value_and_slope(ALL[name], logits, target)
    if name == "cross_entropy":
        expected = value_and_slope(F.cross_entropy, logits, target)
        torch.testing.assert_close((value, slope), expected)
    open_rows = torch.isfinite(logits)
    kept, kept_slope = value_and_slope(ALL[name], torch.tensor([[1.0, 2.0]]), target)
    if open_rows.sum() == 2:
        torch.testing.assert_close(value, kept)
        torch.testing.assert_close(slope[open_rows], kept_slope[0])
    else:
        assert value == 0
        assert not slope.any()


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("name", ALL)
def test_equal_logits_give_the_logarithm_of_c_or_a_share_of_it(name: str, classes: int) -> None:
    logits, targets = torch.full((3, classes), 5.0), torch.arange(3) % classes
    found = ALL[name](logits, targets, reduction="none")
    if name == "cross_entropy":
        torch.testing.assert_close(found, torch.full((3,), math.log(classes)))
    assert (found <= math.log(classes) * (1 + 1e-6)).all()
    assert (found > 0).all()
    if name != "cross_entropy":
        torch.testing.assert_close(ALL[name](logits, targets, gamma=0.0), torch.tensor(math.log(classes)))


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("name", FOCUSING)
def test_the_gradient_vanishes_as_p_goes_to_one(name: str, gamma: float) -> None:
    margins = torch.tensor([5.0, 10.0, 20.0, 40.0, 80.0, 500.0])
    logits = torch.stack([margins, torch.zeros(6)], dim=1)
    _, slope = value_and_slope(
        lambda values, classes: FOCUSING[name](values, classes, gamma=gamma, reduction="sum"),
        logits,
        torch.zeros(6, dtype=torch.int64),
    )
    sizes = slope[:, 0].abs()
    assert (sizes.diff() <= 0).all()
    assert sizes[4] < 1e-30
    assert sizes[5] == 0


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("name", FOCUSING)
def test_a_gamma_in_a_tensor_is_that_gamma(name: str, gamma: float) -> None:
    logits = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    targets = torch.arange(9) % 4
    expected = FOCUSING[name](logits, targets, gamma=gamma)
    exact = FOCUSING[name](logits, targets, gamma=torch.tensor(gamma, dtype=torch.float64))
    assert torch.equal(exact, expected)
    torch.testing.assert_close(FOCUSING[name](logits, targets, gamma=torch.tensor(gamma)), expected)


@pytest.mark.parametrize("gamma", [torch.ones(4), torch.ones(1), torch.tensor(2)])
def test_a_gamma_of_another_shape_or_type_is_refused(gamma: Tensor) -> None:
    with pytest.raises(TypeError, match=r"float tensor of shape \(\), but got"):
        cefl_loss(torch.zeros(4, 3), torch.zeros(4, dtype=torch.int64), gamma=gamma)


def test_a_compiled_loss_takes_gammas_as_numbers_without_a_graph_break() -> None:
    torch.compiler.reset()
    logits = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    targets = torch.arange(9) % 4
    compiled = torch.compile(cefl_loss, fullgraph=True, backend="aot_eager")
    for gamma in (0.5, 1.0, 2.0, 3.5):
        torch.testing.assert_close(
            compiled(logits, targets, gamma=gamma), cefl_loss(logits, targets, gamma=gamma)
        )


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_targets_are_of_any_integer_type(dtype: torch.dtype) -> None:
    logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([0, 1, 2, 3, 1])
    torch.testing.assert_close(cefl_loss(logits, targets.to(dtype)), cefl_loss(logits, targets))


@pytest.mark.parametrize("target", [-1, 3, 200])
def test_a_target_out_of_range_is_refused(target: int) -> None:
    with pytest.raises((IndexError, RuntimeError), match="out of (bounds|range)"):
        cefl_loss(torch.zeros(2, 3), torch.tensor([0, target]))


def test_class_weights_follow_the_module_and_its_state() -> None:
    weight = torch.tensor([1.0, 2.0, 0.5])
    module = CEFLLoss(2.0, weight).to(torch.float64)
    assert module.weight is not None
    assert module.weight.dtype == torch.float64
    other = CEFLLoss(2.0, torch.ones(3))
    other.load_state_dict(module.state_dict())
    logits, targets = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 3
    torch.testing.assert_close(other(logits, targets), cefl_loss(logits, targets, weight=weight))
    assert CEFLLoss(2.0, torch.ones(3)).to("meta").weight.device.type == "meta"
    assert not CEFLLoss().state_dict()


def test_the_margin_is_the_logit_less_the_logsumexp_of_the_others_in_float64() -> None:
    logits = torch.randn(8, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    targets = torch.arange(8) % 5
    margins = true_margin(logits.float(), targets)
    assert margins.dtype == torch.float64
    for row, target, margin in zip(logits.float().double(), targets.tolist(), margins, strict=True):
        others = torch.cat([row[:target], row[target + 1 :]])
        assert float(margin) == pytest.approx(float(row[target] - others.logsumexp(0)), abs=1e-6)
