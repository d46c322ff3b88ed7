"""What a trial asks of a cluster, and how many of it fit: on the nodes there are, or that may come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweeps.errors import EnvironmentProblem
from sweeps.spec.model import Resources

ACCELERATOR = "accelerator_type:"
WITHOUT_LIMIT = 1000
"""How many trials are asked for ahead where an autoscaler has no limit of nodes."""
AHEAD = 4
"""How many wait beside twice what fits, where an autoscaler does not say how many nodes it may start."""

Amounts = Mapping[str, float]


@dataclass(frozen=True)
class Group:
    """Nodes of one kind that an autoscaler may start; ``most`` is ``None`` for any number."""

    amounts: Amounts
    most: int | None


def asked_of(
    resources: Resources, nodes: Iterable[Amounts], groups: Sequence[Group] = ()
) -> dict[str, float]:
    """What one trial asks for, by Ray's names; ``gpus: auto`` is one where any node has one."""
    places = [*nodes, *(group.amounts for group in groups)]
    gpus = resources.gpus
    if gpus == "auto":
        any_gpu = any(place.get("GPU", 0.0) >= 1 for place in places)
        gpus = 1.0 if any_gpu or resources.accelerator else 0.0
    asked = {"CPU": resources.cpus, "GPU": float(gpus), **resources.custom}
    if resources.memory_bytes is not None:
        asked["memory"] = float(resources.memory_bytes)
    if resources.accelerator is not None:
        asked[ACCELERATOR + resources.accelerator] = 0.001  # As Ray itself asks for a type.
    return {name: amount for name, amount in asked.items() if amount}


def fit(asked: Amounts, node: Amounts) -> int:
    """How many trials run side by side on a node: none spans two, and a fraction of a GPU no two GPUs."""

    def times(name: str, amount: float) -> int:
        there = node.get(name, 0.0)
        if name == "GPU" and amount < 1:  # A part alone: a group that is what was asked for.
            return int(there) * int(1 / amount + 1e-9) + int(there % 1 / amount + 1e-9)
        return int(there / amount + 1e-9)

    return min(times(name, amount) for name, amount in asked.items())


def slots(asked: Amounts, nodes: Iterable[Amounts], groups: Sequence[Group] = ()) -> int:
    """How many trials to have at a time: what fits, or would after an autoscaler has done what it may.

    An autoscaler starts nodes for what waits, so something has to.
    """
    now = sum(fit(asked, node) for node in nodes)
    most = 0
    for group in groups:
        count = WITHOUT_LIMIT if group.most is None else group.most
        most += fit(asked, group.amounts) * count
    return max(now, min(most, now + WITHOUT_LIMIT))


def unknown(asked: Amounts, nodes: Iterable[Amounts]) -> Group:
    """What an autoscaler may start that does not say what: room for so many trials again as fit, and some."""
    return Group(asked, 2 * sum(fit(asked, node) for node in nodes) + AHEAD)


def check_fits(asked: Amounts, nodes: Sequence[Amounts], groups: Sequence[Group] = ()) -> None:
    """Refuse what no node has, nor one that may come.

    Raises:
        EnvironmentProblem: With what the cluster has.
    """
    if slots(asked, nodes, groups) == 0:
        there = [f"{count} x ({told(dict(node))})" for node, count in counted(nodes)]
        there += [f"up to {group.most or 'any number'} more x ({told(group.amounts)})" for group in groups]
        raise EnvironmentProblem(
            f"resources: a trial asks for {told(asked)} on one node, but there are:"
            f" {'; '.join(there) or 'no nodes'}; ask for less, or add such a node"
        )


def counted(nodes: Sequence[Amounts]) -> list[tuple[tuple[tuple[str, float], ...], int]]:
    """Nodes of the same amounts together, as they are told."""
    shown = [
        tuple(sorted((name, amount) for name, amount in node.items() if not name.startswith("node:")))
        for node in nodes
    ]
    return Counter(shown).most_common()


def told(amounts: Amounts) -> str:
    """``CPU 2, GPU 0.5, memory 4.0 GiB``."""
    parts = [
        name.removeprefix(ACCELERATOR)
        if name.startswith(ACCELERATOR)
        else f"{name} {amount / 2**30:.1f} GiB"
        if name.endswith("memory")
        else f"{name} {amount:g}"
        for name, amount in amounts.items()
        if amount and name != "object_store_memory"
    ]
    return ", ".join(parts) or "nothing"


def alive(nodes: Iterable[Mapping[str, Any]]) -> list[Amounts]:
    """What each living node has, from ``ray.nodes()``."""
    return [node["Resources"] for node in nodes if node.get("Alive")]


def growing() -> list[Group]:
    """Kinds of nodes that this cluster's autoscaler may start; none where there is no autoscaler."""
    from ray._private.state import state

    config = state.get_cluster_config()
    if config is None:
        return []
    return [
        Group(dict(group.resources), None if group.max_count < 0 else int(group.max_count))
        for group in config.node_group_configs
        if group.max_count
    ]
