"""The home: one folder that holds everything of an installation.

home.json                           its identity, and where ledger and storage are if not here
optuna.db, mlflow.db, artifacts/    the stores
data/                               the data caches
trials/<key>/                       history.jsonl, result.json, checkpoints, weights
sweeps/<name>/                      specification, state, report
locks/                              who drives what
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout

from sweeps.addresses import (
    REMEMBERED,
    TRACKING,
    folder_for,
    from_environment,
    is_url,
    ledger_address,
    remembered_at,
    storage_address,
    storage_form,
    without_password,
    without_user,
)
from sweeps.errors import AlreadyRunning, EnvironmentProblem
from sweeps.files import read_json, read_note, write_json
from sweeps.heartbeat import beating, is_beating, is_elsewhere, this_host

VARIABLE = "SWEEPS_HOME"
DEFAULT = "runs"
HOME_LOCK = ".home.lock"  # No sweep, whose locks lie beside it, can have this name.
LEAST_FREE = 16 * 2**20
"""Bytes below which nothing is begun: databases, histories and a report take some, whatever the models."""
UNKNOWN_DRIVER = "see that no other host drives this sweep, and delete it"
LOOKED_AT_SECONDS = 0.2  # Who only looks whether a lock is held holds it for a moment.


class Lease(Protocol):
    """The right to train a key; it goes with its process."""

    def release(self) -> object: ...


@dataclass(frozen=True)
class Home:
    """Paths below the root, which is absolute: workers run in folders of their own.

    Attributes:
        ledger: Address of a PostgreSQL database, ``None`` for a file in the home.
        storage: Address that driver and workers of a cluster reach alike, ``None`` for the home itself.
        tracking: Address of an MLflow server, where the specification has none; ``None``: a file in the home.
    """

    root: Path
    ledger: str | None = field(default=None, repr=False)
    storage: str | None = None
    tracking: str | None = field(default=None, repr=False)

    @classmethod
    def at(cls, path: str | Path | None) -> Home:
        """The home at ``path``, or where SWEEPS_HOME says, or ``./runs``; of an address, this machine's part.

        Raises:
            InputError: If the environment has another ledger or storage for it than it was made with, or if
                these cannot be read.
        """
        given = str(path or os.environ.get(VARIABLE) or DEFAULT)
        place = "--home" if path else VARIABLE
        address = storage_form(place, given) if is_url(given) else None
        root = Path(folder_for(address, given) if address else given).expanduser().resolve()
        remembered = remembered_at(root)
        ledger = ledger_address(root, remembered)
        storage = storage_address(root, address, remembered, place)
        return cls(root, ledger, storage, from_environment(TRACKING) or remembered.get("tracking"))

    @property
    def optuna_url(self) -> str:
        return self.ledger or f"sqlite:///{self.root / 'optuna.db'}"

    @property
    def has_ledger(self) -> bool:
        """Whether there is a ledger to look at; that of a file is made by the first sweep."""
        return self.ledger is not None or (self.root / "optuna.db").exists()

    @property
    def id(self) -> str:
        """What tells homes apart that share a database or a storage; given by `create`."""
        return str(remembered_at(self.root).get("id", ""))

    @property
    def mlflow_uri(self) -> str:
        return f"sqlite:///{self.root / 'mlflow.db'}"

    def tracked_at(self, uri: str | None) -> str | None:
        """Where MLflow has a sweep whose specification says ``uri``; ``None``: at `mlflow_uri`."""
        return uri or self.tracking

    @property
    def artifacts(self) -> Path:
        return self.root / "artifacts"

    @property
    def data(self) -> Path:
        return self.root / "data"

    def sweep(self, name: str) -> Path:
        """Folder of a sweep."""
        return self.root / "sweeps" / name

    def trial(self, key: str, fresh: int = 0) -> Path:
        """Folder of a trial; its ``fresh`` repetitions lie beside the first training."""
        return self.root / "trials" / (f"{key}-fresh{fresh}" if fresh else key)

    def create(self) -> None:
        """Make the folders and see that they can be written.

        Raises:
            EnvironmentProblem: If not.
        """
        try:
            for folder in (self.root, self.data, self.artifacts, self.root / "locks"):
                folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.root) as probe:
                probe.write(b"\0" * 4096)
                probe.flush()
                os.fsync(probe.fileno())
            self._remember()
        except OSError as error:
            reason = error.strerror or str(error)
            raise EnvironmentProblem(
                f"home {self.root}: cannot be written ({reason}); choose another with --home or {VARIABLE}"
            ) from None
        free = shutil.disk_usage(self.root).free
        if free < LEAST_FREE:
            raise EnvironmentProblem(
                f"home {self.root}: its disk must have {LEAST_FREE / 1e6:.1f} MB free, but has"
                f" {free / 1e6:.1f}; make room, or choose another with --home or {VARIABLE}"
            )

    def _remember(self) -> None:
        """Note who this home is and where its ledger and storage are, without a password."""
        with FileLock(self.root / "locks" / HOME_LOCK):
            before = remembered_at(self.root)
            addresses = {
                "ledger": self.ledger and without_password(self.ledger),
                "storage": self.storage,
                "tracking": self.tracking and without_user(self.tracking),
            }
            known = {"id": uuid.uuid4().hex[:12], **before}
            known |= {name: address for name, address in addresses.items() if address}
            if known != before:
                write_json(self.root / REMEMBERED, known)

    @contextmanager
    def initialising(self) -> Iterator[None]:
        """Hold the lock under which databases are made and migrated, here and in the ledger's database."""
        with FileLock(self.root / "locks" / HOME_LOCK), ExitStack() as shared:
            if self.ledger is not None:
                from sweeps.database_locks import locks_of

                shared.enter_context(locks_of(self.ledger).waiting("initialising"))
            yield

    @contextmanager
    def driving(self, name: str, say: Callable[[str], object] = lambda text: None) -> Iterator[None]:
        """Be the one driver of a sweep. The lock goes with its process, whatever ends that.

        What a driver on another host has left behind is taken over when nothing was heard of it for a while.

        Args:
            say: Told who is listened for, and what is taken over.

        Raises:
            AlreadyRunning: If another process holds it; says which.
        """
        holder, me = self.holder(name), {**this_host(), "process": os.getpid(), "started": time.time()}
        lock = FileLock(self.root / "locks" / f"{name}.lock")
        try:
            lock.acquire(timeout=LOOKED_AT_SECONDS)
        except Timeout:
            raise AlreadyRunning(
                f"sweep {name} is {described(read_note(holder))}; wait for it, or: sweeps stop {name}"
            ) from None
        shared = self._shared_lock(f"sweep/{name}")
        if self.ledger is not None and shared is None:
            lock.release()
            raise AlreadyRunning(
                f"sweep {name} on this ledger is {described(self._elsewhere(name))}; wait for it, or stop it"
                " there, or give this one another --name"
            )
        try:
            if self.ledger is None:  # Whose lock says so for all hosts.
                self._take_over(name, say)
            write_json(holder, me)
            try:
                with beating(self.beat(name)):
                    yield
            finally:
                if read_note(holder) == me:
                    holder.unlink(missing_ok=True)
        finally:
            if shared is not None:
                shared.release()
            lock.release()

    def _take_over(self, name: str, say: Callable[[str], object]) -> None:
        """See that no driver lives on another host.

        Raises:
            AlreadyRunning: If one does.
            DamagedFile: If that cannot be known.
        """
        left = read_json(self.holder(name), UNKNOWN_DRIVER)
        if not is_elsewhere(left):
            return
        say(f"sweep {name} was left {described(left)}; listening whether that still goes on")
        if is_beating(self.beat(name)):
            raise AlreadyRunning(f"sweep {name} is {described(left)}; wait for it, or end it there")
        say(f"nothing is heard from {left['host']}: going on here")

    def _shared_lock(self, name: str) -> Lease | None:
        """A lock in the ledger's database, ``None`` where another process has it, or the ledger is a file."""
        if self.ledger is None:
            return None
        from sweeps.database_locks import SharedLock, locks_of

        locks = locks_of(self.ledger)
        return SharedLock(locks, name) if locks.acquire(name) else None

    def _elsewhere(self, name: str) -> dict[str, Any] | None:
        """Who drives a sweep of this name, as the ledger's database knows it."""
        if self.ledger is None:
            return None
        from sweeps.database_locks import locks_of

        return locks_of(self.ledger).holder(f"sweep/{name}")

    def holder(self, name: str) -> Path:
        """Where a driver says who it is; whether there is one, its lock says."""
        return self.root / "locks" / f"{name}.json"

    def beat(self, name: str) -> Path:
        """Where a driver counts while it lives."""
        return self.root / "locks" / f"{name}.beat"

    def driver(self, name: str) -> dict[str, Any] | None:
        """Host, process and start of the living driver of a sweep, ``None`` where there is none."""
        for _ in range(20):  # It says who it is a moment after it has its lock.
            driver = read_note(self.holder(name))
            if not self.is_driven(name):
                return driver if is_elsewhere(driver) and is_beating(self.beat(name)) else None
            if isinstance(driver, dict):
                return driver
            time.sleep(0.05)
        return {}

    def is_driven(self, name: str) -> bool:
        """Whether a living process drives the sweep; also on another machine that shares home and ledger."""
        if self.is_locked(name):
            return True
        return self.holder(name).exists() and self._elsewhere(name) is not None

    def is_locked(self, name: str) -> bool:
        """Whether a process that this machine sees holds the lock of a sweep."""
        path = self.root / "locks" / f"{name}.lock"
        if not path.exists():
            return False
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        lock.release()
        return False

    def lease(self, key: str) -> Lease | None:
        """The right to train a key, ``None`` while another sweep of this home trains it."""
        lock = FileLock(self.root / "locks" / f"trial-{key}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return None
        if self.ledger is None:
            return lock
        lock.release()  # Whoever shares the ledger's database is asked there, on whatever machine.
        return self._shared_lock(f"trial/{self.id}/{key}")

    def sweeps(self) -> list[str]:
        """Names of the sweeps that were started here."""
        return sorted(path.parent.name for path in (self.root / "sweeps").glob("*/state.json"))


def described(holder: Any) -> str:
    """Who drives a sweep, from the file beside its lock."""
    if not isinstance(holder, dict) or not holder:
        return "being driven by another process"
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(holder["started"]))
    return f"being driven by process {holder['process']} on {holder['host']} since {since}"
