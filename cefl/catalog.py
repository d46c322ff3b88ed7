"""What there is to choose from, as plain data: a specification can be checked without torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Parameter:
    """What a parameter of a loss means, the values that it may have, and where a search looks by default.

    Attributes:
        low: Smallest value, itself allowed unless ``above``.
        below: What every value is below.
        search: Range that a study draws from; without one, a study asks for the parameter only where its
            specification gives a range.
    """

    meaning: str
    low: float = 0.0
    above: bool = False
    below: float = math.inf
    search: tuple[float, float] | None = None

    def rule(self, name: str) -> str:
        """Such as ``0 <= gamma < inf``."""
        return f"{self.low:g} {'<' if self.above else '<='} {name} < {self.below:g}"

    def allows(self, value: object) -> bool:
        """Whether it is a number in the range."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return (self.low < value if self.above else self.low <= value) and value < self.below


PARAMETERS: Mapping[str, Parameter] = {
    "gamma": Parameter("focusing strength: images that the model has right count less", search=(0.0, 5.0)),
    "alpha": Parameter("scale of all classes alike", above=True),
    "tau": Parameter(
        "strength of the class prior: 0 is cross-entropy, 1 balanced softmax", search=(0.0, 2.0)
    ),
    "beta": Parameter("class weights by effective number: 0 is none, towards 1 they are 1 / n", below=1.0),
    "defer": Parameter("share of the epochs before the class weights come in", below=1.0),
    "max_margin": Parameter("margin of the rarest class", above=True),
    "scale": Parameter("factor of the cosines", above=True),
}
"""Every parameter of a loss; one name means one thing."""

LOSSES: Mapping[str, Mapping[str, float]] = {
    "cross_entropy": {},
    "focal": {"gamma": 2.0, "alpha": 1.0},
    "cefl": {"gamma": 2.0},
    "cefl2": {"gamma": 2.0},
    "balanced_softmax": {},
    "logit_adjustment": {"tau": 1.0},
    "cb_cross_entropy": {"beta": 0.9999},
    "cb_focal": {"beta": 0.9999, "gamma": 2.0},
    "cross_entropy_drw": {"beta": 0.9999, "defer": 0.8},
    "ldam": {"max_margin": 0.5, "scale": 30.0},
    "ldam_drw": {"beta": 0.9999, "defer": 0.8, "max_margin": 0.5, "scale": 30.0},
}
"""Each loss with its parameters and their defaults."""

COSINE_HEAD = ("ldam", "ldam_drw")
"""Losses of cosines: their model ends in a normalised linear layer, which is part of the arm (Cao et al.)."""

DEPTHS: Mapping[int, str] = {
    **{depth: f"resnet{depth}" for depth in (18, 34, 50, 101)},
    **{depth: f"resnet{depth}" for depth in (8, 14, 20, 32, 44, 56)},
}
"""``depth: 18`` is short for ``model: resnet18``."""

STANDARD_RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101")
"""He et al. 2016, section 4.1, as built by torchvision."""

CIFAR_RESNETS = ("resnet8", "resnet14", "resnet20", "resnet32", "resnet44", "resnet56")
"""He et al. 2016, section 4.2: 6n + 2 layers of 16, 32 and 64 channels."""

MODELS = STANDARD_RESNETS + CIFAR_RESNETS

PRETRAINED: Mapping[str, str] = {
    "resnet18": "resnet18-f37072fd.pth",
    "resnet34": "resnet34-b627a593.pth",
    "resnet50": "resnet50-0676ba61.pth",
    "resnet101": "resnet101-63fe2227.pth",
}
"""Files of ImageNet weights by model; a name ends in the first digits of the file's SHA-256.

They are torchvision's IMAGENET1K_V1, the ones that there were for Wang et al.; the newer V2 of ResNet-50 and
ResNet-101 come from a recipe of another kind.
"""

METRICS = ("balanced_accuracy", "accuracy", "macro_precision", "macro_recall", "macro_f1")
"""What a sweep can select by; all lie in [0, 1] and more is better."""

PRECISIONS = ("auto", "bf16", "float32")
"""``auto`` is bf16 where the processor computes it natively, else float32."""

ORDERS = ("ascending", "descending")
"""Which class is the rarest: ``ascending`` the first (Wang et al.), ``descending`` the last (Cao et al.)."""


def model_for_depth(depth: int) -> str:
    """Name of the model of a depth.

    Raises:
        KeyError: If no model has this depth.
    """
    return DEPTHS[depth]


def depth_of(model: str) -> int | None:
    """Number of weighted layers that the name of a model states, ``None`` where it states none."""
    return next((depth for depth, name in DEPTHS.items() if name == model), None)
