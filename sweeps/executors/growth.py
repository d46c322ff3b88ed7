"""Whether a cluster grows for what it has no room for: its autoscaler is asked, by something that waits.

Ray 2.60's own autoscalers start nodes, but report nowhere which kinds they may start (`fitting.growing` finds
what others report). Of what waits in the cluster they say whether they can ever place it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

SECONDS, POLL_SECONDS = 30.0, 0.5
"""How long it may take to answer: KubeRay's looks every 5 s."""


def grows_for(asked: Mapping[str, float], count: int) -> bool:
    """Whether an autoscaler has, or would start, nodes for so many trials at a time.

    Args:
        asked: What one asks for.
        count: More than fit on the nodes there are, so that it has to do something.
    """
    import ray
    from ray._raylet import GcsClient  # type: ignore[attr-defined]  # Compiled.
    from ray.util.placement_group import placement_group, remove_placement_group

    client = GcsClient(ray.get_runtime_context().gcs_address)
    if not _status(client).HasField("autoscaling_state"):
        return False
    waits = placement_group([dict(asked)] * count)
    try:
        return _says_so(client, waits.id.hex())
    finally:
        remove_placement_group(waits)


def _says_so(client: Any, name: str) -> bool:
    """Whether the autoscaler has seen what waits under a name, and does not call it infeasible."""
    there, deadline = _status(client).cluster_resource_state, time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        said = _status(client).autoscaling_state
        if said.last_seen_cluster_resource_state_version >= there.cluster_resource_state_version:
            return not any(each.details.startswith(name) for each in said.infeasible_gang_resource_requests)
        time.sleep(POLL_SECONDS)
    return False


def _status(client: Any) -> Any:
    from ray.core.generated.autoscaler_pb2 import GetClusterStatusReply  # type: ignore[attr-defined]

    reply = GetClusterStatusReply()
    reply.ParseFromString(client.get_cluster_status(timeout_s=10))
    return reply
