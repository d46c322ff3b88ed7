"""A sweep over the nodes of a Ray cluster that share no disk, with a real object store between them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from object_store import MISSING, ObjectStore, program
from published_weights import write_pretrained
from small_data import write_small
from standing import StandingRay, standing_ray

from sweeps.home import Home
from sweeps.keeping import trials_of
from sweeps.snapshot import read_ledger
from sweeps.storing import Store


@pytest.fixture(scope="module")
def store(asked_for: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    weed = program()
    if weed is None:
        pytest.skip(MISSING)
    with pytest.MonkeyPatch.context() as patch:
        server = ObjectStore(weed)
        for name, value in server.environment.items():
            patch.setenv(name, value)
        try:
            server.start()
            server.new_bucket("sweeps")
            yield server
        finally:
            server.remove()


@pytest.fixture(scope="module")
def cluster(store: ObjectStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandingRay]:
    """A head that trains nothing; the tests add nodes, each with a cache and credentials of its own."""
    with standing_ray(tmp_path_factory.mktemp("ray"), cpus=0) as running:
        yield running


def run(spec: Path, home: Path, cluster: StandingRay) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sweeps", "run", spec, "--home", home, "--address", cluster.address]
    environment = {**os.environ, **cluster.environment, "SWEEPS_STORAGE": "s3://sweeps/of/ours"}
    return subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=300, env=environment
    )


def test_nodes_without_a_disk_in_common_train_one_sweep(cluster: StandingRay, tmp_path: Path) -> None:
    caches = [tmp_path / name for name in ("one", "two")]
    spec, home = write_small(tmp_path / "work"), tmp_path / "home"
    offline = {"TORCH_HOME": str(tmp_path / "torch"), "https_proxy": "http://127.0.0.1:9"}
    cluster.add(1, SWEEPS_CACHE=str(caches[0]), **offline)
    stranger = cluster.add(1, SWEEPS_CACHE=str(tmp_path / "stranger"), AWS_SECRET_ACCESS_KEY="wrong")

    text = spec.read_text()
    spec.write_text(text.replace("resources: {", "resources: {cpus: 5, "))
    refused = run(spec, home, cluster)
    assert refused.returncode == 7
    assert "asks for CPU 5 on one node" in refused.stderr
    assert refused.stderr.count("1 x (CPU 1, memory") == 2, "says what the cluster has"
    assert not any((home / name).exists() for name in ("sweeps", "trials", "optuna.db")), "nothing is begun"

    spec.write_text(text)
    refused = run(spec, home, cluster)
    assert refused.returncode == 7
    assert "1 of 2 nodes cannot train" in refused.stderr
    assert "give every node credentials" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (home / "optuna.db").exists()
    cluster.kill(stranger)

    refused = run(write_pretrained(tmp_path / "work", 72), home, cluster)
    assert refused.returncode == 7
    assert "1 of 1 nodes cannot train" in refused.stderr
    assert f"put resnet18-f37072fd.pth into {tmp_path / 'torch' / 'hub' / 'checkpoints'}" in refused.stderr
    assert not (home / "sweeps" / "pre").exists()

    cluster.add(1, SWEEPS_CACHE=str(caches[1]))
    done = run(spec, home, cluster)
    assert done.returncode == 0, done.stderr
    assert [row.state for row in read_ledger(Home(home).optuna_url, "small")] == ["complete"] * 3
    for cache in caches:
        assert len(list((cache / "data").glob("*/meta.json"))) == 1, "each node has its own copy of the data"
        assert list((cache / "trials").iterdir()) == [], "and keeps nothing of its trials"
    remembered = json.loads((home / "home.json").read_text())
    assert remembered["storage"] == "s3://sweeps/of/ours"
    place = Home.at(home)
    files = Store(place.storage or "").names(trials_of(place))
    assert len([name for name in files if name.endswith("predictions.npz")]) == 3
    assert len([name for name in files if name.endswith("weights.safetensors")]) == 1, "of the best"
    assert not [name for name in files if "checkpoint" in name]
    weights = list((home / "trials").glob("*/weights.safetensors"))
    assert len(weights) == 1, "what MLflow shows was fetched, and nothing else"


def test_an_object_store_keeps_the_contract_of_a_folder(store: ObjectStore, tmp_path: Path) -> None:
    place = Store("s3://sweeps/contract", patience=5)
    assert place.names("a") == []
    assert place.read("a/none") is None
    place.remove("a/none")
    place.write("a/b/one", b"x" * 12_000_000)  # In several parts.
    assert place.sizes("a") == {"b/one": 12_000_000}
    place.remove("a/b/one")
    assert place.names("a") == []
    folder = tmp_path / "folder"
    (folder / "train").mkdir(parents=True)
    (folder / "train" / "labels.npy").write_bytes(b"labels")
    (folder / "meta.json").write_text("{}")
    place.send(folder, "data/d")
    place.fetch("data/d", tmp_path / "copy")
    assert (tmp_path / "copy" / "train" / "labels.npy").read_bytes() == b"labels"
