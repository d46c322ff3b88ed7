"""Asks that stay drafts until they are started: Optuna's own draws, in one commit."""

from __future__ import annotations

import hashlib
from pathlib import Path

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.samplers import TPESampler
from sqlalchemy import event

from sweeps.entries import Entry
from sweeps.home import Home
from sweeps.ledger import STARTUP_TRIALS, Ledger

STUDY = "sweep/cell/focal"
RANGES = {"gamma": (0.0, 5.0), "alpha": (0.1, 1.0)}


@pytest.fixture
def ledger(home: Path) -> Ledger:
    return Ledger(Home(home), "sweep")


def score(params: dict[str, float]) -> float:
    return -((params["gamma"] - 2) ** 2)


def asked(ledger: Ledger, number: int) -> Entry:
    params = ledger.ask(STUDY, RANGES, 7)
    return ledger.start(STUDY, f"key{number}", "focal", params, RANGES, 0, "ask")


def test_the_draws_are_those_of_optuna_with_the_same_seeds(ledger: Ledger) -> None:
    study = optuna.create_study(study_name=STUDY, direction="maximize")
    space = {name: FloatDistribution(*interval) for name, interval in RANGES.items()}
    mine, plain = [], []
    for number in range(STARTUP_TRIALS + 3):
        mine.append(asked(ledger, number))
        seed = int.from_bytes(hashlib.sha256(f"7/{STUDY}/{number}".encode()).digest()[:4], "big")
        study.sampler = TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS)
        plain.append(study.ask(space))
        if number % 3:  # So that some are running while others are drawn, which repels the sampler.
            ledger.complete(mine[-1], score(plain[-1].params))
            study.tell(plain[-1], score(plain[-1].params))
    assert [entry.params for entry in mine] == [trial.params for trial in plain]
    assert [entry.number for entry in mine] == [trial.number for trial in plain]
    for ours, theirs in zip(ledger.study(STUDY).trials, study.trials, strict=True):
        assert (ours.params, ours.distributions, ours.state, ours.value) == (
            theirs.params,
            theirs.distributions,
            theirs.state,
            theirs.value,
        )


def test_a_draw_that_is_not_started_leaves_nothing_and_comes_again(ledger: Ledger) -> None:
    first = ledger.ask(STUDY, RANGES, 7)
    assert ledger.rows() == []
    assert ledger.ask(STUDY, RANGES, 7) == first
    entry = ledger.start(STUDY, "key", "focal", first, RANGES, 0, "ask")
    assert [(row.number, row.attrs["key"]) for row in ledger.rows()] == [(entry.number, "key")]
    assert ledger.ask(STUDY, RANGES, 7) != first


def test_an_ask_is_started_in_one_commit(ledger: Ledger) -> None:
    ledger.study(STUDY)
    written: list[int] = []  # Statements that change something, by commit.
    open_now: list[str] = []

    def executed(connection: object, cursor: object, statement: str, *rest: object) -> None:
        if not statement.startswith(("SELECT", "PRAGMA")):
            open_now.append(statement)

    def committed(connection: object) -> None:
        if open_now:
            written.append(len(open_now))
            open_now.clear()

    event.listen(ledger.storage.engine, "before_cursor_execute", executed)
    event.listen(ledger.storage.engine, "commit", committed)
    params = ledger.ask(STUDY, RANGES, 7)
    assert written == []
    ledger.start(STUDY, "key", "focal", params, RANGES, 0, "ask")
    assert len(written) == 1
