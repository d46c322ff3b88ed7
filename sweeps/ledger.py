"""The ledger: Optuna studies hold every started trial of a sweep. One process writes it, the driver.

Every started trial stands there with its key, parameters, seed and kind as user attributes. It is started in
one commit, whether it was listed or asked for: what has no key was never handed out.
"""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import FloatDistribution
from optuna.samplers import TPESampler
from optuna.storages import RDBStorage
from optuna.trial import TrialState, create_trial

from sweeps.drafts import DraftingStorage
from sweeps.entries import Entry
from sweeps.errors import InputError
from sweeps.home import Home
from sweeps.pruning import pruner_of
from sweeps.rungs import Rungs
from sweeps.snapshot import LOOKS, OWNER, LedgerRow, engine_options, read_ledger, read_owners

optuna.logging.set_verbosity(optuna.logging.WARNING)

STARTUP_TRIALS = 4
"""Trials of a study before its sampler models them; the listed points count."""


class Ledger:
    """The studies of one sweep.

    Args:
        rungs: Of the studies whose trials may be stopped early, by the name of the study.
    """

    def __init__(self, home: Home, sweep: str, rungs: Mapping[str, Rungs] | None = None) -> None:
        self.url, self.sweep, self.rungs = home.optuna_url, sweep, rungs or {}
        self.owner: dict[str, str] | None = None
        if home.ledger is not None:
            self.owner = {"id": home.id, "host": socket.gethostname(), "folder": str(home.root)}
        with home.initialising():
            self.storage = RDBStorage(self.url, engine_kwargs=engine_options(self.url))
        self._drafting = DraftingStorage(self.storage)
        self._studies: dict[str, optuna.Study] = {}

    def close(self) -> None:
        """Give back the connections to the database."""
        self.storage.remove_session()
        self.storage.engine.dispose()

    def study(self, name: str) -> optuna.Study:
        """The study of a name, made where there is none."""
        if name not in self._studies:
            self._studies[name] = optuna.create_study(
                storage=self._drafting, study_name=name, direction="maximize", load_if_exists=True,
                pruner=pruner_of(self.rungs.get(name, Rungs())),
            )  # fmt: skip
            if self.owner is not None and OWNER not in self._studies[name].user_attrs:
                self._studies[name].set_user_attr(OWNER, self.owner)
        return self._studies[name]

    def rows(self) -> list[LedgerRow]:
        """Everything that was started."""
        return read_ledger(self.url, self.sweep)

    def close_unfinished_asks(self) -> None:
        """Tell FAIL for asks of earlier versions that died before they had a key."""
        for row in self.rows():
            if row.state == "running" and "key" not in row.attrs:
                self.storage.set_trial_state_values(row.trial_id, TrialState.FAIL)

    def start(
        self, study: str, key: str, loss: str, params: Mapping[str, float],
        ranges: Mapping[str, tuple[float, float]], seed: int, kind: str = "point", fresh: int = 0,
        first: int | None = None,
    ) -> Entry:  # fmt: skip
        """Start a trial, in one commit; the parameters with a range are what the sampler sees.

        Args:
            first: Number of the trial that is run again.
        """
        attrs = attributes(key, loss, params, seed, kind, fresh)
        if first is not None:
            attrs["first"] = first
        template = create_trial(
            state=TrialState.RUNNING, params={name: params[name] for name in ranges}, user_attrs=attrs,
            distributions={name: FloatDistribution(*interval) for name, interval in ranges.items()},
        )  # fmt: skip
        trial_id = self.storage.create_new_trial(self.study(study)._study_id, template)
        number = self.storage.get_trial_number_from_id(trial_id)
        return Entry(trial_id, study, number, key, loss, dict(params), seed, kind, fresh=fresh, attrs=attrs)

    def ask(self, study_name: str, ranges: Mapping[str, tuple[float, float]], seed: int) -> dict[str, float]:
        """Draw parameters; nothing is written before the trial is started with them.

        The sampler is seeded by (seed, study, number), so that a search that goes on repeats no draw.
        """
        study = self.study(study_name)
        number = len(study.get_trials(deepcopy=False))
        digest = hashlib.sha256(f"{seed}/{study_name}/{number}".encode()).digest()
        study.sampler = TPESampler(seed=int.from_bytes(digest[:4], "big"), n_startup_trials=STARTUP_TRIALS)
        return study.ask({name: FloatDistribution(*interval) for name, interval in ranges.items()}).params

    def note(self, entry: Entry, **attrs: Any) -> None:
        """Add user attributes; allowed while the trial is running."""
        for name, value in attrs.items():
            self.storage.set_trial_user_attr(entry.trial_id, name, value)

    def is_running(self, entry: Entry) -> bool:
        """Whether a trial has not ended."""
        return self.storage.get_trial(entry.trial_id).state == TrialState.RUNNING

    def report(self, entry: Entry, epoch: int, value: float) -> bool:
        """Note what a running trial is worth at a rung; whether the study's pruner would stop it there.

        A trial that goes on from a checkpoint comes by its rungs again, with the same values.
        """
        study = self.study(entry.study)
        self.storage.set_trial_intermediate_value(entry.trial_id, epoch, value)
        return study.pruner.prune(study, self.storage.get_trial(entry.trial_id))

    def note_look(self, study_name: str, seeds: int) -> None:
        """Note that the results of so many seeds of a confirmation are looked at, once."""
        study = self.study(study_name)
        looks = study.user_attrs.get(LOOKS, [])
        if seeds not in looks:
            study.set_user_attr(LOOKS, [*looks, seeds])

    def complete(self, entry: Entry, score: float) -> None:
        """All epochs done, with the objective of the chosen epoch."""
        self.storage.set_trial_state_values(entry.trial_id, TrialState.COMPLETE, [score])

    def prune(self, entry: Entry, reason: str) -> None:
        """Stopped early; the last reported value counts."""
        self.note(entry, reason=reason)
        self.storage.set_trial_state_values(entry.trial_id, TrialState.PRUNED)

    def fail(self, entry: Entry, reason: str) -> None:
        """Ended without a result."""
        self.note(entry, reason=reason)
        self.storage.set_trial_state_values(entry.trial_id, TrialState.FAIL)


def check_owner(home: Home, sweep: str) -> None:
    """Refuse a sweep that another home has begun under this name in the same database.

    Raises:
        InputError: If so; says where it is.
    """
    if home.ledger is None:
        return
    others = [owner for number, owner in read_owners(home.optuna_url, sweep).items() if number != home.id]
    if others:
        raise InputError(
            f"sweep {sweep}: this ledger has it from the home {others[0]['folder']} on {others[0]['host']};"
            " go on with it there, or give this one a name of its own (--name)"
        )


def attributes(
    key: str, loss: str, params: Mapping[str, float], seed: int, kind: str, fresh: int
) -> dict[str, Any]:
    """What stands in the ledger about a started trial."""
    attrs: dict[str, Any] = {
        "key": key,
        "loss": loss,
        "params": dict(params),
        "seed": seed,
        "kind": kind,
        "attempt": 1,
    }
    return {**attrs, "fresh": fresh} if fresh else attrs
