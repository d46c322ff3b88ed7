"""What trials leave behind, on the driver's side: in the home, or in the storage that the home has.

A file of the home comes first: there is what was trained on this machine, and what was fetched before.
"""

from __future__ import annotations

from pathlib import Path

from cefl.checkpoint_files import delete_checkpoints
from cefl.data.dataset import META
from sweeps.files import write_bytes
from sweeps.home import Home
from sweeps.mirroring import Stored
from sweeps.plan import Plan
from sweeps.storing import Store, store_at

WEIGHTS, PREDICTIONS = "weights.safetensors", "predictions.npz"
CHECKPOINTS = "checkpoint-"
PATIENCE_SECONDS = 60.0
"""How long the driver waits for a storage: it has trials to look after."""


def store_of(home: Home) -> Store | None:
    """The storage of a home, ``None`` where the home is its own."""
    return None if home.storage is None else store_at(home.storage, PATIENCE_SECONDS)


def stored_trial(home: Home, folder: Path) -> Stored | None:
    """Where the storage has what lies in a trial's folder; homes that share it do not meet there."""
    return None if home.storage is None else Stored(home.storage, place_of(home, folder.name))


def place_of(home: Home, name: str) -> str:
    """Folder of a trial in the storage."""
    return f"{trials_of(home)}/{name}"


def trials_of(home: Home) -> str:
    """Folder of all trials of a home in its storage."""
    return f"homes/{home.id}/trials"


def kept(home: Home, folder: Path, name: str) -> Path | None:
    """A file of a trial, fetched if need be; ``None`` where it was not kept.

    Args:
        folder: Of the trial, in the home.

    Raises:
        StorageError: If the storage does not answer.
    """
    store = None if (folder / name).exists() else store_of(home)
    if store is not None:
        content = store.read(f"{place_of(home, folder.name)}/{name}")
        if content is not None:
            write_bytes(folder / name, content)
    return folder / name if (folder / name).exists() else None


def holding(home: Home, name: str) -> set[str]:
    """Names of the trial folders that have a file, asked for at once."""
    found = {path.parent.name for path in (home.root / "trials").glob(f"*/{name}")}
    store = store_of(home)
    if store is not None:
        files = [path.rpartition("/") for path in store.names(trials_of(home))]
        found |= {folder for folder, _, file in files if file == name}
    return found


def discard(home: Home, folder: Path, name: str) -> None:
    """Remove a file of a trial, wherever it is."""
    (folder / name).unlink(missing_ok=True)
    store = store_of(home)
    if store is not None:
        store.remove(f"{place_of(home, folder.name)}/{name}")


def forget_checkpoints(home: Home, folder: Path) -> None:
    """Remove what only a resume needs."""
    delete_checkpoints(folder)
    store = store_of(home)
    if store is not None:
        place = place_of(home, folder.name)
        for name in store.names(place):
            if name.startswith(CHECKPOINTS):
                store.remove(f"{place}/{name}")


def publish(home: Home, plan: Plan) -> list[str]:
    """Send the data caches of a plan to the storage that does not have them; names of those that were sent.

    They are known by their digest, so that all sweeps and homes share them.
    """
    store, sent = store_of(home), []
    if store is None:
        return []
    for digest, cell in {cell.base.digest: cell for cell in plan.cells}.items():
        if not store.has(f"data/{digest}/{META}"):
            store.send(Path(cell.base.data), f"data/{digest}")
            sent.append(cell.dataset)
    return sent
