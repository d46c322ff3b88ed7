"""Losses and models of the user's own: found without import, known by their source, tried before they run."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from cefl.errors import CeflError
from cefl.models import CosineLinear, build_model
from cefl.own import find, is_path, load
from cefl.own_loss import build_own_loss, check_own_loss
from cefl.own_model import check_model

Module = Callable[[str], tuple[str, list[str]]]
SERIAL = itertools.count()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Module:
    """Writes the source of a module with a name of its own; gives the name and the folder to search."""
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(source: str) -> tuple[str, list[str]]:
        name = f"own_part_{next(SERIAL)}"
        (tmp_path / f"{name}.py").write_text("import torch\nimport torch.nn.functional as F\n" + source)
        return name, [str(tmp_path)]

    return write


LOSSES = """
def cold(logits, targets, temperature=1.0):
    return F.cross_entropy(logits / temperature, targets)

def prior(logits, targets, *, train_counts, epochs):
    return F.cross_entropy(logits + train_counts.log(), targets) + 0 * epochs

class Scaled(torch.nn.Module):
    def __init__(self, scale, train_counts):
        super().__init__()
        self.scale, self.classes = scale, len(train_counts)
    def forward(self, logits, targets):
        return self.scale * F.cross_entropy(logits, targets)

def shapeless(logits, targets):
    return F.cross_entropy(logits, targets, reduction="none")

def endless(logits, targets):
    return logits.sum() / 0

def constant(logits, targets):
    return torch.ones((), requires_grad=True)

def broken(logits, targets):
    return logits[:, 99].sum()

number = 3
"""


@pytest.mark.parametrize("text", ["a:b", "a.b:c", "timm:resnet50d", "_a1.b_2:C"])
def test_an_import_path_is_known_by_its_form(text: str) -> None:
    assert is_path(text)


@pytest.mark.parametrize(
    "text", ["cefl", "npz:data/x.npz", "npz:x.npz", "a b:c", "a:b:c", ":b", "a.:b", "1a:b"]
)
def test_what_is_no_import_path_is_not_taken_for_one(text: str) -> None:
    assert not is_path(text)


def test_a_part_is_found_without_importing_it_and_known_by_its_source(module: Module, tmp_path: Path) -> None:
    name, folders = module("raise RuntimeError('imported')\n")
    found = find(f"{name}:x", folders)
    assert found.file == tmp_path / f"{name}.py"
    assert name not in sys.modules
    (tmp_path / f"{name}.py").write_text("x = 1\n")
    assert find(f"{name}:x", folders).digest != found.digest


def test_what_was_installed_is_known_by_its_version_too() -> None:
    import numpy

    assert find("numpy.linalg:norm").digest.endswith(f" numpy {numpy.__version__}")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("nowhere_at_all:x", "there is no module nowhere_at_all among what is installed, nor in "),
        ("nowhere_at_all.losses:x", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("math:sqrt", "math has no source file"),
        ("no path", "is no import path, which is written package.module:name"),
    ],
)
def test_what_cannot_be_found_is_told(path: str, said: str) -> None:
    with pytest.raises(CeflError, match=said):
        find(path, ["/somewhere"])


def test_a_name_that_is_not_there_is_told_with_the_nearest(module: Module) -> None:
    name, folders = module(LOSSES)
    with pytest.raises(CeflError, match=f"has no scaled; did you mean {name}:Scaled?"):
        load(f"{name}:scaled", folders)


def test_a_module_that_fails_is_told(module: Module) -> None:
    name, folders = module("raise RuntimeError('not today')\n")
    with pytest.raises(CeflError, match="cannot be imported: RuntimeError: not today"):
        load(f"{name}:x", folders)


def test_source_that_changed_is_not_run_under_another_digest(module: Module, tmp_path: Path) -> None:
    name, folders = module("x = 1\n")
    planned = find(f"{name}:x", folders).digest
    assert load(f"{name}:x", folders, planned) == 1
    (tmp_path / f"{name}.py").write_text("x = 2\n")
    with pytest.raises(CeflError, match="but this trial was planned with"):
        load(f"{name}:x", folders, planned)
    with pytest.raises(CeflError, match="has changed since this Python imported it"):
        load(f"{name}:x", folders)


def test_functions_and_classes_get_parameters_class_sizes_and_epochs(module: Module) -> None:
    name, folders = module(LOSSES)
    logits, targets = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)), torch.arange(5) % 3
    counts = [3, 2, 1]

    def value(path: str, **params: float) -> float:
        loss = build_own_loss(f"{name}:{path}", params, train_counts=counts, epochs=4, folders=folders)
        return float(loss(logits, targets))

    assert value("cold", temperature=2.0) == float(F.cross_entropy(logits / 2, targets))
    assert value("cold") == float(F.cross_entropy(logits, targets))
    assert value("prior") == float(F.cross_entropy(logits + torch.tensor(counts).log(), targets))
    assert value("Scaled", scale=3.0) == float(3 * F.cross_entropy(logits, targets))


@pytest.mark.parametrize(
    ("name", "params", "said"),
    [
        (
            "cold",
            {"temprature": 1.0},
            "does not take these parameters: got an unexpected keyword.*temperature=1.0",
        ),
        ("Scaled", {}, "does not take these parameters: missing a required argument: 'scale'"),
        (
            "cold",
            {"temperature": 0.0},
            "must give a finite scalar, but gives tensor.nan.* with .'temperature': 0.0",
        ),
        ("shapeless", {}, r"must give a finite scalar, but gives shape \(4,\)"),
        ("endless", {}, "must give a finite scalar, but gives tensor"),
        ("constant", {}, "must have a finite gradient in the logits, but has None"),
        ("broken", {}, r"fails on logits \(4, 3\): IndexError: index 99"),
        ("number", {}, "must be a class of torch.nn.Module or a function, but is 3"),
    ],
)
def test_a_loss_that_does_not_work_is_told_before_it_trains(
    module: Module, name: str, params: dict[str, float], said: str
) -> None:
    where, folders = module(LOSSES)
    with pytest.raises(CeflError, match=said):
        check_own_loss(f"{where}:{name}", params, train_counts=[3, 2, 1], epochs=4, folders=folders)


def test_a_loss_that_works_passes(module: Module) -> None:
    name, folders = module(LOSSES)
    for path, params in (("cold", {"temperature": 2.0}), ("prior", {}), ("Scaled", {"scale": 1.0})):
        check_own_loss(f"{name}:{path}", params, train_counts=[3, 2, 1], epochs=4, folders=folders)


MODELS = """
def build(num_classes, channels, image_size):
    return torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(channels * image_size ** 2, 6), torch.nn.ReLU(),
        torch.nn.Linear(6, num_classes),
    )

