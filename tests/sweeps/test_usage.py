"""What a trial uses is measured on its own process."""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from sweeps import usage
from sweeps.usage import ENVIRONMENT, GPU_FIGURES, PREFIX, SYSTEM, told_by, with_usage

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
    rows = list(with_usage(epochs(), 3, pytest.fail))
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

    rows = with_usage(epochs(), 3, pytest.fail)
    next(rows)
    assert "usage" in {thread.name for thread in threading.enumerate()}
    rows.close()  # type: ignore[attr-defined]
    deadline = time.monotonic() + 5
    while "usage" in {thread.name for thread in threading.enumerate()} and time.monotonic() < deadline:
        time.sleep(0.05)
    assert "usage" not in {thread.name for thread in threading.enumerate()}


def test_names_are_those_of_mlflow() -> None:
    from mlflow.system_metrics import system_metrics_monitor
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor

    theirs = re.findall(r'_metrics\[f?"(\w+|gpu_\{i\}\w+)"\]', inspect.getsource(GPUMonitor))
    assert set(GPU_FIGURES) <= {name.replace("{i}", "0") for name in theirs}
    theirs = re.findall(r'_metrics\["(\w+)"\]', inspect.getsource(CPUMonitor))
    (row,) = with_usage([{"epoch": 1}], 2, pytest.fail)
    assert {name.removeprefix(PREFIX) for name in row[SYSTEM]} - set(GPU_FIGURES) <= set(theirs)
    assert f'"{PREFIX}"' in inspect.getsource(system_metrics_monitor)


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without a GPU")
def test_what_no_gpu_tells_is_warned_of_once_and_the_rest_is_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(usage, "environment", dict)
    monkeypatch.setattr(usage, "_said", set())
    warnings: list[str] = []
    for _ in range(2):
        rows = list(with_usage(({"epoch": epoch} for epoch in (1, 2)), 2, warnings.append))
        assert [set(row[SYSTEM]) & {PREFIX + name for name in GPU_FIGURES} for row in rows] == [set(), set()]
        assert rows[1][SYSTEM][MEMORY] > 0
    told = " ".join(warnings)
    assert all(told.count(f"{name}") == 1 for name in GPU_FIGURES), warnings
    assert "not told by the GPU (" in told


def test_a_figure_that_is_refused_takes_no_other_with_it() -> None:
    class Partitioned:
        """As a part of a GPU under MIG, which tells its memory and nothing of its use."""

        device_memory_used = staticmethod(lambda: 5 * 10**8)
        get_device_properties = staticmethod(lambda device: type("Properties", (), {"total_memory": 10**9}))

        def utilization(self) -> int:
            raise RuntimeError("Not Supported")

        power_draw = utilization

    refused: dict[str, str] = {}
    seen = told_by(Partitioned(), refused)
    assert seen == {"gpu_0_memory_usage_megabytes": 500, "gpu_0_memory_usage_percentage": 50}
    assert refused == dict.fromkeys(set(GPU_FIGURES) - set(seen), "RuntimeError: Not Supported")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU of NVIDIA's")
def test_a_trial_on_a_gpu_tells_what_mlflow_would() -> None:
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor

    def trains() -> Iterator[dict[str, Any]]:
        held = torch.ones(10_000, 10_000, device="cuda")
        until = time.monotonic() + 2.5  # Longer than the GPU takes its own means over.
        while time.monotonic() < until:
            held = held @ held / held.norm()
            torch.cuda.synchronize()
        yield {"epoch": 1, "metrics": {}}

    (row,) = with_usage(trains(), 1, pytest.fail)
    found = {name.removeprefix(PREFIX): value for name, value in row[SYSTEM].items()}
    assert set(GPU_FIGURES) <= set(found)
    monitor = GPUMonitor()
    monitor.collect_metrics()
    theirs = monitor.aggregate_metrics()
    assert found["gpu_0_memory_usage_megabytes"] > 400
    for name in ("gpu_0_memory_usage_megabytes", "gpu_0_memory_usage_percentage"):
        assert found[name] == pytest.approx(theirs[name], rel=0.5)
    assert 0 < found["gpu_0_utilization_percentage"] <= 100
    assert found["gpu_0_power_usage_watts"] > 0
    assert row[ENVIRONMENT]["gpu"] == torch.cuda.get_device_name()
