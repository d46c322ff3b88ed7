"""What a trial uses is measured on its own process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import psutil
import pytest

from sweeps.usage import ENVIRONMENT, SYSTEM, with_usage

CPU, MEMORY = "system/cpu_utilization_percentage", "system/system_memory_usage_megabytes"


def epochs() -> Iterator[dict[str, Any]]:
    """One epoch that computes, one that waits, one that holds 200 MB more."""
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass
    yield {"epoch": 1, "metrics": {}}
    time.sleep(0.2)
    yield {"epoch": 2, "metrics": {}}
    held = np.ones(25_000_000)
    yield {"epoch": 3, "metrics": {"sum": held[0], "memory": psutil.Process().memory_info().rss / 1e6}}


def test_each_row_says_what_its_epoch_used_and_the_last_one_where() -> None:
    rows = list(with_usage(epochs(), 3))
    used = [row[SYSTEM] for row in rows]
    assert used[0][CPU] > 0
    assert used[1][CPU] < used[0][CPU], "a process that waits uses nothing"
    metrics = rows[2]["metrics"]  # Not 200 MB more: some may be what other tests have freed.
    assert used[2][MEMORY] == pytest.approx(metrics.pop("memory"), abs=20), (
        "what was freed before may be used"
    )
    share = used[2]["system/system_memory_usage_percentage"]
    assert share == pytest.approx(1e8 * used[2][MEMORY] / psutil.virtual_memory().total, abs=0.1)
    assert [ENVIRONMENT in row for row in rows] == [False, False, True]
    assert rows[2][ENVIRONMENT]["versions"]["numpy"] == np.__version__
    assert metrics == {"sum": 1.0}, "metrics stay as they are"


def test_the_thread_ends_with_the_trial() -> None:
    import threading

    rows = with_usage(epochs(), 3)
    next(rows)
    assert "usage" in {thread.name for thread in threading.enumerate()}
    rows.close()  # type: ignore[attr-defined]
    deadline = time.monotonic() + 5
    while "usage" in {thread.name for thread in threading.enumerate()} and time.monotonic() < deadline:
        time.sleep(0.05)
    assert "usage" not in {thread.name for thread in threading.enumerate()}
