"""docker/compose.yaml: valid, and safe by rules that hold for every service."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_file import DOCKER, Service, filled_in, in_order, read_services

TEXT = (DOCKER / "compose.yaml").read_text()
EXAMPLE = dict(
    line.split("=", 1)
    for line in (DOCKER / ".env.example").read_text().splitlines()
    if line and not line.startswith("#")
)
SERVICES: dict[str, Any] = yaml.safe_load(TEXT)["services"]
ONCE = {"prepare", "accounts", "job"}
LASTING = {"postgres": "postgres", "store": "store", "ray-head": "home", "prometheus": "prometheus"}
OURS = {name for name in SERVICES if SERVICES[name]["image"].startswith("cefl-sweeps:")}
OPTIONAL = "SWEEPS_NOTIFY"
SECRET = re.compile(r"PASSWORD|SECRET|_KEY|TOKEN")


def test_it_follows_the_compose_specification() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec",
         str(DOCKER / "compose.yaml")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout


def test_the_schema_refuses_what_the_specification_does_not_know(tmp_path: Path) -> None:
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(TEXT.replace("read_only:", "readonly:"))
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(wrong)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 1


def composed(*arguments: str, environment: Path) -> subprocess.CompletedProcess[str]:
    """What Docker Compose itself makes of the file; it needs no engine for that."""
    found = importlib.util.find_spec("compose")
    if found is None or found.origin is None:
        pytest.skip("Docker Compose is not installed here: a wheel of it is for Linux on x86-64")
    program = Path(found.origin).with_name("docker-compose")
    command = [str(program), "--file", str(DOCKER / "compose.yaml"), "--env-file", str(environment)]
    command += ["--profile", "gpu", "--profile", "job", "config", *arguments]
    alone = {"PATH": os.environ["PATH"], "HOME": str(environment.parent)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=alone, timeout=60)


def written(folder: Path, variables: Mapping[str, str]) -> Path:
    path = folder / ".env"
    path.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
    return path


def test_compose_itself_reads_it_as_the_tests_do(tmp_path: Path) -> None:
    variables = {name: value or f"value-of-{name}" for name, value in EXAMPLE.items()}
    read = composed("--format", "json", environment=written(tmp_path, variables))
    assert read.returncode == 0, read.stderr
    theirs = json.loads(read.stdout)["services"]
    ours = read_services(variables)
    assert theirs.keys() == ours.keys()
    for name, service in ours.items():
        said = theirs[name]
        words = tuple(said.get("entrypoint") or ()) + tuple(said["command"])
        assert tuple(word.replace("$$", "$") for word in words) == service.command
        assert said.get("environment", {}) == service.environment
        assert tuple(said.get("healthcheck", {}).get("test", ["CMD"])[1:]) == service.health
        needs = {need: each["condition"] for need, each in said.get("depends_on", {}).items()}
        assert needs == service.needs


@pytest.mark.parametrize("missing", [name for name in EXAMPLE if not EXAMPLE[name] and name != OPTIONAL])
def test_compose_refuses_to_start_without_a_password(missing: str, tmp_path: Path) -> None:
    variables = {name: value or "x" for name, value in EXAMPLE.items()} | {missing: ""}
    refused = composed("--quiet", environment=written(tmp_path, variables))
    assert refused.returncode != 0
    assert f"required variable {missing} is missing a value: set it in .env" in refused.stderr


def test_the_stack_has_the_services_that_it_promises() -> None:
    assert {
        "postgres", "store", "prepare", "mlflow", "accounts", "ray-head", "ray-worker", "ray-worker-gpu",
        "optuna-dashboard", "prometheus", "job",
    } == SERVICES.keys()  # fmt: skip


def test_every_variable_but_one_is_required_and_all_stand_in_the_example() -> None:
    text = "\n".join(line.split("#", 1)[0] for line in TEXT.splitlines())
    used = re.findall(r"(?<!\$)\$(?:\{(\w+)([^}]*)\}|(\w+))", text)
    assert used
    assert not [name or bare for name, rest, bare in used if bare or (rest[:2] == ":?") == (name == OPTIONAL)]
    assert (OPTIONAL, ":-", "") in used
    assert {name for name, _, _ in used} == EXAMPLE.keys()


def test_the_example_holds_no_password() -> None:
    filled = {name for name, value in EXAMPLE.items() if value and SECRET.search(name)}
    assert filled == {"RAY_TOKEN_FILE"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_password_of_a_service_comes_from_a_variable(name: str) -> None:
    environment = SERVICES[name].get("environment", {})
    secret = {key: value for key, value in environment.items() if SECRET.search(key)}
    literal = {
        key: value
        for key, value in secret.items()
        if not re.fullmatch(r"\$\{\w+:\?[^}]*\}", value) and not value.startswith("/run/secrets/")
    }
    assert not literal
    passwords = [value for key, value in EXAMPLE.items() if value and SECRET.search(key)]
    assert not any(value in " ".join(SERVICES[name].get("command", [])) for value in passwords)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_publishes_ports_on_the_loopback_only(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert port.startswith("127.0.0.1:"), port


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_hardened(name: str) -> None:
    service = SERVICES[name]
    user, group = service["user"].split(":")
    assert int(user) > 0, f"{name} runs as root"
    assert int(group) > 0
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "network_mode", "pid", "ipc", "devices"} & service.keys()
    assert not any("docker.sock" in str(volume) for volume in service.get("volumes", []))


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_limits(name: str) -> None:
    assert {"cpus", "memory", "pids"} <= SERVICES[name]["deploy"]["resources"]["limits"].keys()
    assert SERVICES[name]["logging"]["options"]["max-size"]


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_is_pinned_by_its_full_version(name: str) -> None:
    tag = SERVICES[name]["image"].rsplit(":", 1)[1] if name not in OURS else SERVICES[name]["image"]
    assert "latest" not in tag
    assert re.match(r"v?\d+\.\d+", tag) or "${VERSION:?" in tag


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_that_stays_has_a_health_check_and_starts_again(name: str) -> None:
    service = SERVICES[name]
    if name in ONCE:
        assert service["restart"] == "no"
        return
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] == "CMD"
    assert {"interval", "timeout", "retries", "start_period"} <= service["healthcheck"].keys()


def test_services_start_in_an_order_that_has_no_circle() -> None:
    services = read_services({**EXAMPLE, "RAY_TOKEN_FILE": "x"})
    order = in_order(services, services)
    assert sorted(order) == sorted(SERVICES)
    for name, service in SERVICES.items():
        for need, said in service.get("depends_on", {}).items():
            assert said["condition"] == (
                "service_completed_successfully" if need in ONCE else "service_healthy"
            ), f"{name} needs {need}"


def test_a_circle_of_services_is_found() -> None:
    one = Service("a", (), {}, (), {"b": "service_healthy"})
    with pytest.raises(ValueError, match="a -> b -> a"):
        in_order({"a": one, "b": Service("b", (), {}, (), {"a": "service_healthy"})}, ["a"])


def test_all_that_must_last_is_in_a_named_volume() -> None:
    named = yaml.safe_load(TEXT)["volumes"].keys()
    held = {
        name: volume.split(":")[0]
        for name, service in SERVICES.items()
        for volume in service.get("volumes", [])
        if volume.split(":")[0] in named
    }
    assert held == LASTING
    assert set(held.values()) == named


@pytest.mark.parametrize("name", ["ray-head", "ray-worker", "ray-worker-gpu"])
def test_copies_of_data_and_checkpoints_lie_on_a_volume_and_not_in_memory(name: str) -> None:
    service = SERVICES[name]
    for variable in ("RAY_TMPDIR", "SWEEPS_CACHE", "TORCH_HOME"):
        place = service["environment"][variable]
        assert "/scratch" in service["volumes"]
        assert place.split("/")[1] == "scratch"
    assert not any(each.startswith("/scratch") for each in service["tmpfs"])


def test_the_stores_are_not_reached_from_outside() -> None:
    networks = yaml.safe_load(TEXT)["networks"]
    assert networks["data"]["internal"] is True
    for name in ("postgres", "store"):
        assert SERVICES[name]["networks"] == ["data"]
        assert "ports" not in SERVICES[name]


def test_ray_asks_for_a_token_everywhere() -> None:
    for name in ("ray-head", "ray-worker", "ray-worker-gpu", "job"):
        assert SERVICES[name]["environment"]["RAY_AUTH_MODE"] == "token"
        assert SERVICES[name]["environment"]["RAY_AUTH_TOKEN_PATH"] == "/run/secrets/ray_token"
        assert SERVICES[name]["secrets"] == ["ray_token"]


def test_the_tracking_server_is_guarded_and_keeps_artifacts_for_others() -> None:
    command = SERVICES["mlflow"]["command"]
    assert "--app-name=basic-auth" in command
    assert "--serve-artifacts" in command
    hosts = next(word for word in command if word.startswith("--allowed-hosts="))
    assert "*" not in hosts
    assert "mlflow:5000" in hosts


def test_workers_know_neither_the_database_nor_the_tracking_server_and_clients_no_service_at_all() -> None:
    for name in ("ray-worker", "ray-worker-gpu", "job"):
        known = SERVICES[name]["environment"].keys()
        assert not {key for key in known if key.startswith(("PG", "MLFLOW", "POSTGRES"))}
    assert all(key.startswith("RAY_") for key in SERVICES["job"]["environment"])


def test_a_head_ends_its_sweeps_before_ray_and_both_within_its_grace_period() -> None:
    head = SERVICES["ray-head"]
    assert head["command"][:4] == ["python", "/opt/sweeps/head.py", "ray", "start"]
    seconds = re.search(r"^SECONDS = (\d+)$", (DOCKER / "head.py").read_text(), re.MULTILINE)
    assert seconds is not None
    drain = int(head["environment"]["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"])
    assert int(seconds[1]) + drain < int(head["stop_grace_period"].removesuffix("s"))


def test_gpus_are_asked_for_in_their_profile_only() -> None:
    asking = {name for name, service in SERVICES.items() if "reservations" in service["deploy"]["resources"]}
    assert asking == {"ray-worker-gpu"}
    assert SERVICES["ray-worker-gpu"]["profiles"] == ["gpu"]
    assert SERVICES["ray-worker-gpu"]["build"]["args"] == {"ACCELERATOR": "cuda"}


def test_nobody_reports_on_us() -> None:
    assert "-master.telemetry=false" in SERVICES["store"]["command"]
    assert SERVICES["mlflow"]["environment"]["MLFLOW_DISABLE_TELEMETRY"] == "true"
    for name in ("ray-head", "ray-worker", "ray-worker-gpu"):
        assert "--disable-usage-stats" in SERVICES[name]["command"]


def test_a_dollar_for_the_shell_is_left_to_it() -> None:
    assert filled_in({"a": ["$$X ${Y:?set it}"]}, {"Y": "1"}) == {"a": ["$X 1"]}


def test_what_stands_nowhere_cannot_be_replaced() -> None:
    service = Service("a", ("run", "--port=1"), {"HOST": "b"}, (), {})
    assert service.on({"--port=1": "--port=2"}, {"HOST": "c"}).command == ("run", "--port=2")
    with pytest.raises(ValueError, match="--port=3 stands nowhere"):
        service.on({"--port=3": "--port=2"})
    with pytest.raises(ValueError, match="PLACE is not in its environment"):
        service.on({}, {"PLACE": "c"})
