"""What a trial's process uses while it trains, under the names of MLflow's system metrics, and where it runs.

MLflow samples a whole machine; here trials share one, so processor and memory are those of the process that
trains. GPU figures are NVIDIA's for the device that the trial uses, which others may use too.
"""

from __future__ import annotations

import importlib.metadata
import platform
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any

import psutil

SYSTEM, ENVIRONMENT = "system", "environment"
"""What a row carries beside its metrics: usage since the row before; the last one, where it was trained."""

PREFIX = "system/"
SECONDS = 1.0
MEGABYTE = 1e6  # As MLflow counts them.
LIBRARIES = ("torch", "torchvision", "numpy", "cefl-sweeps", "ray", "mlflow", "optuna")


class Usage:
    """Samples this process in a thread until it is closed.

    Attributes:
        refused: What its GPU does not tell, and why.
    """

    def __init__(self) -> None:
        self.process = psutil.Process()
        self.refused: dict[str, str] = {}
        self._values: dict[str, list[float]] = defaultdict(list)
        self._lock, self._over = threading.Lock(), threading.Event()
        self._spent, self._since = self._processor_seconds(), time.monotonic()
        threading.Thread(target=self._work, name="usage", daemon=True).start()

    def since_last(self) -> dict[str, float]:
        """Means since the last call; of the resident memory the largest value seen."""
        self._sample()
        spent, now = self._processor_seconds(), time.monotonic()
        share = (spent - self._spent) / max(now - self._since, 1e-3) / (psutil.cpu_count() or 1)
        self._spent, self._since = spent, now
        with self._lock:
            values, self._values = self._values, defaultdict(list)
        resident = max(values.pop(PREFIX + "system_memory_usage_megabytes"))
        found = {
            "cpu_utilization_percentage": 100 * share,
            "system_memory_usage_megabytes": resident,
            "system_memory_usage_percentage": 100 * MEGABYTE * resident / psutil.virtual_memory().total,
        }
        named = {PREFIX + name: value for name, value in found.items()}
        named |= {name: sum(seen) / len(seen) for name, seen in values.items()}
        return {name: round(value, 1) for name, value in named.items()}

    def close(self) -> None:
        """End the thread."""
        self._over.set()

    def _processor_seconds(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def _work(self) -> None:
        while not self._over.wait(SECONDS):
            self._sample()

    def _sample(self) -> None:
        seen = {
            "system_memory_usage_megabytes": self.process.memory_info().rss / MEGABYTE,
            **gpu_usage(self.refused),
        }
        with self._lock:
            for name, value in seen.items():
                self._values[PREFIX + name].append(value)


GPU_FIGURES: dict[str, Callable[[Any], float]] = {
    "gpu_0_utilization_percentage": lambda cuda: float(cuda.utilization()),
    "gpu_0_memory_usage_megabytes": lambda cuda: cuda.device_memory_used() / MEGABYTE,
    "gpu_0_memory_usage_percentage": lambda cuda: (
        100 * cuda.device_memory_used() / cuda.get_device_properties(0).total_memory
    ),
    "gpu_0_power_usage_watts": lambda cuda: cuda.power_draw() / 1000,
}
"""How each is asked for at ``torch.cuda``; the trial's device is the first that its process sees."""

_said: set[str] = set()


def gpu_usage(refused: dict[str, str]) -> dict[str, float]:
    """Use and memory of the GPU that this process trains on; nothing where it trains on none.

    Args:
        refused: Gets the name and the reason of what cannot be told.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available() or not torch.cuda.is_initialized():
        return {}
    return told_by(torch.cuda, refused)


def told_by(cuda: Any, refused: dict[str, str]) -> dict[str, float]:
    """Those of `GPU_FIGURES` that there are."""
    seen = {}
    for name, figure in GPU_FIGURES.items():
        try:
            seen[name] = figure(cuda)
        except Exception as error:  # No NVIDIA management library, or it refuses: MIG, another maker.
            refused[name] = f"{type(error).__name__}: {error}"
    return seen


def not_told(refused: dict[str, str]) -> Iterator[str]:
    """What a GPU refuses to tell; for each reason once in a process, which trains many trials."""
    for reason in sorted(set(refused.values()) - _said):
        _said.add(reason)
        names = ", ".join(name for name, why in refused.items() if why == reason)
        yield f"{names}: not told by the GPU ({reason}); everything else is recorded"


@lru_cache(maxsize=1)
def environment() -> dict[str, Any]:
    """Machine, devices and versions of this process; no environment variables, which hold secrets."""
    torch = sys.modules.get("torch")
    gpu = torch is not None and torch.cuda.is_available()
    return {
        "host": platform.node(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "processors": psutil.cpu_count(),
        "memory_megabytes": round(psutil.virtual_memory().total / MEGABYTE),
        "gpu": torch.cuda.get_device_name() if gpu and torch is not None else None,
        "cuda": torch.version.cuda if gpu and torch is not None else None,
        "node": ray_node(),
        "versions": {name: version for name in LIBRARIES if (version := installed(name)) is not None},
    }


def installed(name: str) -> str | None:
    """Version of a distribution."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def ray_node() -> str | None:
    """Id of the node whose Ray this process is a worker of."""
    ray = sys.modules.get("ray")
    return ray.get_runtime_context().get_node_id() if ray is not None and ray.is_initialized() else None


def with_usage(
    rows: Iterable[dict[str, Any]], epochs: int, warn: Callable[[str], object]
) -> Iterator[dict[str, Any]]:
    """The rows of a trial, each with what the process used since the one before.

    Args:
        rows: One an epoch.
        epochs: The last one.
        warn: Told what cannot be measured here.
    """
    usage = Usage()
    try:
        for row in rows:
            more = {SYSTEM: usage.since_last()}
            for text in not_told(dict(usage.refused)):
                warn(text)
            if row["epoch"] == epochs:
                more[ENVIRONMENT] = environment()
            yield {**row, **more}
    finally:
        usage.close()
