"""How much memory a process takes, and how much the machine or its container has left."""

from __future__ import annotations

from pathlib import Path

import psutil

CONTROL_GROUP = Path("/sys/fs/cgroup")
V1 = {
    "limit": "memory/memory.limit_in_bytes",
    "used": "memory/memory.usage_in_bytes",
    "stat": "memory/memory.stat",
}
V2 = {"limit": "memory.max", "used": "memory.current", "stat": "memory.stat"}


def own_memory() -> int:
    """Resident bytes of this process that no file stands behind: mapped images can be dropped at any time."""
    used = psutil.Process().memory_info()
    return int(used.rss - getattr(used, "shared", 0))


def machine_memory(group: Path = CONTROL_GROUP) -> tuple[int, int]:
    """Bytes of the machine, or of the container that this process runs in, and how many are left.

    Args:
        group: Where the kernel tells the limits of a container, in either of its two forms.
    """
    machine = psutil.virtual_memory()
    total, left = int(machine.total), int(machine.available)
    for names in (V2, V1):
        try:
            limit = int((group / names["limit"]).read_text())
            used = int((group / names["used"]).read_text())
            facts = dict(line.split() for line in (group / names["stat"]).read_text().splitlines())
        except (OSError, ValueError):  # No such form, or "max": without a limit.
            continue
        if 0 < limit < total:
            reclaimable = int(facts.get("total_inactive_file", facts.get("inactive_file", 0)))
            total, left = limit, min(left, limit - used + reclaimable)
    return total, max(0, left)
