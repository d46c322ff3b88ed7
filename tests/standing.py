"""A Ray that stands by itself, for drivers that join it: processes on this machine, ended one by one."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

HOST = "127.0.0.1"
START_SECONDS = 90.0


@dataclass(frozen=True)
class Environment:
    """What a driver needs to join, set when called."""

    values: dict[str, str]

    def __call__(self) -> None:
        os.environ.update(self.values)


class StandingRay:
    """A head, and nodes that are added to it."""

    def __init__(self, folder: Path, cpus: int) -> None:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            self.address = f"{HOST}:{probe.getsockname()[1]}"
        self.folder, self.nodes, self.started = folder, list[subprocess.Popen[bytes]](), 0
        self.environment = {
            "RAY_ADDRESS": self.address,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_memory_monitor_refresh_ms": "0",
            "RAY_worker_niceness": "0",  # A busy machine would starve the workers.
            "OMP_NUM_THREADS": "1",
        }
        # A socket's path must be short.
        self.temporary = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # noqa: S108
        places = f"--port={self.address.rpartition(':')[2]}", f"--temp-dir={self.temporary}"
        self._start(cpus, "--head", *places, "--include-dashboard=false")

    @property
    def joining(self) -> Environment:
        """For the ``before`` of a driver."""
        return Environment(self.environment)

    def add(self, cpus: int, **environment: str) -> subprocess.Popen[bytes]:
        """One more node; its trials have that environment, too."""
        return self._start(cpus, f"--address={self.address}", **environment)

    def _start(self, cpus: int, *more: str, **environment: str) -> subprocess.Popen[bytes]:
        self.started += 1
        log = self.folder / f"node{self.started}.log"
        ray = Path(sys.executable).with_name("ray")
        with log.open("wb") as out:
            node = subprocess.Popen(
                [ray, "start", "--block", f"--node-ip-address={HOST}", f"--num-cpus={cpus}", "--num-gpus=0",
                 "--disable-usage-stats", *more],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
                env={**os.environ, **self.environment, **environment},
            )  # fmt: skip
        self.nodes.append(node)
        deadline = time.monotonic() + START_SECONDS
        while "This command will now block forever" not in log.read_text():
            if node.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise RuntimeError(log.read_text())
            time.sleep(0.1)
        return node

    def workers(self, node: subprocess.Popen[bytes] | None = None) -> list[psutil.Process]:
        """Processes that train, of one node or all."""
        nodes = self.nodes if node is None else [node]
        return [process for each in nodes for process in trainers(each.pid)]

    def kill(self, node: subprocess.Popen[bytes]) -> None:
        """End all processes of a node at once, as a loss of power does."""
        for process in [*family(node.pid), psutil.Process(node.pid)]:
            with contextlib.suppress(psutil.Error):
                process.kill()
        node.wait()
        self.nodes.remove(node)

    def close(self) -> None:
        """End everything."""
        for node in list(self.nodes):
            self.kill(node)
        shutil.rmtree(self.temporary, ignore_errors=True)


def family(number: int) -> list[psutil.Process]:
    """All that descends from a process."""
    with contextlib.suppress(psutil.Error):
        return psutil.Process(number).children(recursive=True)
    return []


def trainers(number: int) -> list[psutil.Process]:
    """Workers of Ray below a process that have a trial."""
    found = []
    for process in family(number):
        with contextlib.suppress(psutil.Error):
            if process.name().startswith("ray::ImplicitFunc"):
                found.append(process)
    return found


@contextlib.contextmanager
def standing_ray(folder: Path, cpus: int) -> Iterator[StandingRay]:
    """A head with so many processors."""
    ray = StandingRay(folder, cpus)
    try:
        yield ray
    finally:
        ray.close()