def wrong_shape(num_classes, channels, image_size):
    return build(num_classes + 1, channels, image_size)

def fixed_size(num_classes, channels, image_size):
    return build(num_classes, channels, 32)

def other_names(classes):
    return None

def nothing(num_classes, channels, image_size):
    return 3

def flat(num_classes, channels, image_size):
    return torch.nn.Flatten()
"""


def test_a_model_of_ones_own_is_drawn_from_the_seed_and_may_end_in_cosines(module: Module) -> None:
    name, folders = module(MODELS)
    path, state = f"{name}:build", torch.random.get_rng_state()
    first, again, other = (build_model(path, 3, 1, 8, seed=seed, folders=folders) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(next(first.parameters()), next(other.parameters()))
    check_model(path, first, 3, 1, 8)
    cosines = build_model(path, 3, 1, 8, seed=1, folders=folders, cosine_head=True)
    assert isinstance(cosines.get_submodule("3"), CosineLinear)
    assert cosines(torch.randn(4, 1, 8, 8)).abs().max() <= 1 + 1e-6


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("wrong_shape", r"must give logits of shape \(2, 3\), but gives \(2, 4\)"),
        ("fixed_size", r"fails on images \(2, 1, 8, 8\): RuntimeError"),
        ("other_names", "must take num_classes, channels, image_size: "),
        ("nothing", "must return a torch.nn.Module, but returned 3"),
    ],
)
def test_a_model_that_does_not_work_is_told(module: Module, name: str, said: str) -> None:
    where, folders = module(MODELS)
    path = f"{where}:{name}"
    with pytest.raises(CeflError, match=said):
        check_model(path, build_model(path, 3, 1, 8, folders=folders), 3, 1, 8)


def test_what_a_model_of_ones_own_does_not_have_is_told(module: Module) -> None:
    name, folders = module(MODELS)
    with pytest.raises(CeflError, match="leave ldam and ldam_drw out"):
        build_model(f"{name}:flat", 3, 1, 8, folders=folders, cosine_head=True)
    with pytest.raises(CeflError, match="leave `pretrained` out"):
        build_model(f"{name}:build", 3, 1, 8, pretrained=True, folders=folders)


def test_a_model_of_timm_is_built_by_name() -> None:
    timm = pytest.importorskip("timm", reason="timm is not installed: uv sync --extra timm")
    assert find("timm:resnet18").digest == f"timm {timm.__version__}"
    model = build_model("timm:resnet10t", 3, 1, 32)
    check_model("timm:resnet10t", model, 3, 1, 32)
    with pytest.raises(CeflError, match="timm has no model resnet18dd; it has, say, "):
        build_model("timm:resnet18dd", 3, 1, 32)


def test_without_timm_its_models_are_refused_with_the_way_out() -> None:
    try:
        import timm  # noqa: F401
    except ImportError:
        with pytest.raises(CeflError, match="timm is not installed; `pip install timm`"):
            find("timm:resnet18")
    else:
        pytest.skip("timm is installed")
