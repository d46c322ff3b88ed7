"""The data sets of a home: preparing, listing, showing and verifying their caches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cefl import data
from cefl.catalog import ORDERS
from cefl.data import Dataset
from cefl.data.building import LEFT_OUT
from cefl.data.dataset import META
from cefl.errors import DataError
from sweeps.errors import InputError
from sweeps.files import read_note
from sweeps.home import Home
from sweeps.preparing import PreparingBar
from sweeps.state import stored_conditions

SHEETS = "sheets"


@dataclass(frozen=True)
class Cached:
    """A cache of a home: its folder, and what it holds or why it cannot be opened."""

    folder: Path
    dataset: Dataset | None
    problem: str | None

    @property
    def name(self) -> str:
        return self.dataset.name if self.dataset else self.folder.name


def prepare_source(
    home: Home, source: str, test_per_class: int | None, skip_corrupt: bool
) -> tuple[Dataset, bool]:
    """A data set of a source, prepared where it is not yet, and whether that was necessary.

    Raises:
        DataError: If it cannot be read, or is prepared and its bytes are not those that were written.
    """
    home.create()
    base = Path.cwd()
    found = data.is_prepared(
        source, home.data, base=base, test_per_class=test_per_class, skip_corrupt=skip_corrupt
    )
    if found is not None:
        data.verify(found)
        return data.open_dataset(found), False
    bar = PreparingBar()
    folder = data.prepare(
        source,
        home.data,
        base=base,
        test_per_class=test_per_class,
        skip_corrupt=skip_corrupt,
        progress=lambda done, total: bar(source, done, total),
    )
    return data.open_dataset(folder), True


def caches(home: Home) -> list[Cached]:
    """Every cache of a home, by the name of its folder."""
    found = []
    for path in sorted(home.data.glob(f"*/{META}")) if home.data.is_dir() else []:
        if path.parent.name.startswith("."):
            continue
        try:
            found.append(Cached(path.parent, data.open_dataset(path.parent), None))
        except DataError as error:
            found.append(Cached(path.parent, None, str(error)))
    return found


def users(home: Home) -> Mapping[str, list[str]]:
    """Names of the sweeps that have cells on a data set, by its digest.

    Raises:
        DamagedFile: If that cannot be known of a sweep.
    """
    by_digest: dict[str, list[str]] = {}
    for name in home.sweeps():
        cells = stored_conditions(home, name).values()
        digests = {cell["digest"] for cell in cells if "digest" in cell}
        for digest in sorted(digests):
            by_digest.setdefault(digest, []).append(name)
    return by_digest


def facts(cached: Cached, used: Mapping[str, list[str]]) -> dict[str, Any]:
    """A cache in plain values; those of its contents are ``None`` where it cannot be opened."""
    dataset = cached.dataset
    counts = {split: sum(each) for split, each in dataset.counts.items()} if dataset else None
    return {
        "name": cached.name,
        "folder": str(cached.folder),
        "source": dataset.source if dataset else None,
        "images": sum(counts.values()) if counts else None,
        "splits": counts,
        "classes": len(dataset.classes) if dataset else None,
        "image_shape": list(dataset.image_shape) if dataset else None,
        "test_rule": dataset.test_rule if dataset else None,
        "left_out": len(read_note(cached.folder / LEFT_OUT) or []),
        "notes": list(dataset.notes) if dataset else [],
        "bytes": sum(path.stat().st_size for path in cached.folder.rglob("*") if path.is_file()),
        "digest": dataset.digest if dataset else None,
        "used_by": used.get(dataset.digest, []) if dataset else [],
        "problem": cached.problem,
    }


def named(home: Home, name: str) -> Cached | None:
    """The cache of a name, or of the name of its folder; of several with the same contents the first.

    Raises:
        InputError: If caches of different contents have the name.
    """
    found = [each for each in caches(home) if name in (each.name, each.folder.name)]
    if len({each.dataset.digest if each.dataset else each.folder.name for each in found}) > 1:
        folders = ", ".join(each.folder.name for each in found)
        raise InputError(f"{name}: {len(found)} caches have this name; say which one: {folders}")
    return found[0] if found else None


def opened(home: Home, name_or_source: str) -> Dataset:
    """A data set by the name of its cache, else by its source, which is prepared where it is not yet.

    Raises:
        InputError: If it is neither.
    """
    cached = named(home, name_or_source)
    if cached is not None:
        return cached.dataset or data.open_dataset(cached.folder)
    try:
        data.parse_source(name_or_source, Path.cwd(), home.data)
    except DataError as error:
        known = ", ".join(each.name for each in caches(home)) or "none yet"
        raise InputError(f"{error}; the caches in {home.data} are: {known}") from None
    return prepare_source(home, name_or_source, None, False)[0]


def verified(home: Home, name: str | None) -> list[dict[str, Any]]:
    """Every byte of one cache or of all, against what was written.

    Returns:
        ``name``, ``folder``, ``state`` (ok or damaged) and ``problem`` of each.

    Raises:
        InputError: If there is no cache of that name.
    """
    chosen = caches(home)
    if name is not None:
        cached = named(home, name)
        if cached is None:
            known = ", ".join(each.name for each in chosen) or "none yet"
            raise InputError(f"{name}: no such cache in {home.data}; there are: {known}")
        chosen = [cached]
    rows = []
    for each in chosen:
        problem = None
        try:
            data.verify(each.folder)
        except DataError as error:
            problem = str(error)
        state = "damaged" if problem else "ok"
        rows.append({"name": each.name, "folder": str(each.folder), "state": state, "problem": problem})
    return rows


def check_order(order: str) -> None:
    """Refuse an order that there is not."""
    if order not in ORDERS:
        raise InputError(f"--order: '{order}' is not one of {', '.join(ORDERS)}")
