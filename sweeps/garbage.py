"""What nothing in a home refers to, and its removal."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeps.data_sets import caches, users
from sweeps.errors import AlreadyRunning, InputError
from sweeps.home import Home, described
from sweeps.keeping import CHECKPOINTS as PREFIX
from sweeps.keeping import WEIGHTS, store_of, trials_of
from sweeps.snapshot import LedgerRow, read_ledger
from sweeps.weights import needed_by
from trackers.connection import masked

CHECKPOINTS, LEFT_OVERS = "checkpoint-*.pt", ".*.tmp"


@dataclass(frozen=True)
class Garbage:
    """A file or folder that can go.

    Attributes:
        kind: ``trial``, ``checkpoint``, ``weights`` or ``data``.
        why: Why nothing needs it.
        size: In bytes.
        stored: Its name in the storage, where it is there.
    """

    kind: str
    path: Path
    why: str
    size: int
    stored: str | None = None

    def as_json(self) -> dict[str, Any]:
        """With stable keys."""
        return {"kind": self.kind, "path": self.shown, "why": self.why, "bytes": self.size}

    @property
    def shown(self) -> str:
        """Where it is."""
        return str(self.path) if self.stored is None else f"storage: {self.stored}"


def find_garbage(home: Home) -> list[Garbage]:
    """All that nothing refers to, by kind and path.

    Raises:
        InputError: If there are trials but no ledger, which would say what they belong to.
    """
    rows = started(home)
    states: dict[str, set[str]] = {}
    for row in rows:
        states.setdefault(home.trial(row.attrs["key"], row.attrs.get("fresh", 0)).name, set()).add(row.state)
    spare = spare_weights(home, rows)
    found = [*in_trials(home, states), *weights_of(home, spare), *spare_data(home)]
    found += in_storage(home, states, spare)
    return sorted(found, key=lambda each: (each.kind, each.shown))


def started(home: Home) -> list[LedgerRow]:
    """Every trial of the home that has its key.

    Raises:
        InputError: If there are trials but no ledger.
    """
    rows = [row for row in read_ledger(home.optuna_url, None) if "key" in row.attrs]
    if home.ledger is not None:  # Other homes have sweeps there, too.
        mine = set(home.sweeps())
        rows = [row for row in rows if row.study.partition("/")[0] in mine]
    if not rows and any((home.root / "trials").glob("*/*")):
        raise InputError(
            f"{home.root}: it has trials, but its ledger ({masked(home.optuna_url)}) is empty or lost;"
            " bring it back from a backup, or run the specification again, which takes in the listed trials"
            " that are complete"
        )
    return rows


def strays(home: Home) -> list[Path]:
    """Folders of trials that no sweep has.

    Raises:
        InputError: If there are trials but no ledger.
    """
    known = {home.trial(row.attrs["key"], row.attrs.get("fresh", 0)).name for row in started(home)}
    return sorted(path for path in (home.root / "trials").glob("*/") if path.name not in known)


def in_trials(home: Home, states: dict[str, set[str]]) -> Iterator[Garbage]:
    """Folders of no trial, and what a trial that has ended needs no more.

    Args:
        states: In which states the ledger has the trials of a folder, by its name.
    """
    for folder in (home.root / "trials").glob("*/"):
        if folder.name not in states:
            yield Garbage("trial", folder, "no sweep has this trial", size_of(folder))
        elif "running" not in states[folder.name]:
            for path in [*folder.glob(CHECKPOINTS), *folder.glob(LEFT_OVERS)]:
                yield Garbage("checkpoint", path, "its trial has ended", size_of(path))


def in_storage(home: Home, states: dict[str, set[str]], spare: set[str]) -> Iterator[Garbage]:
    """Likewise in the storage of a home, whose data caches other homes may use."""
    store = store_of(home)
    for name, size in store.sizes(trials_of(home)).items() if store else ():
        folder, _, file = name.rpartition("/")
        place, path = f"{trials_of(home)}/{name}", home.root / "trials" / name
        if folder not in states:
            yield Garbage("trial", path, "no sweep has this trial", size, place)
        elif file.startswith(PREFIX) and "running" not in states[folder]:
            yield Garbage("checkpoint", path, "its trial has ended", size, place)
        elif file == WEIGHTS and folder in spare:
            yield Garbage("weights", path, "not the best of its cell", size, place)


def weights_of(home: Home, keys: set[str]) -> Iterator[Garbage]:
    """Weights of trials."""
    for path in (home.trial(key) / WEIGHTS for key in sorted(keys)):
        if path.exists():
            yield Garbage("weights", path, "not the best of its cell", size_of(path))


def spare_weights(home: Home, rows: list[LedgerRow]) -> set[str]:
    """Keys of the trials that are the best of no cell of a sweep that keeps the best."""
    started: dict[str, set[str]] = {name: set() for name in home.sweeps()}
    for row in rows:
        started.setdefault(row.study.partition("/")[0], set()).add(row.attrs["key"])
    wanted = set().union(*(needed_by(home, name, keys) for name, keys in started.items()))
    known = {row.attrs["key"] for row in rows if row.state != "running"}
    return known - wanted


def spare_data(home: Home) -> Iterator[Garbage]:
    """Data caches that no sweep uses."""
    used = users(home)
    for cached in caches(home):
        if cached.dataset is not None and not used.get(cached.dataset.digest):
            yield Garbage("data", cached.folder, "no sweep uses it", size_of(cached.folder))


def remove(home: Home, garbage: list[Garbage]) -> None:
    """Remove it.

    Raises:
        AlreadyRunning: If a sweep runs in this home: it may need next what nothing needs now.
    """
    for path in (home.root / "locks").glob("*.json"):
        driver = home.driver(path.stem)
        if driver is not None:
            raise AlreadyRunning(f"sweep {path.stem} is {described(driver)}; wait for it, then: sweeps gc")
    store = store_of(home)
    for each in garbage:
        if store is not None and each.stored is not None:
            store.remove(each.stored)
        elif each.path.is_dir():
            shutil.rmtree(each.path)
        else:
            each.path.unlink(missing_ok=True)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
