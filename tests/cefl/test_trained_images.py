"""No test image and no validation image is ever trained on: every image that the model sees says which it is.

Three pixels of each image are its split and its number, and real trainings run with a hook on the model that
reads them back from what goes in.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

from cefl.config import TrialConfig
from cefl.data import open_dataset, prepare
from cefl.recipes import Recipe
from cefl.trial import assemble

PER_CLASS, CLASSES = 40, 3
SPLITS = {"train": 50, "val": 120, "test": 200}
RECIPE = Recipe(epochs=2, batch_size=16, learning_rate=0.01, augment="none", milestones=())
RULES: list[Any] = [
    {"unused": 5}, {"unused": 12}, {"holdout": 0.1}, {"holdout": 0.4}, {"folds": 5}, {"folds": 2}, "given",
    "none",
]  # fmt: skip


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with three splits whose images carry their marks."""
    folder = tmp_path_factory.mktemp("marked")
    arrays: dict[str, NDArray[Any]] = {}
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(CLASSES), PER_CLASS))
    for name, mark in SPLITS.items():
        images = np.random.default_rng(mark).integers(0, 256, (len(labels), 8, 8)).astype(np.uint8)
        images[:, 0, 0], images[:, 0, 1] = mark, np.arange(len(labels))
        arrays |= {f"{name}_images": images, f"{name}_labels": labels}
    np.savez(folder / "marked.npz", **arrays)
    return prepare(f"npz:{folder / 'marked.npz'}", folder / "cache")


def seen(config: TrialConfig) -> tuple[set[tuple[int, int]], set[tuple[int, int]], Any]:
    """Marks of all images that the model met while it learnt, and while it was tested; the division."""
    with pytest.MonkeyPatch.context() as patch:  # A model that costs nothing: what it sees is the question.
        patch.setattr(
            "cefl.trial.build_model", lambda *_, **__: nn.Sequential(nn.Flatten(), nn.Linear(64, CLASSES))
        )
        dataset, division, run = assemble(config, "cpu")
    learnt: set[tuple[int, int]] = set()
    judged: set[tuple[int, int]] = set()

    def note(model: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        pixels = ((inputs[0][:, 0, 0, :2] * dataset.std[0] + dataset.mean[0]) * 255).round().int().tolist()
        (learnt if model.training else judged).update((mark, number) for mark, number in pixels)

    run.model.register_forward_pre_hook(note)
    assert len(list(run)) == 2
    return learnt, judged, division


@settings(max_examples=20, deadline=None)
@given(
    rule=st.sampled_from(RULES),
    imbalance=st.one_of(st.none(), st.floats(1, 12)),
    order=st.sampled_from(["ascending", "descending"]),
    seed=st.integers(0, 2**31 - 1),
)
def test_no_image_that_judges_is_trained_on(
    marked: Path, rule: Any, imbalance: float | None, order: str, seed: int
) -> None:
    if isinstance(rule, dict) and "folds" in rule:
        imbalance = None
    config = TrialConfig(
        data=str(marked), digest=open_dataset(marked).digest, imbalance=imbalance, order=order,
        validation=rule, model="resnet8", pretrained=False, loss="cross_entropy", params={}, seed=seed,
        recipe=RECIPE, precision="float32",
    )  # fmt: skip
    learnt, judged, division = seen(config)
    assert learnt == {(SPLITS["train"], int(number)) for number in division.train}
    validation = {(SPLITS["val"], number) for number in range(PER_CLASS * CLASSES)}
    if rule != "given":
        validation = {(SPLITS["train"], int(number)) for number in division.validation}
        assert bool(validation) == (rule != "none")
    test = {(SPLITS["test"], number) for number in range(PER_CLASS * CLASSES)}
    assert judged == validation | test
    assert not learnt & judged
