"""Parameter counts, shapes and seeds of the models, and what pretrained weights need."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision
from published_weights import put_weights
from torch import nn

from cefl.catalog import CIFAR_RESNETS, MODELS, PRETRAINED, STANDARD_RESNETS
from cefl.errors import ModelError
from cefl.models import BasicBlock, CosineLinear, build_model
from cefl.pretrained import DOWNLOADS
from cefl.trial import IMAGENET_MEAN, IMAGENET_STD


def parameters(model: nn.Module) -> int:
    return sum(each.numel() for each in model.parameters())


@pytest.mark.parametrize(
    ("name", "expected"),
    # Without shortcut weights: the 0.27, 0.46, 0.66 and 0.85 million of He et al. 2016, Table 6.
    [("resnet20", 269_722), ("resnet32", 464_154), ("resnet44", 658_586), ("resnet56", 853_018)],
)
def test_the_cifar_family_has_the_published_sizes(name: str, expected: int) -> None:
    assert parameters(build_model(name, 10)) == expected


def test_the_small_image_stem_differs_from_torchvision_in_its_first_convolution_alone() -> None:
    small = build_model("resnet18", 10, image_size=32)
    standard = torchvision.models.resnet18(num_classes=10)
    assert parameters(small) == parameters(standard) - 64 * 3 * 7 * 7 + 64 * 3 * 3 * 3 == 11_173_962
    assert isinstance(small.maxpool, nn.Identity)
    assert small.conv1.stride == (1, 1)
    assert parameters(build_model("resnet18", 10, image_size=65)) == parameters(standard)


@pytest.mark.parametrize("name", CIFAR_RESNETS)
@pytest.mark.parametrize(("channels", "size"), [(1, 8), (3, 32), (4, 15)])
def test_the_cifar_family_takes_any_channels_and_odd_sizes(name: str, channels: int, size: int) -> None:
    model = build_model(name, 7, channels, size).eval()
    assert model(torch.zeros(2, channels, size, size)).shape == (2, 7)


def test_gradients_go_through_the_shortcut_in_the_layout_that_they_came_in() -> None:
    block = BasicBlock(4, 8, stride=2)
    images = torch.randn(3, 4, 7, 7).to(memory_format=torch.channels_last).requires_grad_()
    arrived: list[torch.Tensor] = []
    between = images * 1  # What a block before this one would have made.
    between.register_hook(arrived.append)
    block.to(memory_format=torch.channels_last)(between).mean().backward()
    assert arrived[0].is_contiguous(memory_format=torch.channels_last), "else all before it is much slower"


def test_the_shortcut_takes_every_second_pixel_and_pads_new_channels_with_zeros_on_both_sides() -> None:
    block = BasicBlock(4, 8, stride=2).eval()
    nn.init.zeros_(block.conv2.weight)
    images = torch.rand(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    out = block(images)
    torch.testing.assert_close(out[:, 2:6], images[:, :, ::2, ::2])
    assert not out[:, :2].any()
    assert not out[:, 6:].any()


@pytest.mark.parametrize(("channels", "size"), [(1, 8), (3, 64), (1, 65), (5, 96)])
def test_a_standard_resnet_takes_any_channels(channels: int, size: int) -> None:
    model = build_model("resnet18", 2, channels, size).eval()
    assert model(torch.zeros(2, channels, size, size)).shape == (2, 2)


@pytest.mark.parametrize("name", ["resnet8", "resnet18"])
def test_a_seed_gives_the_same_weights_and_leaves_the_global_generator_alone(name: str) -> None:
    state = torch.get_rng_state()
    first = build_model(name, 3, seed=5).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    again, other = (build_model(name, 3, seed=seed).state_dict() for seed in (5, 6))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])


def test_an_unknown_model_is_refused_with_the_list() -> None:
    with pytest.raises(ModelError, match="resnet19") as caught:
        build_model("resnet19", 10)
    assert all(name in str(caught.value) for name in MODELS)


@pytest.mark.parametrize(("classes", "channels"), [(1, 3), (10, 0)])
def test_too_few_classes_or_channels_are_refused(classes: int, channels: int) -> None:
    with pytest.raises(ModelError, match="must hold"):
        build_model("resnet8", classes, channels)


@pytest.mark.parametrize(("name", "channels"), [("resnet18", 1), ("resnet20", 3)])
def test_pretrained_weights_that_do_not_fit_are_refused(name: str, channels: int) -> None:
    with pytest.raises(ModelError, match="pretrained"):
        build_model(name, 10, channels, 224, pretrained=True)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for downloaded weights, and a proxy that nobody answers at: offline everywhere."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    # urllib keeps the proxies it first reads: without this, later tests would be offline too.
    monkeypatch.setattr("urllib.request._opener", None)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "hub" / "checkpoints"


def test_the_files_of_weights_are_those_of_torchvisions_first_recipe() -> None:
    assert PRETRAINED.keys() == set(STANDARD_RESNETS)
    for name, file in PRETRAINED.items():
        published = torchvision.models.get_model_weights(name).IMAGENET1K_V1
        assert published.url == f"{DOWNLOADS}/{file}"
        assert published.transforms().mean == list(IMAGENET_MEAN)
        assert published.transforms().std == list(IMAGENET_STD)


@pytest.mark.parametrize("name", PRETRAINED)
def test_offline_the_error_names_file_and_folder(hub: Path, name: str) -> None:
    with pytest.raises(ModelError) as caught:
        build_model(name, 10, image_size=224, pretrained=True)
    assert f"put {PRETRAINED[name]} into {hub}, from https://" in str(caught.value)
    assert not list(hub.iterdir()), "a file cut short would be taken for the weights"


def test_weights_that_lie_in_the_folder_are_used_and_the_head_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = put_weights(tmp_path, monkeypatch)[1]
    model = build_model("resnet18", 4, image_size=224, pretrained=True, seed=1)
    found = model.state_dict()
    assert found["fc.weight"].shape == (4, 512)
    assert found.keys() == published.keys()
    assert [name for name in found if not torch.equal(found[name], published[name])] == [
        "fc.weight",
        "fc.bias",
    ]
    other = build_model("resnet18", 4, image_size=224, pretrained=True, seed=2)
    assert not torch.equal(model.fc.weight, other.fc.weight)
    assert torch.equal(model.conv1.weight, other.conv1.weight)


@pytest.mark.parametrize("content", [b"", b"not weights"])
def test_a_file_of_other_content_than_its_name_says_is_refused(hub: Path, content: bytes) -> None:
    hub.mkdir(parents=True)
    (hub / PRETRAINED["resnet18"]).write_bytes(content)
    with pytest.raises(ModelError, match="SHA-256 .* not that of its name") as caught:
        build_model("resnet18", 10, image_size=224, pretrained=True)
    assert PRETRAINED["resnet18"] in str(caught.value)
    assert str(hub) in str(caught.value)


def test_a_standard_resnet_sees_224_px_and_the_deeper_ones_are_torchvisions() -> None:
    assert build_model("resnet18", 9, image_size=224).eval()(torch.zeros(1, 3, 224, 224)).shape == (1, 9)
    for name in ("resnet34", "resnet50", "resnet101"):
        published = getattr(torchvision.models, name)(num_classes=9)
        assert parameters(build_model(name, 9, image_size=224)) == parameters(published)


def test_a_28_px_image_keeps_its_resolution_in_the_small_stem() -> None:
    model = build_model("resnet18", 10, 1, 28).eval()
    seen = []
    model.layer1.register_forward_hook(lambda module, inputs, output: seen.append(output.shape[2:]))
    model(torch.zeros(1, 1, 28, 28))
    assert seen == [(28, 28)]


@pytest.mark.parametrize("name", ["resnet8", "resnet18"])
def test_a_cosine_head_gives_cosines_and_leaves_all_other_weights(name: str) -> None:
    plain, model = build_model(name, 5, seed=3), build_model(name, 5, seed=3, cosine_head=True)
    for key, value in model.state_dict().items():
        if not key.startswith("fc."):
            assert torch.equal(value, plain.state_dict()[key])
    assert isinstance(model.fc, CosineLinear)
    assert model.fc.weight.norm(dim=1).allclose(torch.ones(5))
    features = torch.randn(7, model.fc.weight.shape[1], generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.cosine_similarity(features[:, None], model.fc.weight[None], dim=2)
    torch.testing.assert_close(model.fc(features), expected)
    torch.testing.assert_close(model.fc(9 * features), expected)
    with torch.autocast("cpu", torch.bfloat16):
        assert model.fc(features.bfloat16()).dtype == torch.float32
