"""SGD is PyTorch's to the last bit, hooks and state too, and no training imports the compiler."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import torch
from torch import nn

from cefl.models import build_model
from cefl.optimizer import SGD

OPTIONS: dict[str, Any] = {"lr": 0.05, "momentum": 0.9, "weight_decay": 1e-4, "fused": True}
CODE = """
import sys
import torch
from cefl.losses import build_loss
from cefl.models import build_model
from cefl.recipes import Recipe
from cefl.training import ImageSet, fit

images = ImageSet(torch.zeros(20, 8, 8, 1, dtype=torch.uint8), torch.arange(20) % 2, torch.arange(20))
run = lambda: fit(
    build_model("resnet8", 2, 1, 8, seed=0), build_loss("cefl", {}), images,
    Recipe(epochs=2, batch_size=10, learning_rate=0.1), seed=0, mean=torch.zeros(1), std=torch.ones(1),
    each_epoch={"val": images},
)
first = run()
next(first)
second = run()
second.load_state_dict(first.state_dict())
next(second)
print(*sorted(name for name in sys.modules if name in ("torch._dynamo", "torch._inductor", "sympy")))
"""


def trained(optimizer: type[torch.optim.SGD]) -> tuple[nn.Module, torch.optim.SGD]:
    """A model after five steps, between the third and fourth of which the optimizer is made anew."""
    torch.manual_seed(0)
    model = build_model("resnet8", 10, 1, 8, seed=0)
    steps = optimizer(model.parameters(), **OPTIONS)
    for step in range(5):
        if step == 3:
            state = steps.state_dict()
            steps = optimizer(model.parameters(), **OPTIONS)
            steps.load_state_dict(state)
        nn.functional.cross_entropy(model(torch.randn(16, 1, 8, 8)), torch.randint(10, (16,))).backward()
        steps.step()
        steps.zero_grad(set_to_none=True)
    return model, steps


def test_it_takes_the_steps_of_torch_to_the_last_bit() -> None:
    (mine, my_steps), (theirs, their_steps) = trained(SGD), trained(torch.optim.SGD)
    torch.testing.assert_close(mine.state_dict(), theirs.state_dict(), rtol=0, atol=0)
    torch.testing.assert_close(my_steps.state_dict(), their_steps.state_dict(), rtol=0, atol=0)
    assert all(parameter.grad is None for parameter in mine.parameters())
    assert all(parameter.requires_grad for parameter in mine.parameters())


def test_its_hooks_are_called_once_a_step() -> None:
    model, called = nn.Linear(2, 1), []
    steps = SGD(model.parameters(), **OPTIONS)
    steps.register_step_post_hook(lambda *_: called.append("after"))
    model(torch.ones(1, 2)).sum().backward()
    steps.step()
    assert called == ["after"]


def test_a_training_does_not_import_the_compiler() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr
