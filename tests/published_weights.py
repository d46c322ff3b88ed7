"""A file of weights in the folder of torch's hub, under the name that its content asks for."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor


def put_weights(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, dict[str, Tensor]]:
    """Random weights of a ResNet-18 in place of the published ones, which no test can download.

    Args:
        folder: What ``TORCH_HOME`` becomes.

    Returns:
        Name of the file, and what is in it.
    """
    state: dict[str, Tensor] = torchvision.models.resnet18().state_dict()
    buffer = io.BytesIO()
    torch.save(state, buffer)
    file = f"resnet18-{hashlib.sha256(buffer.getvalue()).hexdigest()[:8]}.pth"
    (folder / "hub" / "checkpoints").mkdir(parents=True)
    (folder / "hub" / "checkpoints" / file).write_bytes(buffer.getvalue())
    monkeypatch.setenv("TORCH_HOME", str(folder))
    for module in ("config", "pretrained", "trial"):
        monkeypatch.setattr(f"cefl.{module}.PRETRAINED", {"resnet18": file})
    return file, state


SPEC = """
name: pre
data: {{source: "npz:{file}", imbalance: 2}}
validation: {{unused: 2}}
depth: {depth}
pretrained: true
losses: [cross_entropy, {{loss: cefl, gamma: [1, 2]}}]
recipe: {{preset: digits, epochs: 1, batch_size: 8, precision: float32}}
resources: {{gpus: 0}}
"""


def write_pretrained(folder: Path, size: int, channels: int = 3, depth: int = 18) -> Path:
    """A sweep of random images that starts from published weights; the path of its specification."""
    images = np.random.default_rng(0).integers(0, 255, (20, size, size, channels), np.uint8)
    np.savez(folder / "images.npz", train_images=images, train_labels=np.arange(20) % 2)
    path = folder / "pre.yaml"
    path.write_text(SPEC.format(file="images.npz", depth=depth))
    return path
