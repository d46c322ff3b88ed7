"""A file of weights in the folder of torch's hub, under the name that its content asks for."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

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
    for module in ("config", "models", "trial"):
        monkeypatch.setattr(f"cefl.{module}.PRETRAINED", {"resnet18": file})
    return file, state
