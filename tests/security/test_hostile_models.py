"""A model's folder from a stranger: nothing of it is run, and what is wrong with it is told."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import cefl
from cefl.errors import CeflError, ModelError
from cefl.exported import Description
from cefl.models import build_model
from cefl.own import find

DESCRIPTION = Description("resnet8", ("cat", "dog"), (8, 8, 1), None, (0.5,), (0.2,))


class Trap:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The folder of an exported model, without its card."""
    save_file(build_model("resnet8", 2, 1, 8).state_dict(), tmp_path / "model.safetensors")
    describe(tmp_path)
    return tmp_path


def describe(folder: Path, **changes: Any) -> None:
    (folder / "model.json").write_text(json.dumps({**DESCRIPTION.as_json(), **changes}))


def test_code_beside_the_weights_is_not_run_unasked(model: Path) -> None:
    assert cefl.load(model).classes == ("cat", "dog")
    code = model / "stranger_of_ours.py"
    code.write_text(f"import os\nos.mkdir({str(model / 'sprung')!r})\nfrom torch.nn import Linear as build\n")
    digest = find("stranger_of_ours:build", [str(model)]).digest
    describe(model, model="stranger_of_ours:build", own=digest)
    with pytest.raises(ModelError, match=r"stranger_of_ours:build.*not run unasked.*code="):
        cefl.load(model)
    assert not (model / "sprung").exists()
    with pytest.raises(ModelError):  # It is run where its folder is named, but it is no model.
        cefl.load(model, code=[str(model)])
    assert (model / "sprung").exists()


@pytest.mark.parametrize("path", ["os:system", "subprocess:call", "builtins:exec", "antigravity:x"])
def test_no_function_of_what_is_installed_is_called_either(model: Path, path: str) -> None:
    describe(model, model=path, own=None)
    with pytest.raises(ModelError, match="not run unasked"):
        cefl.load(model)


@pytest.mark.parametrize("form", ["pickle", "torch", "text", "empty", "pipe", "lies"])
def test_weights_that_carry_code_or_are_none_are_refused(model: Path, form: str) -> None:
    weights, sprung = model / "model.safetensors", model / "sprung"
    weights.unlink()
    if form == "pipe":
        os.mkfifo(weights)
    elif form == "torch":
        torch.save({"fc.bias": Trap(sprung)}, weights)
    else:
        header = json.dumps({"fc.bias": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}})
        lies = len(header).to_bytes(8, "little") + header.encode()
        contents = {"pickle": pickle.dumps(Trap(sprung)), "text": b"weights", "empty": b"", "lies": lies}
        weights.write_bytes(contents[form])
    with pytest.raises(ModelError, match="are no weights of this model"):
        cefl.load(model)
    assert not sprung.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": "cat"},
        {"classes": [1, 2]},
        {"classes": ["cat"]},
        {"classes": []},
        {"image_shape": [8, 8]},
        {"image_shape": [8, 8, 1e9]},
        {"image_shape": [8, 8, 1 << 30]},
        {"image_shape": [-8, 8, 1]},
        {"image_size": "8"},
        {"mean": []},
        {"mean": ["x"]},
        {"mean": [float("nan")]},
        {"std": [0.0]},
        {"cosine_scale": "x"},
        {"cosine_scale": float("inf")},
        {"model": 8},
        {"model": "../../etc/passwd"},
        {"model": "resnet8\x1b[2J"},
        {"own": 1},
        {"format": 2},
        {"format": [1]},
        {"more": 1},
    ],
    ids=repr,
)
def test_a_description_with_strange_values_is_refused_in_words(model: Path, changes: dict[str, Any]) -> None:
    describe(model, **changes)
    with pytest.raises(CeflError) as caught:
        cefl.load(model)
    assert "\x1b" not in str(caught.value)
