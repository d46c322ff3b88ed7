"""ResNets for small and large images.

The standard ResNets are torchvision's. Up to 64 px their stem is a 3x3 convolution of stride 1 without
max-pooling, since the usual one would leave a 32 px image at 8 px before the first block. The CIFAR family is
that of He et al. 2016, section 4.2, with their parameter-free shortcuts (option A).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cefl.catalog import CIFAR_RESNETS, MODELS
from cefl.errors import ModelError
from cefl.own import is_path
from cefl.own_model import build_own_model, replace_classifier
from cefl.pretrained import SMALL_IMAGE, check_fit, published_weights


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut that pads new channels with zeros.

    Maps ``(N, inputs, H, W)`` to ``(N, outputs, H / stride, W / stride)``, rounded up.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.added = stride, outputs - inputs

    def forward(self, images: Tensor) -> Tensor:
        """One block."""
        out = F.relu(self.bn1(self.conv1(images)))
        out = self.bn2(self.conv2(out))
        shortcut = images
        if self.stride != 1 or self.added:
            before = self.added // 2
            # Every second pixel: a slice's gradient would come in another layout, and slow all before it.
            every = F.avg_pool2d(images, 1, self.stride)
            shortcut = F.pad(every, (0, 0, 0, 0, before, self.added - before))
        return F.relu(out + shortcut)


class CosineLinear(nn.Module):
    """Cosines between the features and a direction for each class, without bias; float32 under autocast too.

    Maps ``(N, features)`` to ``(N, classes)`` in [-1, 1]. The directions start as those of Cao et al.
    2019: drawn from a cube, then of length 1.
    """

    def __init__(self, features: int, num_classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(F.normalize(torch.empty(num_classes, features).uniform_(-1, 1), dim=1))

    def forward(self, features: Tensor) -> Tensor:
        """Cosines of a batch."""
        with torch.autocast(features.device.type, enabled=False):
            return F.linear(F.normalize(features.float(), dim=1), F.normalize(self.weight, dim=1))


class CifarResNet(nn.Module):
    """6n + 2 layers: a 3x3 convolution, three stages of n blocks with 16, 32, 64 channels, a linear layer."""

    def __init__(self, depth: int, num_classes: int, channels: int) -> None:
        super().__init__()
        blocks = (depth - 2) // 6
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        stages, inputs = [], 16
        for outputs, stride in ((16, 1), (32, 2), (64, 2)):
            for index in range(blocks):
                stages.append(BasicBlock(inputs, outputs, stride if index == 0 else 1))
                inputs = outputs
        self.blocks = nn.Sequential(*stages)
        self.fc = nn.Linear(64, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)
        nn.init.zeros_(self.fc.bias)

    def forward(self, images: Tensor) -> Tensor:
        """``(N, C, H, W)`` to logits ``(N, classes)``."""
        out = self.blocks(F.relu(self.bn1(self.conv1(images))))
        logits: Tensor = self.fc(out.mean(dim=(2, 3)))
        return logits


def build_model(
    name: str,
    num_classes: int,
    channels: int = 3,
    image_size: int = 32,
    pretrained: bool = False,
    seed: int = 0,
    cosine_head: bool = False,
    folders: Iterable[str] = (),
    digest: str | None = None,
) -> nn.Module:
    """A model with weights drawn from ``seed``; the global random state stays as it is.

    Args:
        name: One of `cefl.catalog.MODELS`, or an import path, see `cefl.own_model.build_own_model`.
        num_classes: At least 2.
        channels: Of an image, at least 1.
        image_size: Pixels a side that the model will see; decides the stem of a standard ResNet.
        pretrained: Start from torchvision's ImageNet weights; the last layer is new.
        seed: Of the initial weights.
        cosine_head: End in `CosineLinear` instead of a linear layer, with all other weights as without it.
        folders: Where a model of one's own is imported from, see `cefl.own.find`.
        digest: What a model of one's own must be known by.

    Raises:
        ModelError: If there is no such model, or no pretrained weights fit it, or they cannot be had.
    """
    if name not in MODELS and not is_path(name):
        raise ModelError(f"model must be one of {', '.join(MODELS)}, but got {name!r}")
    if num_classes < 2 or channels < 1:
        raise ModelError(
            f"`num_classes >= 2` and `channels >= 1` must hold, but got {num_classes} and {channels}"
        )
    if pretrained:
        check_fit(name, channels, image_size)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # `torch.manual_seed` would reseed the GPUs too.
        if name not in MODELS:
            model: Any = build_own_model(
                name, num_classes, channels, image_size, folders=folders, digest=digest
            )
        elif name in CIFAR_RESNETS:
            model = CifarResNet(int(name.removeprefix("resnet")), num_classes, channels)
        else:
            model = _standard(name, num_classes, channels, image_size, pretrained)
        if cosine_head:
            replace_classifier(name, model, num_classes, CosineLinear)
        built: nn.Module = model
        return built


def _standard(name: str, num_classes: int, channels: int, image_size: int, pretrained: bool) -> Any:
    from torchvision import models  # Takes seconds, which the CIFAR family need not wait for.

    model: Any = getattr(models, name)(weights=None)
    if pretrained:
        model.load_state_dict(published_weights(name))
    if image_size <= SMALL_IMAGE:
        model.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
        model.maxpool = nn.Identity()
    elif channels != 3:
        model.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
    if not pretrained:
        nn.init.kaiming_normal_(
            model.conv1.weight, mode="fan_out", nonlinearity="relu"
        )  # As torchvision does.
    model.fc = nn.Linear(model.fc.in_features, num_classes)
    return model
