"""Whether the nodes of a cluster reach what they need: this package, and the storage or the home."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from cefl.errors import StorageError
from sweeps.errors import EnvironmentProblem
from sweeps.executors.fitting import Amounts, fit
from sweeps.home import Home
from sweeps.keeping import store_of

SECONDS = 120.0


def check_nodes(home: Home, asked: Amounts) -> None:
    """See that every node that can take a trial reads and writes where the driver does.

    One that goes meanwhile is not missed.

    Raises:
        EnvironmentProblem: With the nodes that do not, and what to do.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = ray.get_runtime_context().get_node_id()
    nodes = [node for node in everything(ray) if node["Alive"] and fit(asked, node["Resources"])]
    if home.storage is None and all(node["NodeID"] == here for node in nodes):
        return
    name = f"probe-{uuid.uuid4().hex}"
    left = leave(home, name)
    try:
        remote: Any = ray.remote(num_cpus=0, max_retries=0)(reaches)
        waiting = [
            remote.options(
                scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            ).remote(home.storage, str(left), name)
            for node in nodes
        ]
        problems = [answer(ray, ref) for ref in waiting]
    finally:
        take_away(home, left, name)
    there = {node["NodeID"] for node in everything(ray) if node["Alive"]}
    wrong = [
        f"{node['NodeManagerAddress']} ({node['NodeID'][:8]}): {problem}"
        for node, problem in zip(nodes, problems, strict=True)
        if problem and node["NodeID"] in there
    ]
    if wrong:
        raise EnvironmentProblem(
            f"{len(wrong)} of {len(nodes)} nodes cannot train: {'; '.join(wrong[:4])}; {todo(home)}"
        )


def todo(home: Home) -> str:
    """What to do about it."""
    if home.storage is not None:
        return f"every node needs this package, and credentials and a way to {home.storage}"
    return (
        f"give them a storage that all reach (SWEEPS_STORAGE=s3://BUCKET/FOLDER or a shared folder), or have"
        f" {home.root} mounted at the same path on all of them"
    )


def leave(home: Home, name: str) -> Path:
    """Put a file where the nodes shall find it; its path, if it is one."""
    path, store = home.root / "locks" / name, store_of(home)
    try:
        if store is not None:
            store.write(f"probes/{name}", name.encode())
        else:
            path.write_text(name)
    except StorageError as error:
        raise EnvironmentProblem(str(error)) from None
    return path


def take_away(home: Home, path: Path, name: str) -> None:
    """Remove it, and what a node wrote."""
    store = store_of(home)
    if store is not None:
        for each in (name, f"{name}.answer"):
            store.remove(f"probes/{each}")
    path.unlink(missing_ok=True)
    path.with_name(f"{name}.answer").unlink(missing_ok=True)


def reaches(storage: str | None, path: str, name: str) -> str | None:
    """On a node: what keeps it from reading and writing there, ``None`` if nothing does."""
    try:
        if storage is not None:
            from sweeps.storing import store_at

            store = store_at(storage, 10.0)
            if store.read(f"probes/{name}") != name.encode():
                return f"does not see what the driver wrote to {storage}"
            store.write(f"probes/{name}.answer", b"")
            return None
        if not Path(path).exists():
            return f"does not see {Path(path).parent.parent}"
        Path(path).with_name(f"{name}.answer").write_text("")
    except (StorageError, OSError) as error:
        return str(error)
    return None


def answer(ray: Any, ref: Any) -> str | None:
    """What a node said, or that it does not."""
    try:
        found: str | None = ray.get(ref, timeout=SECONDS)
        return found
    except Exception as error:  # Of many kinds: the node died, or lacks this package.
        return " ".join(str(error).split())[-300:]


def everything(ray: Any) -> list[dict[str, Any]]:
    """All nodes of the cluster, as Ray tells them."""
    found: list[dict[str, Any]] = ray.nodes()
    return found
