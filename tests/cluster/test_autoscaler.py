"""A cluster without a node that trains: its autoscaler starts some for a sweep, or says that it cannot."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from standing import StandingRay

pytestmark = pytest.mark.long  # A Ray that stands by itself, and one more for each of its nodes.

FIRST = "f" * 51 + "00000"  # Ray's provider of nodes on one machine expects its head to be called so.
PROVIDER = "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider"


class GrowingRay(StandingRay):
    """A head without processors that may start two nodes with one each."""

    def _start(self, cpus: int, *more: str, **environment: str) -> subprocess.Popen[bytes]:
        if "--head" in more:
            node = {"node_config": {}, "min_workers": 0}
            config = {
                "cluster_name": "growing",
                "max_workers": 2,
                "idle_timeout_minutes": 5,
                "provider": {
                    "type": "external", "module": PROVIDER, "gcs_address": self.address,
                    "head_node_id": FIRST, "launch_multiple": True,
                },
                "head_node_type": "ray.head.default",
                "available_node_types": {
                    "ray.head.default": {**node, "resources": {}, "max_workers": 0},
                    "small": {**node, "resources": {"CPU": 1}, "max_workers": 2},
                },
                "initialization_commands": [], "setup_commands": [], "head_setup_commands": [],
                "worker_setup_commands": [], "head_start_ray_commands": [], "worker_start_ray_commands": [],
                "docker": {}, "cluster_synced_files": [], "auth": {}, "file_mounts": {},
            }  # fmt: skip
            path = self.folder / "autoscaler.yaml"
            path.write_text(yaml.safe_dump(config))
            more = (*more, f"--autoscaling-config={path}")
            environment |= {
                "RAY_FAKE_CLUSTER": "1", "RAY_enable_autoscaler_v2": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1",
                "RAY_CLOUD_INSTANCE_ID": FIRST, "RAY_OVERRIDE_NODE_ID_FOR_TESTING": FIRST,
            }  # fmt: skip
        return super()._start(cpus, *more, **environment)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[GrowingRay]:
    ray = GrowingRay(tmp_path, 0)
    try:
        yield ray
    finally:
        ray.close()


def test_a_sweep_has_nodes_started_for_it_and_one_that_none_can_hold_is_refused(
    cluster: GrowingRay, small_spec: Path, home: Path
) -> None:
    text = small_spec.read_text()

    def run(resources: str) -> subprocess.CompletedProcess[str]:
        small_spec.write_text(text.replace("{gpus: 0}", resources))
        return subprocess.run(
            [sys.executable, "-m", "sweeps", "run", small_spec, "--home", home, "--address", cluster.address],
            env={**os.environ, **cluster.environment}, capture_output=True, text=True, check=False,
            timeout=400,
        )  # fmt: skip

    refused = run("{gpus: 0, cpus: 5}")
    assert refused.returncode == 7, refused.stdout + refused.stderr
    assert "a trial asks for CPU 5 on one node, but there are" in refused.stderr
    done = run("{gpus: 0}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "trained now    3 trials; sweep small is done" in done.stdout
