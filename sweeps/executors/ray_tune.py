"""Trials on Ray Tune. Tune executes and nothing else: the conductor decides what runs, and what stops.

Tune's own stores, loggers and output are switched off; the ledger is the state.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_RESULT_BUFFER_LENGTH": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_memory_monitor_refresh_ms": "0",  # It ends a trial in a way that ends the whole sweep.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # Below `uv run` it copies the current folder, secrets and all.
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
}
os.environ.update({name: value for name, value in QUIET.items() if name not in os.environ})

import ray  # noqa: E402 (it reads the environment when it is imported)
from ray import tune  # noqa: E402
from ray.tune.schedulers import FIFOScheduler, TrialScheduler  # noqa: E402
from ray.tune.search import Searcher  # noqa: E402

from sweeps.conductor import Conductor  # noqa: E402
from sweeps.errors import EnvironmentProblem  # noqa: E402
from sweeps.executors.private_ray import (  # noqa: E402
    make_folder,
    on_loopback,
    remove_folder,
    require_token,
)
from sweeps.spec.model import Resources  # noqa: E402
from sweeps.trainable import BLOCKED, ERROR, RETRY, ROWS, WARNING, train  # noqa: E402

START_ATTEMPTS = 2
ASK_AHEAD = 1000  # Far above any number of slots: `LedgerSearch` itself holds back.


class LedgerSearch(Searcher):
    """Hands Tune what the conductor hands out."""

    def __init__(self, conductor: Conductor, slots: int, threads: int) -> None:
        super().__init__(metric=ROWS, mode="max")
        self.conductor: Conductor | None = conductor
        self.slots, self.threads = slots, threads
        self.refs: dict[str, str] = {}
        self.errors: dict[str, tuple[str, bool]] = {}

    def suggest(self, trial_id: str) -> Any:
        conductor = self._conductor
        if len(self.refs) >= self.slots:
            return None
        assignment = conductor.next()
        if assignment is None:
            # Nothing now but later: the next Tuner takes that on, since this one would stay at one slot.
            return None if self.refs else str(Searcher.FINISHED)
        self.refs[trial_id] = assignment.ref
        return {
            "trial": assignment.config.as_json(),
            "folder": str(assignment.folder),
            "threads": self.threads,
        }

    def take(self, trial_id: str, result: dict[str, Any]) -> bool:
        """A report of a trial; whether it must stop, and then what came after that row is not taken in."""
        if ERROR in result:
            self.errors[trial_id] = (result[ERROR], bool(result[RETRY]))
            return False
        ref = self.refs[trial_id]
        if BLOCKED in result:
            self._conductor.block(result[BLOCKED])
            return False
        if WARNING in result:
            self._conductor.warn(ref, result[WARNING])
            return False
        return any(self._conductor.row(ref, row) for row in json.loads(result[ROWS]))

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        message, retry = self.errors.pop(trial_id, (None, True))
        if error and message is None:
            message = "the trial's process died"
        self._conductor.ended(self.refs.pop(trial_id), message, retry)

    @property
    def _conductor(self) -> Conductor:
        if self.conductor is None:
            raise RuntimeError("a searcher that was pickled has no ledger")
        return self.conductor

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the ledger is the state."""
        Path(checkpoint_path).write_text("{}")

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the ledger is the state."""

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "conductor": None, "refs": {}, "errors": {}}


class LedgerScheduler(FIFOScheduler):
    """Asks the conductor after every row. Tune calls a scheduler before it calls the searcher."""

    def __init__(self, search: LedgerSearch) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.search = search

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        stop = self.search.take(trial.trial_id, result)
        return str(TrialScheduler.STOP if stop else TrialScheduler.CONTINUE)


class RayExecutor:
    """Runs trials on Ray, with warm actors that are used again.

    Args:
        cpus: Of a Ray of its own; ``None``: those of this machine.
        address: Of the cluster to join, see `sweeps.joining`; ``None``: a Ray of its own on this machine.
    """

    def __init__(self, resources: Resources, cpus: int | None = None, address: str | None = None) -> None:
        self.resources = resources
        self.folder = start_ray(cpus) if address is None else None
        if address is not None:
            join_ray(address)
        there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        self.gpus = self._gpus(there.get("GPU", 0.0))
        fits = int(there.get("CPU", 0.0) // resources.cpus)
        if self.gpus:
            fits = min(fits, int(there.get("GPU", 0.0) / self.gpus + 1e-9))
        if fits < 1:
            self.close()
            raise EnvironmentProblem(
                f"resources: a trial asks for {resources.cpus:g} CPUs and {self.gpus:g} GPUs, but there are"
                f" {there.get('CPU', 0):g} and {there.get('GPU', 0):g}; ask for less"
            )
        self.slots = min(fits, resources.concurrent or fits)

    def _gpus(self, there: float) -> float:
        if self.resources.gpus == "auto":
            return 1.0 if there >= 1 else 0.0
        return float(self.resources.gpus)

    def run(self, conductor: Conductor) -> None:
        """Execute until nothing is left, or the conductor is told to stop."""
        while not conductor.exhausted:
            with tempfile.TemporaryDirectory(prefix="sweeps-tune-", ignore_cleanup_errors=True) as folder:
                self._phase(conductor, folder)
            if not conductor.exhausted and not conductor.live:
                time.sleep(0.5)

    def _phase(self, conductor: Conductor, folder: str) -> None:
        search = LedgerSearch(conductor, self.slots, int(self.resources.cpus))
        trainable = tune.with_resources(train, {"cpu": self.resources.cpus, "gpu": self.gpus})
        tuner = tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=search, scheduler=LedgerScheduler(search), num_samples=-1,
                max_concurrent_trials=ASK_AHEAD, reuse_actors=True,
            ),
            run_config=tune.RunConfig(name="sweep", storage_path=folder, verbose=0),
        )  # fmt: skip
        with quiet_output():
            tuner.fit()
        for ref in list(search.refs.values()):
            conductor.ended(ref)  # Tune was stopped: what was running goes on next time.

    def interrupt(self) -> None:
        """End Tune's loop, which waits for results."""
        signal.raise_signal(signal.SIGUSR1)

    def close(self) -> None:
        """End every process of a Ray of its own, and its folder; leave a cluster, which ends the trials."""
        ray.shutdown()
        if self.folder is not None:
            remove_folder(self.folder)


