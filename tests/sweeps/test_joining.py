"""A sweep runs on a Ray of its own unless a cluster is named."""

from __future__ import annotations

import pytest

from sweeps.errors import InputError
from sweeps.joining import VARIABLE, cluster_address


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


def test_without_an_address_ray_is_a_sweeps_own() -> None:
    assert cluster_address(None) is None
    assert cluster_address("local") is None


def test_an_option_counts_more_than_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "10.0.0.2:6379")
    assert cluster_address(None) == "10.0.0.2:6379"
    assert cluster_address("head.cluster.local:6379") == "head.cluster.local:6379"
    assert cluster_address("[fd00::2]:6379") == "[fd00::2]:6379"
    assert cluster_address("auto") == "auto"
    assert cluster_address("local") is None


@pytest.mark.parametrize(
    ("address", "way_out"),
    [
        ("http://head:8265", "sweeps submit SPEC --address http://head:8265"),
        ("ray://head:10001", "HOST:PORT"),
        ("head", "'head' is none of HOST:PORT, auto, local"),
        ("head:6379 --x", "none of"),
    ],
)
def test_another_address_is_refused_with_the_way_out(
    address: str, way_out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="--address") as refused:
        cluster_address(address)
    assert way_out in str(refused.value)
    monkeypatch.setenv(VARIABLE, address)
    with pytest.raises(InputError, match=VARIABLE) as refused:
        cluster_address(None)
    assert way_out in str(refused.value)
