"""The losses against 50-digit references in the textbook form, F.cross_entropy, and limit cases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mpf
from torch import Tensor

from cefl.catalog import LOSSES
from cefl.losses import (
    CEFL2Loss,
    CEFLLoss,
    CrossEntropyLoss,
    FocalLoss,
    build_loss,
    cefl2_loss,
    cefl_loss,
    cross_entropy_loss,
    focal_loss,
)

FOCUSING: dict[str, Callable[..., Tensor]] = {"focal": focal_loss, "cefl": cefl_loss, "cefl2": cefl2_loss}
ALL: dict[str, Callable[..., Tensor]] = {"cross_entropy": cross_entropy_loss, **FOCUSING}
GAMMAS = (0.0, 0.3, 0.5, 1.0, 2.0, 5.0)
MARGINS = (-80.0, -41.3, -12.7, -3.1, -0.6, 0.0, 0.4, 2.9, 7.7, 11.3, 14.2, 16.9, 20.0, 22.6, 25.0)
SMALLEST_NORMAL = torch.finfo(torch.float32).tiny


def textbook(name: str, logits: list[float], target: int, gamma: float) -> tuple[Any, list[Any]]:
    """Loss and logit gradient from ``p`` by the printed formulas; the digits make up for the differences."""
    powers = [mpmath.exp(mpf(value)) for value in logits]
    shares = [power / mpmath.fsum(powers) for power in powers]
    p, g = shares[target], mpf(gamma)

    def loss(p: Any) -> Any:
        q = 1 - p
        share = {"cross_entropy": 1, "focal": 0, "cefl": q, "cefl2": q**2 / (q**2 + p**2)}[name]
        return -(share + (1 - share) * q**g) * mpmath.log(p)

    # A step far below p and 1 - p, at a precision that the difference can spend.
    with mpmath.workdps(150):
        step = min(p, 1 - p) * mpf(10) ** -40
        slope = (loss(p + step) - loss(p - step)) / (2 * step)
    return loss(p), [slope * p * ((index == target) - share) for index, share in enumerate(shares)]


def rows_of_margin(margin: float, classes: int, seed: int) -> tuple[Tensor, int]:
    """A row of float32 logits whose true class leads the log-sum-exp of the others by about ``margin``."""
    generator = torch.Generator().manual_seed(seed)
    row = 2 * torch.randn(classes, generator=generator)
    target = int(torch.randint(classes, (1,), generator=generator))
    row[target] = -torch.inf
    row[target] = margin + torch.logsumexp(row, 0)
    return row, target


def batch(seed: int = 0, shape: tuple[int, ...] = (6, 4), dtype: torch.dtype = torch.float64) -> Tensor:
    return 3 * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("name", ALL)
def test_value_and_gradient_in_float32_agree_with_50_digits(name: str, classes: int) -> None:
    with mpmath.workdps(50):
        for seed, margin in enumerate(MARGINS):
            row, target = rows_of_margin(margin, classes, seed)
            for gamma in GAMMAS if name in FOCUSING else (0.0,):
                value, slopes = textbook(name, row.tolist(), target, gamma)
                logits = row.clone().unsqueeze(0).requires_grad_()
                loss = ALL[name](
                    logits, torch.tensor([target]), **({"gamma": gamma} if name in FOCUSING else {})
                )
                loss.backward()
                assert logits.grad is not None
                pairs = zip([loss.item(), *logits.grad[0].tolist()], [value, *slopes], strict=True)
                for got, wanted in pairs:
                    error = abs(mpf(got) - wanted)
                    assert error <= 5e-6 * abs(wanted) + SMALLEST_NORMAL, (margin, gamma, got, wanted)


@pytest.mark.parametrize("spread", [1, 2])
@pytest.mark.parametrize("name", FOCUSING)
def test_float32_keeps_its_digits_at_gamma_five_on_many_margins(name: str, spread: int) -> None:
    """Against float64 on the same logits, which errs by 1e-13 here; a float32 exponent would err by 8e-6."""
    generator = torch.Generator().manual_seed(spread)
    logits = spread * torch.randn(20_000, 10, generator=generator)
    targets = torch.randint(10, (20_000,), generator=generator).unsqueeze(1)
    others = logits.scatter(1, targets, -torch.inf).logsumexp(1)
    margins = torch.empty(20_000).uniform_(-80, 25, generator=generator)
    logits = logits.scatter(1, targets, (margins + others).unsqueeze(1))
    found = []
    for values in (logits, logits.double()):
        leaf = values.clone().requires_grad_()
        loss = FOCUSING[name](leaf, targets.squeeze(1), gamma=5.0, reduction="none")
        loss.sum().backward()
        assert leaf.grad is not None
        found.append(torch.cat([loss.detach().unsqueeze(1), leaf.grad], 1).double())
    assert ((found[0] - found[1]).abs() <= 5e-6 * found[1].abs() + SMALLEST_NORMAL).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("name", FOCUSING)
def test_value_and_gradient_are_finite_at_every_margin_in_every_float_type(
    name: str, dtype: torch.dtype
) -> None:
    margins = torch.tensor([0, 1, 12, 16.6, 17, 20, 88, 104, 1000, 10_000])
    logits = torch.zeros(2 * len(margins), 3)
    logits[:, 0] = torch.cat([margins, -margins])
    for gamma in GAMMAS:
        leaf = logits.to(dtype).requires_grad_()
        loss = FOCUSING[name](leaf, torch.zeros(len(logits), dtype=torch.int64), gamma=gamma, reduction="sum")
        loss.backward()
        assert leaf.grad is not None
        assert loss.dtype == torch.float32
        assert torch.isfinite(loss)
        assert torch.isfinite(leaf.grad).all()


def test_autocast_changes_nothing() -> None:
    logits, targets = batch(dtype=torch.float32), torch.tensor([0, 1, 2, 3, 0, 1])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = cefl_loss(logits, targets)
    torch.testing.assert_close(inside, cefl_loss(logits, targets), rtol=0, atol=0)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("name", FOCUSING)
def test_first_and_second_derivative_agree_with_finite_differences(name: str, gamma: float) -> None:
    logits = torch.cat([batch(shape=(3, 4)), torch.zeros(1, 4), torch.tensor([[2.0, 2, 2, -1]])]).double()
    targets = torch.tensor([0, 3, -100, 1, 0])
    weight = torch.tensor([0.5, 1, 2, 3], dtype=torch.float64)

    def loss(values: Tensor) -> Tensor:
        return FOCUSING[name](values, targets, gamma=gamma, weight=weight)

    assert torch.autograd.gradcheck(loss, logits.requires_grad_())
    assert torch.autograd.gradgradcheck(loss, logits)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(7, 4), (4,), (3, 4, 2), (2, 4, 3, 5)])
def test_gamma_zero_is_cross_entropy_of_torch(shape: tuple[int, ...], weighted: bool, reduction: str) -> None:
    logits = batch(shape=shape)
    outline = (shape[0], *shape[2:]) if len(shape) > 1 else ()
    targets = torch.randint(4, outline, generator=torch.Generator().manual_seed(1))
    if outline:
        targets.view(-1)[::3] = 99
    weight = torch.tensor([0.3, 1, 2, 5], dtype=torch.float64) if weighted else None
    options: dict[str, Any] = {"weight": weight, "reduction": reduction, "ignore_index": 99}
    expected = F.cross_entropy(logits, targets, **options)
    torch.testing.assert_close(cross_entropy_loss(logits, targets, **options), expected)
    for loss in FOCUSING.values():
        torch.testing.assert_close(loss(logits, targets, gamma=0.0, **options), expected)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_a_batch_of_ignored_targets_is_as_in_torch_and_has_no_gradient(reduction: str) -> None:
    logits, targets = batch().requires_grad_(), torch.full((6,), -100)
    loss = cefl_loss(logits, targets, reduction=reduction)
    torch.testing.assert_close(loss, F.cross_entropy(logits, targets, reduction=reduction), equal_nan=True)
    (slope,) = torch.autograd.grad(loss.sum(), logits)
    assert not slope.any()


@pytest.mark.parametrize("name", ALL)
def test_ignored_rows_count_for_nothing(name: str) -> None:
    logits, targets = batch(), torch.tensor([0, 1, 2, 3, 0, 1])
    holed = torch.where(torch.arange(6) < 4, targets, -100)
    torch.testing.assert_close(ALL[name](logits, holed), ALL[name](logits[:4], targets[:4]))


def test_the_class_weight_is_outside_the_probability() -> None:
    logits, targets = batch(), torch.tensor([0, 1, 2, 3, 0, 1])
    weight = torch.tensor([0.1, 7, 1, 3], dtype=torch.float64)
    for loss in FOCUSING.values():
        plain = loss(logits, targets, reduction="none")
        torch.testing.assert_close(
            loss(logits, targets, weight=weight, reduction="none"), weight[targets] * plain
        )


def test_equal_logits_give_the_formula_at_one_over_c() -> None:
    classes, gamma = 4, 2.0
    logits, targets = torch.zeros(1, classes, dtype=torch.float64), torch.tensor([1])
    p = 1 / classes
    q, s = 1 - p, torch.log(torch.tensor(float(classes), dtype=torch.float64))
    w = q**2 / (q**2 + p**2)
    torch.testing.assert_close(cross_entropy_loss(logits, targets), s)
    torch.testing.assert_close(focal_loss(logits, targets, gamma=gamma, alpha=0.25), 0.25 * q**gamma * s)
    torch.testing.assert_close(cefl_loss(logits, targets, gamma=gamma), (q + p * q**gamma) * s)
    torch.testing.assert_close(cefl2_loss(logits, targets, gamma=gamma), (w + (1 - w) * q**gamma) * s)


@settings(max_examples=60, deadline=None)
@given(margin=st.floats(-30, 30), gamma=st.floats(0, 8))
def test_the_losses_are_ordered_and_fall_with_the_margin(margin: float, gamma: float) -> None:
    logits = torch.tensor([[margin, 0.0], [margin + 0.5, 0.0]], dtype=torch.float64)
    targets = torch.zeros(2, dtype=torch.int64)
    ce = cross_entropy_loss(logits, targets, reduction="none")
    focal, cefl, cefl2 = (loss(logits, targets, gamma=gamma, reduction="none") for loss in FOCUSING.values())
    slack = 1 + 1e-12
    assert (focal <= cefl * slack).all()
    assert (cefl <= ce * slack).all()
    assert (focal <= cefl2 * slack).all()
    assert (cefl2 <= ce * slack).all()
    wrong = logits[:, 0] <= 0
    assert (torch.where(wrong, cefl, cefl2) <= torch.where(wrong, cefl2, cefl) * slack).all()
    for values in (ce, focal, cefl, cefl2):
        assert values[1] <= values[0]


def test_cefl_of_gamma_one_is_one_minus_p_squared_times_the_surprise() -> None:
    logits, targets = batch(), torch.tensor([0, 1, 2, 3, 0, 1])
    p = logits.softmax(1).gather(1, targets.unsqueeze(1)).squeeze(1)
    torch.testing.assert_close(cefl_loss(logits, targets, gamma=1.0, reduction="none"), -(1 - p**2) * p.log())


@pytest.mark.parametrize("name", ALL)
def test_it_compiles_to_one_graph(name: str) -> None:
    torch.compiler.reset()
    module = build_loss(name, {})
    logits, targets = batch(dtype=torch.float32), torch.tensor([0, 1, 2, -100, 0, 1])
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    slopes = []
    for function in (module, compiled):
        leaf = logits.clone().requires_grad_()
        function(leaf, targets).backward()
        slopes.append(leaf.grad)
    torch.testing.assert_close(slopes[1], slopes[0])


def test_one_compiled_step_serves_many_gammas_given_as_tensors() -> None:
    torch.compiler.reset()
    logits, targets = batch(dtype=torch.float32), torch.tensor([0, 1, 2, 3, 0, 1])
    gamma, alpha = torch.tensor(2.0), torch.tensor(1.0)
    compiled = torch.compile(FocalLoss(gamma, alpha), fullgraph=True, backend="aot_eager")
    with torch.compiler.set_stance("default"):
        compiled(logits, targets)
    with torch.compiler.set_stance("fail_on_recompile"):
        gamma.fill_(0.5)
        alpha.fill_(0.25)
        torch.testing.assert_close(
            compiled(logits, targets), focal_loss(logits, targets, gamma=0.5, alpha=0.25)
        )


def test_modules_hold_their_weight_as_a_buffer_and_agree_with_the_functions() -> None:
    logits, targets = batch(dtype=torch.float32), torch.tensor([0, 1, 2, 3, 0, 1])
    weight = torch.tensor([1.0, 2, 3, 4])
    expected = {
        CrossEntropyLoss(weight=weight): cross_entropy_loss(logits, targets, weight=weight),
        FocalLoss(1.5, 0.5, weight=weight): focal_loss(logits, targets, gamma=1.5, alpha=0.5, weight=weight),
        CEFLLoss(1.5, weight=weight): cefl_loss(logits, targets, gamma=1.5, weight=weight),
        CEFL2Loss(1.5, weight=weight): cefl2_loss(logits, targets, gamma=1.5, weight=weight),
    }
    for module, value in expected.items():
        assert list(module.state_dict()) == ["weight"]
        torch.testing.assert_close(module(logits, targets), value)


def test_build_loss_gives_the_defaults_of_the_catalog() -> None:
    logits, targets = batch(), torch.tensor([0, 1, 2, 3, 0, 1])
    for name, loss in ALL.items():
        torch.testing.assert_close(
            build_loss(name, {})(logits, targets), loss(logits, targets, **LOSSES[name])
        )


@pytest.mark.parametrize(
    ("name", "params", "said"),
    [
        ("cefl3", {}, "cefl3"),
        ("cefl", {"alpha": 1.0}, "alpha"),
        ("cross_entropy", {"gamma": 1.0}, "gamma"),
        ("cefl", {"gamma": -1.0}, "gamma=-1"),
        ("cefl2", {"gamma": float("nan")}, "gamma=nan"),
        ("focal", {"gamma": float("inf")}, "gamma=inf"),
        ("focal", {"alpha": 0.0}, "alpha=0"),
    ],
)
def test_build_loss_refuses_with_the_value(name: str, params: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        build_loss(name, params)


@pytest.mark.parametrize(
    ("logits", "targets", "options", "error", "said"),
    [
        (torch.zeros(2, 1), torch.zeros(2).long(), {}, ValueError, "classes >= 2"),
        (torch.zeros(2, 3), torch.zeros(3).long(), {}, ValueError, r"\(3,\)"),
        (torch.zeros(2, 3).long(), torch.zeros(2).long(), {}, TypeError, "int64"),
        (torch.zeros(2, 3), torch.zeros(2), {}, TypeError, "float32"),
        (torch.zeros(2, 3), torch.zeros(2).bool(), {}, TypeError, "bool"),
        (torch.zeros(2, 3), torch.zeros(2).long(), {"weight": torch.ones(4)}, ValueError, "weight"),
        (torch.zeros(2, 3), torch.zeros(2).long(), {"reduction": "average"}, ValueError, "average"),
        (torch.zeros(2, 3), torch.zeros(2).long(), {"gamma": "2"}, TypeError, "gamma"),
        (torch.zeros(2, 3), torch.zeros(2).long(), {"gamma": True}, TypeError, "gamma"),
    ],
)
def test_bad_arguments_are_refused_with_the_value(
    logits: Tensor, targets: Tensor, options: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        cefl_loss(logits, targets, **options)
