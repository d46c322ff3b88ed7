"""Whether the nodes of a cluster reach what they need: this package, the storage or the home, weights."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cefl.errors import ModelError, StorageError
from sweeps.errors import EnvironmentProblem
from sweeps.executors.fitting import Amounts, fit
from sweeps.home import Home
from sweeps.keeping import store_of

SECONDS, DOWNLOAD_SECONDS = 120.0, 900.0
"""How long a node may take to answer, also where it downloads weights first."""


def check_nodes(home: Home, asked: Amounts) -> None:
    """See that every node that can take a trial reads and writes where the driver does.

    One that goes meanwhile is not missed.

    Raises:
        EnvironmentProblem: With the nodes that do not, and what to do.
    """
    import ray

    here = ray.get_runtime_context().get_node_id()
    nodes = [node for node in everything(ray) if node["Alive"] and fit(asked, node["Resources"])]
    if home.storage is None and all(node["NodeID"] == here for node in nodes):
        return
    name = f"probe-{uuid.uuid4().hex}"
    left = leave(home, name)
    try:
        wrong = ask_nodes(ray, nodes, reaches, home.storage, str(left), name)
    finally:
        take_away(home, left, name)
    if wrong:
        raise EnvironmentProblem(f"{told(wrong, len(nodes))}; {todo(home)}")


def check_weights_on_nodes(models: Sequence[str], asked: Amounts) -> None:
    """See that published weights are, or come, to every node that can take a trial.

    Raises:
        EnvironmentProblem: With the nodes where they do not, and what to do.
    """
    import ray

    nodes = [node for node in everything(ray) if node["Alive"] and fit(asked, node["Resources"])]
    wrong = ask_nodes(ray, nodes, lacks_weights, list(models), seconds=DOWNLOAD_SECONDS)
    if wrong:
        raise EnvironmentProblem(told(wrong, len(nodes)))


def ask_nodes(
    ray: Any,
    nodes: Sequence[Mapping[str, Any]],
    question: Callable[..., str | None],
    *arguments: Any,
    seconds: float = SECONDS,
) -> list[str]:
    """What keeps nodes from training, each with its name; nothing of those that have gone meanwhile.

    Args:
        question: Called on every node with the arguments; its answer is what is wrong there, or ``None``.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    remote: Any = ray.remote(num_cpus=0, max_retries=0)(question)
    places = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in nodes]
    waiting = [remote.options(scheduling_strategy=place).remote(*arguments) for place in places]
    problems = [answer(ray, ref, seconds) for ref in waiting]
    there = {node["NodeID"] for node in everything(ray) if node["Alive"]}
    return [
        f"{node['NodeManagerAddress']} ({node['NodeID'][:8]}): {problem}"
        for node, problem in zip(nodes, problems, strict=True)
        if problem and node["NodeID"] in there
    ]


def told(wrong: Sequence[str], nodes: int) -> str:
    """The first few of them."""
    return f"{len(wrong)} of {nodes} nodes cannot train: {'; '.join(wrong[:4])}"


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


def lacks_weights(models: Sequence[str]) -> str | None:
    """On a node: which published weights it has not, nor can download; ``None`` if it has all."""
    from cefl.pretrained import weights_file

    try:
        for model in models:
            weights_file(model)
    except ModelError as error:
        return str(error)
    return None


def answer(ray: Any, ref: Any, seconds: float) -> str | None:
    """What a node said, or that it does not."""
    try:
        found: str | None = ray.get(ref, timeout=seconds)
        return found
    except Exception as error:  # Of many kinds: the node died, or lacks this package.
        return " ".join(str(error).split())[-300:]


def everything(ray: Any) -> list[dict[str, Any]]:
    """All nodes of the cluster, as Ray tells them."""
    found: list[dict[str, Any]] = ray.nodes()
    return found
