"""A trial whose files are kept in a storage: what a worker does that shares no disk with the driver.

The training writes into a folder of the node, and what it writes is copied; the data cache is copied to the
node once. The same guarantees hold as on one disk: a checkpoint is there whole, by its SHA-256, and the one
before it stays until the new one has been read back.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from cefl import data
from cefl.config import TrialConfig
from cefl.data.dataset import META
from cefl.disk import storing
from cefl.errors import DataError
from sweeps.storing import StorageAway, Store, store_at

VARIABLE = "SWEEPS_CACHE"
RESULTS = ("predictions.npz", "weights.safetensors")
SHARE = 0.01
"""Part of the time that copying checkpoints may take, beside the last one."""
AWAY_SECONDS = 30.0
"""After a checkpoint that the storage did not take, the next attempt."""
STALE_SECONDS = 2 * 24 * 3600

Row = dict[str, Any]


@dataclass(frozen=True)
class Stored:
    """Where the files of a trial are kept: address of the storage, and folder in it."""

    url: str
    folder: str


def node_cache() -> Path:
    """Folder on a node's own disk for copies: SWEEPS_CACHE, else the user's cache."""
    given = os.environ.get(VARIABLE)
    base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "sweeps"
    return Path(given or base).expanduser().absolute()


def rows_of(
    config: TrialConfig, folder: Path, stored: Stored | None, warn: Callable[[str], None], here: bool = False
) -> Iterator[Row]:
    """The rows of a trial, whose files are kept in ``folder``, or in a storage.

    Args:
        here: Whether this is the driver's machine, where also what a storage keeps is trained in ``folder``.
    """
    if stored is not None:
        return run_stored(config, stored, warn, folder if here else None)
    from cefl.trial import run_trial

    return run_trial(config, folder, warn=warn)


def run_stored(
    config: TrialConfig, stored: Stored, warn: Callable[[str], None], folder: Path | None = None
) -> Iterator[Row]:
    """The rows of `cefl.trial.run_trial`, going on from the storage's checkpoint, and leaving it there.

    Args:
        folder: To train in; by default one of the node's, which is removed afterwards.

    Raises:
        CeflError: As `run_trial`; `StorageError` if the storage is away for ten minutes, or refuses.
    """
    from cefl.trial import run_trial

    store, node = store_at(stored.url), node_cache()
    if folder is None:
        config = replace(config, data=str(data_at(store, config.digest, node)))
    with training_folder(folder, node, config.key()) as place:
        mirror = Mirror(store, stored.folder, place, warn)
        mirror.pull()
        for row in run_trial(config, place, warn=warn):
            mirror.push(last=row["epoch"] == config.recipe.epochs)
            yield row


class Mirror:
    """The folder of a trial on a node, and its copy in a storage."""

    def __init__(self, store: Store, name: str, folder: Path, warn: Callable[[str], None]) -> None:
        self.store, self.name, self.folder, self.warn = store, name, folder, warn
        self.there: list[str] = []  # Checkpoints in the storage, the newest last.
        self.due = 0.0

    def pull(self) -> None:
        """Bring the checkpoints here that are not; which of them are whole is seen when one is loaded."""
        self.there = [name for name in self.store.names(self.name) if name.startswith("checkpoint-")]
        for name in self.there:
            content = None if (self.folder / name).exists() else self.store.read(f"{self.name}/{name}")
            if content is not None:
                with storing(self.folder / name, len(content)):
                    (self.folder / name).write_bytes(content)

    def push(self, last: bool) -> None:
        """Copy the newest checkpoint, and with the last one first of all the results.

        Of an outage in between the next attempt makes up; the end of a training waits for the storage.
        """
        found = sorted(path.name for path in self.folder.glob("checkpoint-*.pt"))
        if not last and (not found or found[-1] in self.there or time.monotonic() < self.due):
            return
        begin = time.monotonic()
        if last:
            for name in RESULTS:
                if (self.folder / name).exists():
                    self.store.write(f"{self.name}/{name}", (self.folder / name).read_bytes())
        try:
            if found and found[-1] not in self.there:
                self._checkpoint(found[-1], None if last else 0.0)
        except StorageAway as error:
            if last:
                raise
            self.warn(f"{error}; the training goes on, its last checkpoint there stays")
            self.due = time.monotonic() + AWAY_SECONDS
            return
        self.due = time.monotonic() + (time.monotonic() - begin) / SHARE

    def _checkpoint(self, name: str, patience: float | None) -> None:
        self.store.write(f"{self.name}/{name}", (self.folder / name).read_bytes(), patience)
        for useless in self.there[:-1]:
            self.store.remove(f"{self.name}/{useless}", patience)
        self.there = [*self.there[-1:], name]


def data_at(store: Store, digest: str, node: Path) -> Path:
    """The copy of a data cache on this node, made by the first trial that needs it, for all processes.

    Raises:
        DataError: If the storage does not have it, or other bytes.
    """
    folder = node / "data" / digest
    if (folder / META).exists():
        return folder
    with storing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{digest}.lock")):
        if (folder / META).exists():
            return folder
        aside = Path(tempfile.mkdtemp(prefix=f".{digest[:12]}-", dir=folder.parent))
        try:
            store.fetch(f"data/{digest}", aside)
            data.verify(aside)
            if data.open_dataset(aside).digest != digest:
                raise DataError(f"{store.url}/data/{digest}: has other images; remove that folder, run again")
            aside.rename(folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return folder


@contextmanager
def training_folder(given: Path | None, node: Path, key: str) -> Iterator[Path]:
    """A folder for one training; one of the node's own goes with it, and what killed ones have left."""
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given
        return
    base = node / "trials"
    with storing(base):
        base.mkdir(parents=True, exist_ok=True)
        for each in base.iterdir():
            if time.time() - each.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(each, ignore_errors=True)
        made = Path(tempfile.mkdtemp(prefix=f"{key}-", dir=base))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
