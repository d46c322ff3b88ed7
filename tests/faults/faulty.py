"""Sweeps of a linear model, tiny and quick, whose loss does what a test has written beside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from small_data import write_stripes

PARTS = '''
import contextlib, json, os, signal, time
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import cross_entropy


def flat(num_classes, channels, image_size):
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * image_size**2, num_classes))


class Faulty(nn.Module):
    """Cross-entropy, until at an epoch it does what stands in its file."""

    def __init__(self, which=0.0):
        super().__init__()
        self.path = Path(__file__).with_name(f"fault-{which:g}.json")
        self.value, self.leaked, self.epoch = 1.0, [], None

    def set_epoch(self, epoch):
        self.epoch = epoch

    def forward(self, logits, targets):
        if self.epoch is not None and len(targets) > 4:  # Not where the loss is only tried out.
            epoch, self.epoch = self.epoch, None
            self.begin(epoch)
        return cross_entropy(logits, targets) * self.value

    def begin(self, epoch):
        if not self.path.exists():
            return
        fault = json.loads(self.path.read_text())
        if epoch < fault["epoch"] or fault["times"] == 0:
            return
        if fault["do"] == "slow":
            time.sleep(0.1)
            return
        while fault["do"] == "wait" and self.path.exists():
            time.sleep(0.05)
        if fault["do"] == "wait":
            return
        aside = self.path.with_suffix(".tmp")  # Somebody may be reading it.
        aside.write_text(json.dumps({**fault, "times": fault["times"] - 1}))
        aside.replace(self.path)
        if fault["do"] == "raise":
            raise RuntimeError("the loss is out of order")
        if fault["do"] == "exhaust":
            torch.empty(2**50)
        if fault["do"] == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if fault["do"] == "deaf":  # As a signal that comes just before the sleep, Python notes it and sleeps.
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])
        if fault["do"] == "careless":
            with contextlib.suppress(BaseException):  # The fault itself: it loses what would end it.
                time.sleep(600)
        if fault["do"] in ("hang", "deaf", "careless"):
            time.sleep(600)
        if fault["do"] == "grow":
            self.ballast = [torch.ones(2**20) for _ in range(400)]  # 1.6 GB, touched.
            time.sleep(600)
        if fault["do"] == "leak":
            self.leaked += [torch.ones(2**20) for _ in range(100)]  # 400 MB an epoch.
        self.value = float(fault["do"]) if fault["do"] in ("nan", "inf") else 1.0
'''
ALWAYS = 1_000_000


def write_spec(folder: Path, which: Sequence[int] = (1,), epochs: int = 4, more: str = "") -> Path:
    """A specification of cross-entropy and of one faulty loss for each number."""
    write_stripes(folder / "stripes.npz")
    module = f"faulty_{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"  # One process runs many tests.
    (folder / f"{module}.py").write_text(PARTS)
    path = folder / "faulty.yaml"
    path.write_text(f"""
name: faulty
data: {{source: "npz:stripes.npz", imbalance: 4}}
validation: {{unused: 5}}
model: "{module}:flat"
losses:
  - cross_entropy
  - {{loss: "{module}:Faulty", which: {list(which)}}}
recipe: {{preset: digits, epochs: {epochs}, batch_size: 16, precision: float32}}
{more}
""")
    return path


def fault(folder: Path, which: int, do: str, epoch: int = 2, times: int = ALWAYS) -> None:
    """Let a loss do something so many times, from an epoch (from 0) on.

    raise, exhaust (ask for more memory than there is), kill, hang, deaf (hang where signals do not wake it),
    careless (hang again when it is interrupted), grow, leak, slow (0.1 s more), wait (until that file is
    gone), nan, inf.
    """
    text = json.dumps({"do": do, "epoch": epoch, "times": times})
    (folder / f"fault-{which}.json").write_text(text)