def start_ray(cpus: int | None) -> str:
    """Start a Ray of this process's own, on the loopback, for this user alone.

    Returns:
        The folder of its sockets and logs.

    Raises:
        EnvironmentProblem: If it does not come up, twice.
    """
    require_token()
    failure = None
    for _ in range(START_ATTEMPTS):
        folder = make_folder()
        try:
            with quiet_output(), on_loopback():
                ray.init(
                    address="local", num_cpus=cpus, include_dashboard=False, logging_level=logging.ERROR,
                    log_to_driver=False, configure_logging=True, _temp_dir=folder,
                )  # fmt: skip
            return folder
        except Exception as error:  # Ray raises a bare Exception where its processes are slow to start.
            failure = error
            ray.shutdown()
            remove_folder(folder)
    raise EnvironmentProblem(
        f"Ray does not start ({' '.join(str(failure).split())}); is the machine overloaded, or its memory or"
        " disk full? Run the sweep again, or train in this process: --executor inline"
    ) from failure


def join_ray(address: str) -> None:
    """Become a driver of a cluster that is there already, and that others may use too.

    Raises:
        EnvironmentProblem: If there is none, or this machine is not part of it, or its token is not ours.
    """
    try:
        with quiet_output():
            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
    except Exception as error:  # Ray raises ConnectionError, RuntimeError, its own, and a bare Exception.
        ray.shutdown()
        raise EnvironmentProblem(
            f"the Ray cluster at {address} cannot be joined ({' '.join(str(error).split())[:400]}); is it up,"
            " and this machine one of its nodes? If it asks for a token: RAY_AUTH_MODE=token and"
            " RAY_AUTH_TOKEN_PATH. From another machine: sweeps submit; on a Ray of its own: --address local"
        ) from None


@contextlib.contextmanager
def quiet_output() -> Iterator[None]:
    """Tune's remaining notes go to the log, not to the terminal."""
    loggers = [logging.getLogger(name) for name in ("ray", "ray.tune", "ray._private")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
