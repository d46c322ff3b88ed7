"""docker/kuberay: follows the fields of KubeRay 1.6.2 and Kubernetes' own schemas, and is safe by rules."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from compose_file import DOCKER

from sweeps.spec import load_spec

KUBERAY = DOCKER / "kuberay"
FIELDS = Path(__file__).with_name("kuberay-1.6.2.yaml")
KUBERNETES = ("1.31", "1.37")  # The oldest that is still maintained somewhere, and the newest.
KUSTOMIZED = "kustomization.yaml", "sweep.yaml"


def documents(path: Path) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(path.read_text()) if each]


ALL = [
    each
    for path in sorted(KUBERAY.rglob("*.yaml"))
    if path.name not in KUSTOMIZED
    for each in documents(path)
]
CLUSTER, JOB = (next(each for each in ALL if each["kind"] == kind) for kind in ("RayCluster", "RayJob"))
HEAD = CLUSTER["spec"]["headGroupSpec"]
GROUPS = {group["groupName"]: group for group in CLUSTER["spec"]["workerGroupSpecs"]}
PODS = {
    "head": HEAD["template"]["spec"],
    **{name: group["template"]["spec"] for name, group in GROUPS.items()},
    "submitter": JOB["spec"]["submitterPodTemplate"]["spec"],
}


def problems(resource: dict[str, Any], kubernetes: str) -> list[str]:
    """Where a resource breaks its schema; unknown fields are problems, too."""
    if resource["apiVersion"] != "ray.io/v1":
        try:
            kubernetes_validate.validate(resource, kubernetes, strict=True)
        except kubernetes_validate.ValidationError as error:
            return [error.message]
        return []
    folder = files("kubernetes_validate") / "kubernetes-json-schema" / f"v{kubernetes}.0-local-strict"
    theirs = json.loads((folder / "_definitions.json").read_text())["$defs"]
    schema = {
        "$ref": f"#/$defs/{resource['kind']}",
        "$defs": {**theirs, **yaml.safe_load(FIELDS.read_text())["$defs"]},
    }
    found = jsonschema.Draft202012Validator(schema).iter_errors(resource)
    return [f"{error.json_path}: {error.message}" for error in found]


@pytest.mark.parametrize("kubernetes", KUBERNETES)
@pytest.mark.parametrize("resource", ALL, ids=lambda each: each["kind"])
def test_a_resource_follows_its_schema(resource: dict[str, Any], kubernetes: str) -> None:
    assert problems(resource, kubernetes) == []


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("spec", "authOptions", "mode"), "password"),
        (("spec", "authOption"), {"mode": "token"}),
        (("spec", "headGroupSpec", "rayStartParams", "num-cpus"), 0),
        (("spec", "headGroupSpec", "template", "spec", "containers", 0, "securtyContext"), {}),
        (("spec", "headGroupSpec", "template", "spec", "terminationGracePeriodSeconds"), "30s"),
        (("spec", "workerGroupSpecs", 0, "maxReplicas"), "many"),
    ],
)
def test_a_wrong_field_is_found(place: tuple[str | int, ...], value: Any) -> None:
    wrong: Any = copy.deepcopy(CLUSTER)
    inner = wrong
    for part in place[:-1]:
        inner = inner[part]
    inner[place[-1]] = value
    assert problems(wrong, KUBERNETES[-1])


def test_kustomize_renders_both_folders_for_a_registry_of_ones_own() -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    kinds = {}
    for folder in ("cluster", "job"):
        rendered = subprocess.run(
            ["kubectl", "kustomize", KUBERAY / folder], capture_output=True, text=True, check=False
        )
        assert rendered.returncode == 0, rendered.stderr
        made = [each for each in yaml.safe_load_all(rendered.stdout) if each]
        kinds[folder] = sorted(each["kind"] for each in made)
        for each in made:
            assert problems(each, KUBERNETES[-1]) == []
            assert each["kind"] == "Namespace" or each["metadata"]["namespace"] == "sweeps"
        images = re.findall(r"image: (\S+)", rendered.stdout)
        assert images
        assert all(image.startswith("registry.example.org/cefl-sweeps:") for image in images)
    assert kinds == {
        "cluster": ["ConfigMap", "Namespace", "NetworkPolicy", "PersistentVolumeClaim", "RayCluster"],
        "job": ["RayJob"],
    }


def containers() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, pod in PODS.items():
        for container in pod["containers"]:
            yield name, container


@pytest.mark.parametrize("name", PODS)
def test_a_pod_keeps_to_the_restricted_standard(name: str) -> None:
    pod = PODS[name]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 1000
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["terminationGracePeriodSeconds"] == 30
    assert pod["restartPolicy"] == "Never"
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert {next(iter(volume.keys() - {"name"})) for volume in pod["volumes"]} <= {
        "emptyDir", "persistentVolumeClaim", "configMap",
    }  # fmt: skip
    for container in pod["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["readOnlyRootFilesystem"] is True
    assert CLUSTER["spec"]["autoscalerOptions"]["securityContext"]["readOnlyRootFilesystem"] is True


def test_every_container_has_limits_and_what_it_may_write_to() -> None:
    for name, container in containers():
        resources = container["resources"]
        assert {"cpu", "memory"} <= resources["limits"].keys()
        assert {"cpu", "memory"} <= resources["requests"].keys()
        if name != "submitter":  # Ray plans by limits: what is asked for must be what there is.
            assert resources["requests"] == resources["limits"]
        assert {"/tmp", "/home/sweeps"} <= {mount["mountPath"] for mount in container["volumeMounts"]}


def test_copies_of_data_and_checkpoints_lie_on_the_large_volume() -> None:
    for name, pod in PODS.items():
        sizes = {each["name"]: each["emptyDir"]["sizeLimit"] for each in pod["volumes"] if "emptyDir" in each}
        for container in (each for each in pod["containers"] if each["name"] in ("ray-head", "ray-worker")):
            told = {each["name"]: each.get("value", "") for each in container["env"]}
            mounts = {each["mountPath"]: each["name"] for each in container["volumeMounts"]}
            for variable in ("SWEEPS_CACHE", "TORCH_HOME"):
                assert sizes[mounts[f"/{told[variable].split('/')[1]}"]] in ("10Gi", "50Gi"), name


def test_every_mounted_volume_is_there() -> None:
    for pod in PODS.values():
        known = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= known
    mounts = {mount["name"] for mount in CLUSTER["spec"]["autoscalerOptions"]["volumeMounts"]}
    assert mounts <= {volume["name"] for volume in PODS["head"]["volumes"]}


def test_secrets_are_named_and_none_is_written_down() -> None:
    assert CLUSTER["spec"]["authOptions"] == {"mode": "token", "secretName": "sweeps-ray-token"}
    named = {
        source["secretRef"]["name"]
        for _, container in containers()
        for source in container.get("envFrom", [])
    }
    assert named == {"sweeps-driver", "sweeps-storage"}
    assert not [each for each in ALL if each["kind"] == "Secret"]
    values = {
        each["name"]: each["value"] for _, container in containers() for each in container.get("env", [])
    }
    assert values == {
        "RAY_USAGE_STATS_ENABLED": "0",
        "SWEEPS_CACHE": "/tmp/cache",
        "TORCH_HOME": "/tmp/torch",
        "RAY_memory_monitor_refresh_ms": "0",
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "5",
        "RAY_JOB_STOP_WAIT_TIME_S": "25",
        "SWEEPS_HOME": "/var/lib/sweeps",
    }


def test_workers_do_not_know_what_only_drivers_need() -> None:
    for name in GROUPS:
        for container in PODS[name]["containers"]:
            assert [source["secretRef"]["name"] for source in container["envFrom"]] == ["sweeps-storage"]
        assert PODS[name]["automountServiceAccountToken"] is False


def test_a_head_ends_its_sweeps_before_ray_and_both_within_its_grace_period() -> None:
    (head,) = PODS["head"]["containers"]
    *command, wait = head["lifecycle"]["preStop"]["exec"]["command"]
    assert command == ["sweeps", "stop", "--all"]
    environment = {each["name"]: each["value"] for each in head["env"]}
    drain = int(environment["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"])
    assert int(wait.removeprefix("--wait=")) + drain < PODS["head"]["terminationGracePeriodSeconds"]


def test_the_cluster_grows_from_nothing_and_its_head_trains_nothing() -> None:
    assert CLUSTER["spec"]["enableInTreeAutoscaling"] is True
    assert HEAD["rayStartParams"]["num-cpus"] == "0"
    assert HEAD["serviceType"] == "ClusterIP"
    assert HEAD["enableIngress"] is False
    for group in GROUPS.values():
        assert group["replicas"] == group["minReplicas"] == 0 < group["maxReplicas"]
    assert "nvidia.com/gpu" in PODS["gpu"]["containers"][0]["resources"]["limits"]


def test_every_ray_container_is_probed() -> None:
    for name, container in containers():
        if name != "submitter":  # KubeRay's own probes call wget, which the image does not have.
            assert container["readinessProbe"]["httpGet"]["path"].endswith("healthz")
            assert container["livenessProbe"] == container["readinessProbe"]


def test_versions_are_those_of_the_image() -> None:
    assert CLUSTER["spec"]["rayVersion"] == version("ray")
    tags = {container["image"] for _, container in containers()}
    assert tags == {f"cefl-sweeps:{version('cefl-sweeps')}-{kind}" for kind in ("cpu", "cuda")}


def test_the_job_runs_a_specification_that_is_there_on_the_cluster_that_is_there() -> None:
    assert JOB["spec"]["clusterSelector"] == {"ray.io/cluster": CLUSTER["metadata"]["name"]}
    path = JOB["spec"]["entrypoint"].split()[-1]
    assert JOB["spec"]["entrypoint"] == f"sweeps run {path}"
    mounts = {mount["name"]: mount["mountPath"] for mount in PODS["head"]["containers"][0]["volumeMounts"]}
    assert mounts["specs"] == str(Path(path).parent)
    made = documents(KUBERAY / "cluster" / "kustomization.yaml")[0]["configMapGenerator"]
    assert made == [{"name": "sweeps-specs", "files": [Path(path).name]}]
    assert load_spec(str(KUBERAY / "cluster" / Path(path).name)).spec.name == "kubernetes"


def test_ray_is_reached_by_its_own_namespace_and_the_operator_only() -> None:
    policy = next(each for each in ALL if each["kind"] == "NetworkPolicy")["spec"]
    assert policy["podSelector"]["matchLabels"] == {"ray.io/cluster": CLUSTER["metadata"]["name"]}
    assert policy["policyTypes"] == ["Ingress"]
    own, operator = policy["ingress"]
    assert own == {"from": [{"podSelector": {}}]}
    assert {port["port"] for port in operator["ports"]} == {8265, 52365}
