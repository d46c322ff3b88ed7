"""The services of docker/compose.yaml as plain processes on the loopback, by their own commands."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
from compose_file import DOCKER, Service, in_order, read_services
from mlflow_server import free_port
from postgres import binaries, ordinary_user

PASSWORDS = {
    "POSTGRES_PASSWORD": "p0stgres",
    "DATABASE_PASSWORD": "d4tabase",
    "S3_ACCESS_KEY": "acc3ss",
    "S3_SECRET_KEY": "s3cretsecret",
    "MLFLOW_ADMIN_PASSWORD": "adm1nistrator",
    "MLFLOW_PASSWORD": "sw33psaccount",
    "MLFLOW_SECRET_KEY": "fl4skkey",
    "METRICS_PASSWORD": "m3tricsaccount",
}
SIZES = {"VERSION": "0", "WORKER_CPUS": "1", "WORKER_MEMORY": "1g", "HEAD_MEMORY": "1g", "SPECS": "."}
TOKEN = "t0ken" * 8
START_SECONDS = 120
QUIET = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # No further process for a feature that nobody uses.
    "RAY_worker_niceness": "0",  # By default workers wait for whatever else this machine does.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # Below `uv run` Ray gives jobs an environment of its own making.
    "OMP_NUM_THREADS": "1",
}
INSIDE = ("master", "master.grpc", "volume", "volume.grpc", "filer", "filer.grpc", "s3.grpc")


@dataclass
class Stack:
    """Services with folders and ports of their own below one folder.

    Attributes:
        ports: Of what listens, by names of ours.
        services: By name, as they are started.
    """

    folder: Path
    ports: dict[str, int] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        outside = ("postgres", "store", "mlflow", "optuna-dashboard", "prometheus", "ray-head", "gcs")
        ray = ("head-metrics", "head-agent", "worker-metrics", "worker-agent")
        self.ports = {name: free_port() for name in (*outside, *ray, *INSIDE)}
        (self.folder / "ray_token").write_text(TOKEN)
        (self.folder / "user").mkdir(exist_ok=True)  # A container has no cache of this machine's users.
        published = {
            "MLFLOW_PORT": "mlflow", "RAY_PORT": "ray-head", "OPTUNA_PORT": "optuna-dashboard",
            "PROMETHEUS_PORT": "prometheus",
        }  # fmt: skip
        variables = PASSWORDS | SIZES | {"RAY_TOKEN_FILE": str(self.folder / "ray_token")}
        variables |= {name: str(self.ports[port]) for name, port in published.items()}
        self.services = {name: self._here(each) for name, each in read_services(variables).items()}

    def start(self, *names: str) -> None:
        """Start services and all that they need, each when what it needs is healthy or has ended well."""
        for name in in_order(self.services, names):
            if name in self.processes:
                continue
            service = self.services[name]
            if name == "postgres" and not (self.folder / name).exists():
                self._make_cluster()
            self.processes[name] = self._run(service)
            if service.health:
                self._wait_until_healthy(service)
            elif self.processes[name].wait(timeout=START_SECONDS):
                raise RuntimeError(f"{name} ended badly:\n{self.log(name)}")

    def is_healthy(self, name: str) -> bool:
        """What the service's own health check says."""
        service = self.services[name]
        asked = subprocess.run(
            service.health, env=self.environment(service), capture_output=True, timeout=60, check=False
        )
        return asked.returncode == 0

    def log(self, name: str) -> str:
        """The end of what a service wrote."""
        return (self.folder / f"{name}.log").read_text(errors="replace")[-3000:]

    def stop(self, name: str) -> int:
        """Ask a service to end, as Docker does; its exit status."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGINT if name == "postgres" else signal.SIGTERM)  # As its image says.
        return process.wait(timeout=30)

    def close(self) -> None:
        """End everything."""
        for process in reversed(self.processes.values()):
            with contextlib.suppress(psutil.NoSuchProcess):
                parent = psutil.Process(process.pid)
                for each in (parent, *parent.children(recursive=True)):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        each.kill()
            process.wait()

    def _wait_until_healthy(self, service: Service) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self.is_healthy(service.name):
            if self.processes[service.name].poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{service.name} is not healthy:\n{self.log(service.name)}")
            time.sleep(0.3)

    def _run(self, service: Service) -> subprocess.Popen[bytes]:
        place = self.folder / service.name
        place.mkdir(exist_ok=True)
        with (self.folder / f"{service.name}.log").open("ab") as log:
            return subprocess.Popen(
                service.command, env=self.environment(service), cwd=place,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                user=ordinary_user() if service.name == "postgres" else None,
            )  # fmt: skip

    def environment(self, service: Service) -> dict[str, str]:
        """Of the service alone; nothing of the tests' but where programs are."""
        programs = [str(Path(sys.executable).parent), str(binaries() or ""), os.environ.get("PATH", "")]
        kept = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
        return {
            **kept,
            "HOME": str(self.folder / "user"),
            **QUIET,
            **service.environment,
            "PATH": os.pathsep.join(programs),
        }

    def _make_cluster(self) -> None:
        """What the entry point of PostgreSQL's image does at its first start."""
        service, place, secret = self.services["postgres"], self.folder / "postgres", self.folder / "password"
        place.mkdir()
        secret.touch(mode=0o600)
        secret.write_text(service.environment["POSTGRES_PASSWORD"])
        if (user := ordinary_user()) is not None:
            shutil.chown(place, user)
            shutil.chown(secret, user)
        asked = service.environment["POSTGRES_INITDB_ARGS"].split()
        name = service.environment["POSTGRES_USER"]
        made = subprocess.run(
            ["initdb", f"--username={name}", f"--pwfile={secret}", "--no-sync", *asked],
            env=self.environment(service), cwd=place, user=user, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if made.returncode:
            raise RuntimeError(made.stderr)

    def _here(self, service: Service) -> Service:
        """With the loopback, free ports and folders of ours for what a container has of its own."""
        ports = self.ports
        values = {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(ports["postgres"]),
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{ports['store']}",
            "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{ports['mlflow']}",
            "RAY_AUTH_TOKEN_PATH": str(self.folder / "ray_token"),
            "RAY_TMPDIR": str(self.folder / service.name),
            "SWEEPS_CACHE": str(self.folder / service.name / "cache"),
            "TORCH_HOME": str(self.folder / service.name / "torch"),
            "SWEEPS_HOME": str(self.folder / "home"),
        }
        words = {"/opt/sweeps": str(DOCKER)} | dict(self._words(service.name))
        said = " ".join((*service.command, *service.health))
        if "/opt/sweeps" not in said:
            del words["/opt/sweeps"]
        here = service.on(words, {name: values[name] for name in values if name in service.environment})
        if service.name == "postgres":
            here = replace(
                here, environment={**here.environment, "PGDATA": str(self.folder / "postgres/data")}
            )
        return replace(here, command=here.command + self._of_its_own(service.name))

    def _words(self, name: str) -> Mapping[str, str]:
        ports, place, local = self.ports, self.folder / name, "127.0.0.1"
        return {
            "postgres": {"--port=5432": f"--port={ports['postgres']}"},
            "store": {
                "/data": str(place), "0.0.0.0": local, "8333": str(ports["store"]), "/tmp": str(self.folder),
            },
            "mlflow": {
                "0.0.0.0": local, "--port=5000": f"--port={ports['mlflow']}", "/tmp": str(self.folder),
                "127.0.0.1:5000": f"{local}:{ports['mlflow']}", "/etc/mlflow": str(DOCKER),
            },
            "optuna-dashboard": {"0.0.0.0": local, "8081": str(ports["optuna-dashboard"])},
            "prometheus": {
                "0.0.0.0:9090": f"{local}:{ports['prometheus']}", "/tmp": str(self.folder),
                "127.0.0.1:9090": f"{local}:{ports['prometheus']}", "/etc/prometheus": str(self.folder),
                "path=/prometheus": f"path={place}",
            },
            "ray-head": {
                "--port=6379": f"--port={ports['gcs']}", "0.0.0.0": local, "8265": str(ports["ray-head"]),
                "8080": str(ports["head-metrics"]),
            },
            "ray-worker": {
                "ray-head:6379": f"{local}:{ports['gcs']}", "52365": str(ports["worker-agent"]),
                "8080": str(ports["worker-metrics"]),
            },
            "job": {"http://ray-head:8265": f"http://{local}:{ports['ray-head']}"},
        }.get(name, {})  # fmt: skip

    def _of_its_own(self, name: str) -> tuple[str, ...]:
        """What a container gives a process without being asked: ports and a folder for its socket."""
        ports = self.ports
        return {
            "postgres": (
                "-p", str(ports["postgres"]), "-k", str(self.folder / name),
                "-c", "listen_addresses=127.0.0.1",
            ),
            "store": tuple(
                f"-{'.port.'.join(each.split('.')) if '.' in each else each + '.port'}={ports[each]}"
                for each in INSIDE
            ),
            "ray-head": (
                f"--dashboard-agent-listen-port={ports['head-agent']}", "--node-ip-address=127.0.0.1",
            ),
            # Nodes that share a folder remove each other's working directories; by default it is the head's.
            "ray-worker": ("--node-ip-address=127.0.0.1", f"--temp-dir={self.folder / name}"),
        }.get(name, ())  # fmt: skip
