"""Machines of a small cluster inside this one: own network, own processes, own `/tmp` and `/dev/shm`.

Each is a network namespace on one bridge, entered with mount and process namespaces of its own: what a
machine knows of another is what the network carries, and who kills its first process kills it all. Needs
root, and `ip` and `unshare` (apt-get install iproute2 util-linux).
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

MISSING = "machines of their own need root, and `ip` and `unshare`: apt-get install iproute2 util-linux"
PREFIX = "swp"
ROOT = Path(__file__).resolve().parents[2]
PLUMBING = """
mount --make-rprivate /
mkdir -p "$1/home"
case "$2" in /tmp/*) mkdir -p "$1/${2#/tmp/}"; mount --bind "$2" "$1/${2#/tmp/}";; esac
mount --rbind "$1" /tmp
mount -t tmpfs tmpfs /dev/shm
cd /tmp/home
shift 2
exec "$@"
"""
"""The programs stay where they are, also below `/tmp`, of which a machine sees nothing else."""

KEPT = ("LANG", "LC_ALL", "TZ", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "NO_PROXY", "no_proxy")


class NoMachines(Exception):
    """This system does not allow them."""


def call(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoMachines(f"{' '.join(command)}: {done.stderr.strip()}")


@dataclass
class Machine:
    """One machine, switched off until something is started on it.

    Attributes:
        folder: What it sees as ``/tmp``: its disk, which stays when it is killed.
    """

    name: str
    address: str
    namespace: str
    folder: Path
    environment: Mapping[str, str]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a command as the first process of the machine; what it prints goes to ``<name>.log``."""
        into = ["setpriv", "--pdeathsig", "KILL", "ip", "netns", "exec", self.namespace]
        apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        plumbing = ["sh", "-ec", PLUMBING, "sh", str(self.folder), str(ROOT)]
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [*into, *apart, *plumbing, *command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env=dict(self.environment),
            )  # fmt: skip
        self.processes.append(process)
        return process

    def ended(self) -> bool:
        """Whether something that was started on it has ended by itself."""
        return any(process.poll() is not None for process in self.processes)

    @property
    def log(self) -> Path:
        return self.folder.with_name(f"{self.name}.log")

    @property
    def inside(self) -> Path:
        """The root of its file system, as what runs on it sees it."""
        (child,) = psutil.Process(self.processes[0].pid).children()
        return Path(f"/proc/{child.pid}/root")

    def kill(self) -> None:
        """End all its processes at once, as a loss of power does."""
        for process in self.processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # The kernel ends what is in the namespace with it.
            process.wait()
        self.processes.clear()


class Network:
    """A bridge that this system and the machines are on."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("unshare"):
            raise NoMachines(MISSING)
        remove_left_overs()
        self.folder, self.environment = folder, {**dict(base_environment()), **environment}
        self.bridge = f"{PREFIX}{os.getpid()}"
        self.machines: list[Machine] = []
        taken = subprocess.run(["ip", "-4", "route"], capture_output=True, text=True, check=False).stdout
        self.subnet = next(net for n in range(1, 250) if (net := f"10.213.{n}.") not in taken)
        try:
            call("ip", "link", "add", self.bridge, "type", "bridge")
            call("ip", "address", "add", f"{self.address}/24", "dev", self.bridge)
            call("ip", "link", "set", self.bridge, "up")
        except NoMachines:
            self.remove()
            raise

    @property
    def address(self) -> str:
        """That of this system."""
        return f"{self.subnet}1"

    def machine(self, name: str, **environment: str) -> Machine:
        """One more machine."""
        number = len(self.machines) + 2
        namespace, cable = f"{self.bridge}-{number}", f"{self.bridge}x{number}"
        machine = Machine(
            name, f"{self.subnet}{number}", namespace, self.folder / name,
            {**self.environment, **environment},
        )  # fmt: skip
        machine.folder.mkdir(parents=True)
        self.machines.append(machine)
        call("ip", "netns", "add", namespace)
        call("ip", "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        call("ip", "link", "set", cable, "master", self.bridge, "up")
        call("ip", "-n", namespace, "address", "add", f"{machine.address}/24", "dev", "eth0")
        call("ip", "-n", namespace, "link", "set", "eth0", "up")
        call("ip", "-n", namespace, "link", "set", "lo", "up")
        return machine

    def remove(self) -> None:
        """Switch all machines off and take the network away."""
        for machine in self.machines:
            machine.kill()
        remove(self.bridge)


def base_environment() -> Iterator[tuple[str, str]]:
    """What a machine has in its environment: nothing of who tests, but where programs are."""
    yield "PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    yield "HOME", "/tmp/home"
    yield from ((name, os.environ[name]) for name in KEPT if name in os.environ)


def remove_left_overs() -> None:
    """Take away what test runs that were killed have left."""
    listed = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=False).stdout
    for bridge in set(re.findall(rf"\b({PREFIX}\d+)\b", listed)):
        if not Path(f"/proc/{bridge.removeprefix(PREFIX)}").exists():
            remove(bridge)


def remove(bridge: str) -> None:
    """Delete a bridge and its namespaces, with the cables between them."""
    for number in itertools.count(2):
        namespace = f"{bridge}-{number}"
        living = subprocess.run(
            ["ip", "netns", "pids", namespace], capture_output=True, text=True, check=False
        )
        for process in living.stdout.split():
            with suppress(ProcessLookupError):
                os.kill(int(process), signal.SIGKILL)
        command = ["ip", "netns", "delete", namespace]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            break
    subprocess.run(["ip", "link", "delete", bridge], capture_output=True, check=False)
