"""Trials on Ray Tune. Tune executes and nothing else: the conductor decides what runs, and what stops.

Tune's own stores, loggers and output are switched off; the ledger is the state.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
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
from ray.tune.execution import class_cache  # noqa: E402
from ray.tune.schedulers import FIFOScheduler, TrialScheduler  # noqa: E402
from ray.tune.search import Searcher  # noqa: E402

from sweeps.conductor import Conductor  # noqa: E402
from sweeps.errors import EnvironmentProblem  # noqa: E402
from sweeps.executors.fitting import (  # noqa: E402
    Amounts,
    alive,
    asked_of,
    check_fits,
    fit,
    growing,
    slots,
    unknown,
)
from sweeps.executors.growth import grows_for  # noqa: E402
from sweeps.executors.private_ray import (  # noqa: E402
    bare,
    make_folder,
    on_loopback,
    remove_folder,
    require_token,
)
from sweeps.executors.watchdog import Watchdog  # noqa: E402
from sweeps.joining import TRAVELS  # noqa: E402
from sweeps.live import Live  # noqa: E402
from sweeps.spec.model import Resources  # noqa: E402
from sweeps.stopping import WAKE  # noqa: E402
from sweeps.temporary import remove_left_overs, temporary  # noqa: E402
from sweeps.trainable import BLOCKED, ERROR, RETRY, ROWS, WARNING, train  # noqa: E402
from sweeps.watching import Silence  # noqa: E402

# Its driver prints what a raylet says of dead workers, on standard output, which `--json` has for itself.
setattr(ray._private.worker, "print_to_stdstream", lambda data, ignore_prefix: None)  # noqa: B010

# Tune describes its actors by these, for the logs of every node to hold: a node has keys of its own.
class_cache.ENV_VARS_TO_PROPAGATE.difference_update(
    {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN"}
)

START_ATTEMPTS = 2
COUNT_SECONDS = 5.0
ASK_AHEAD = 1000  # Far above any number of slots: `LedgerSearch` itself holds back.


class LedgerSearch(Searcher):
    """Hands Tune what the conductor hands out.

    Args:
        slots: How many trials there may be at a time, as things stand.
        given: What a worker is told beside its trial.
    """

    def __init__(
        self, conductor: Conductor, slots: Callable[[], int], given: Callable[[], dict[str, Any]]
    ) -> None:
        super().__init__(metric=ROWS, mode="max")
        self.conductor: Conductor | None = conductor
        self.slots, self.given = slots, given
        self.silence = Silence(conductor.plan.spec.resources.epoch_limit)
        self.refs: dict[str, str] = {}
        self.errors: dict[str, tuple[str, bool]] = {}

    def suggest(self, trial_id: str) -> Any:
        conductor = self._conductor
        if len(self.refs) >= self.slots():
            return None
        assignment = conductor.next()
        if assignment is None:
            # Nothing now but later: the next Tuner takes that on, since this one would stay at one slot.
            return None if self.refs else str(Searcher.FINISHED)
        self.refs[trial_id] = assignment.ref
        return {
            "trial": assignment.config.as_json(),
            "folder": str(assignment.folder),
            **self.given(),
            "stored": assignment.stored and vars(assignment.stored),
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
        rows = json.loads(result[ROWS])
        self.silence.heard(ref, self._conductor.live[ref].cell.name, rows)
        return any(self._conductor.row(ref, row) for row in rows)

    def live(self, trial_id: str) -> Live | None:
        """A trial of Tune's as the conductor has it, ``None`` once it has ended."""
        return self._conductor.live.get(self.refs.get(trial_id, ""))

    @property
    def stopping(self) -> bool:
        """Whether the sweep is to end now."""
        return self._conductor.stopping

    def give_up(self, trial_id: str, reason: str) -> None:
        """Note why the process of a trial is about to be ended."""
        self.errors.setdefault(trial_id, (reason, True))

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        message, retry = self.errors.pop(trial_id, (None, True))
        ref = self.refs.pop(trial_id)
        self.silence.over(ref)
        if error and message is None:
            live = self._conductor.live[ref]  # Told apart: the same error twice in a row is final.
            message = f"its process died, attempt {live.entry.attempt}, last heard of at epoch {live.epoch}"
        self._conductor.ended(ref, message, retry)

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
        return {**self.__dict__, "conductor": None, "slots": None, "given": None, "refs": {}, "errors": {}}


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
        remove_left_overs()
        self.folder = start_ray(cpus) if address is None else None
        if address is not None:
            join_ray(address)
        self.counted = self.room = 0.0
        self.most = 1
        nodes, groups = self._nodes(), growing()
        self.asked = asked_of(resources, nodes, groups)
        self.grows = False
        try:
            if address is not None and not groups:
                self.grows = grows_for(self.asked, slots(self.asked, nodes) + 1)
            if not self.grows:
                check_fits(self.asked, nodes, groups)
        except BaseException:
            self.close()
            raise

    @staticmethod
    def _nodes() -> list[Amounts]:
        return alive(ray.nodes())  # type: ignore[no-untyped-call]

    @property
    def slots(self) -> int:
        """How many trials run at a time; a cluster grows and shrinks, so it is counted again and again."""
        if time.monotonic() > self.counted + COUNT_SECONDS or not self.counted:
            nodes = self._nodes()
            groups = growing() or ([unknown(self.asked, nodes)] if self.grows else [])
            self.room, self.counted = slots(self.asked, nodes, groups), time.monotonic()
            places = (*nodes, *(group.amounts for group in groups))
            self.most = max((fit(self.asked, place) for place in places), default=1)
        return int(min(self.room, self.resources.concurrent or self.room))

    def _given(self) -> dict[str, Any]:
        """What a worker is told beside its trial; of others beside it: those of the largest node now."""
        beside = max(1, min(self.slots, self.most))
        resources = self.resources
        return {"threads": int(resources.cpus), "memory": resources.memory_bytes, "beside": beside}

    def run(self, conductor: Conductor) -> None:
        """Execute until nothing is left, or the conductor is told to stop."""
        while not conductor.exhausted:
            with temporary("tune-") as folder:
                self._phase(conductor, str(folder))
            if not conductor.exhausted and not conductor.live:
                time.sleep(0.5)

    def _phase(self, conductor: Conductor, folder: str) -> None:
        search = LedgerSearch(conductor, lambda: max(1, self.slots), self._given)
        trainable = tune.with_resources(train, tune.PlacementGroupFactory([self.asked]))
        tuner = tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=search, scheduler=LedgerScheduler(search), num_samples=-1,
                max_concurrent_trials=ASK_AHEAD, reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="sweep", storage_path=folder, verbose=0, callbacks=[Watchdog(search)]
            ),
        )  # fmt: skip
        with quiet_output():
            tuner.fit()
        for ref in list(search.refs.values()):
            conductor.ended(ref)  # Tune was stopped: what was running goes on next time.

    def interrupt(self) -> None:
        """End Tune's loop, which waits for results."""
        signal.raise_signal(WAKE)

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
            with quiet_output(), on_loopback(), bare(), keeping_sigterm():
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
    travels = os.environ.get(TRAVELS)
    environment = {"working_dir": travels} if travels else None
    try:
        with quiet_output(), keeping_sigterm():
            ray.init(
                address=address, logging_level=logging.ERROR, log_to_driver=False, runtime_env=environment
            )
    except Exception as error:  # Ray raises ConnectionError, RuntimeError, its own, and a bare Exception.
        ray.shutdown()
        raise EnvironmentProblem(
            f"the Ray cluster at {address} cannot be joined ({' '.join(str(error).split())[:400]}); is it up,"
            " and this machine one of its nodes? If it asks for a token: RAY_AUTH_MODE=token and"
            " RAY_AUTH_TOKEN_PATH. From another machine: sweeps submit; on a Ray of its own: --address local"
        ) from None


@contextlib.contextmanager
def keeping_sigterm() -> Iterator[None]:
    """Put back who takes a SIGTERM: Ray sets a handler of its own, by which a process ends with status 15."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if callable(before) and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def quiet_output() -> Iterator[None]:
    """Tune's remaining notes are not shown, nor its tracebacks of dead processes: we tell those in a line."""
    loggers = [logging.getLogger(name) for name in ("ray", "ray.tune", "ray._private")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
