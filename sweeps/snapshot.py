"""Reading the ledger at once, with a few queries instead of one a trial, and without loading Optuna.

The tables are Optuna's; a test compares what is read here with what Optuna says.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sql
from sqlalchemy.exc import OperationalError, ProgrammingError

from sweeps.database_locks import unavailable

STATES = {
    "RUNNING": "running",
    "COMPLETE": "complete",
    "PRUNED": "pruned",
    "FAIL": "failed",
    "WAITING": "waiting",
}

TRIALS = """
    SELECT trials.trial_id, studies.study_name, trials.number, trials.state
    FROM trials JOIN studies ON trials.study_id = studies.study_id
    WHERE studies.study_name LIKE :prefix ESCAPE '!' ORDER BY trials.trial_id
"""
ATTRIBUTES = """
    SELECT trial_user_attributes.trial_id, trial_user_attributes.key, trial_user_attributes.value_json
    FROM trial_user_attributes JOIN trials ON trials.trial_id = trial_user_attributes.trial_id
    JOIN studies ON trials.study_id = studies.study_id
    WHERE studies.study_name LIKE :prefix ESCAPE '!'
"""
VALUES = """
    SELECT trial_values.trial_id, trial_values.value
    FROM trial_values JOIN trials ON trials.trial_id = trial_values.trial_id
    JOIN studies ON trials.study_id = studies.study_id
    WHERE studies.study_name LIKE :prefix ESCAPE '!'
"""

OWNER = "home"
"""Attribute of a study in a database that homes share: whose it is."""

LOOKS = "looks"
"""Attribute of a confirmation's study: the numbers of seeds at which its results were looked at."""

STUDY_ATTRIBUTES = """
    SELECT studies.study_name, study_user_attributes.value_json
    FROM study_user_attributes JOIN studies ON studies.study_id = study_user_attributes.study_id
    WHERE studies.study_name LIKE :prefix ESCAPE '!' AND study_user_attributes.key = :name
"""
LOCK_WAIT_SECONDS = 60
"""How long whoever holds an SQLite database locked is waited for; its own default of 5 s is not enough."""

NO_SUCH_TABLE = "42P01"  # PostgreSQL's code for it.

T = TypeVar("T")


@dataclass(frozen=True)
class LedgerRow:
    """One started trial: its state in lower case, its user attributes, and its value if it has one."""

    trial_id: int
    study: str
    number: int
    state: str
    attrs: dict[str, Any]
    value: float | None


def read_ledger(url: str, sweep: str | None, attributes: tuple[str, ...] | None = None) -> list[LedgerRow]:
    """Every started trial of a sweep, in the order of their start; empty where there is no ledger yet.

    Args:
        url: Database of the ledger.
        sweep: Name of the sweep; ``None``: all of them.
        attributes: Which user attributes to read; all by default.
    """
    prefix = {"prefix": prefix_of(sweep)}
    query, parameters = ATTRIBUTES, dict(prefix)
    if attributes is not None:
        names = {f"name{index}": name for index, name in enumerate(attributes)}
        query += f" AND trial_user_attributes.key IN ({', '.join(f':{name}' for name in names)})"
        parameters |= names

    def rows(connection: sql.Connection) -> list[LedgerRow]:
        trials = connection.execute(sql.text(TRIALS), prefix).all()
        attrs: dict[int, dict[str, Any]] = defaultdict(dict)
        for trial_id, name, value in connection.execute(sql.text(query), parameters):
            attrs[trial_id][name] = json.loads(value)
        values = {trial_id: value for trial_id, value in connection.execute(sql.text(VALUES), prefix)}
        return [
            LedgerRow(trial_id, study, number, STATES[state], attrs.get(trial_id, {}), values.get(trial_id))
            for trial_id, study, number, state in trials
        ]

    return _asked(url, rows, [])


def read_looks(url: str, sweep: str) -> dict[str, tuple[int, ...]]:
    """Number of seeds at every look at a confirmation, by the name of its study."""

    def looks(connection: sql.Connection) -> dict[str, tuple[int, ...]]:
        found = connection.execute(sql.text(STUDY_ATTRIBUTES), {"prefix": prefix_of(sweep), "name": LOOKS})
        return {study: tuple(json.loads(value)) for study, value in found}

    return _asked(url, looks, {})


def read_owners(url: str, sweep: str) -> dict[str, dict[str, str]]:
    """Homes that have studies of a sweep, by their id: ``id``, ``host`` and ``folder``."""

    def owners(connection: sql.Connection) -> dict[str, dict[str, str]]:
        found = connection.execute(sql.text(STUDY_ATTRIBUTES), {"prefix": prefix_of(sweep), "name": OWNER})
        homes = [json.loads(value) for _, value in found]
        return {home["id"]: home for home in homes}

    return _asked(url, owners, {})


def engine_options(url: str) -> dict[str, Any]:
    """How the ledger's database is opened."""
    if url.startswith("sqlite"):
        return {"connect_args": {"timeout": LOCK_WAIT_SECONDS}}
    return {
        "connect_args": {"application_name": "sweeps ledger", "connect_timeout": 10},
        "pool_pre_ping": True,
    }


def prefix_of(sweep: str | None) -> str:
    """Pattern for the names of the studies of a sweep, or of all."""
    if sweep is None:
        return "%"
    return "".join(f"!{each}" if each in "!%_" else each for each in sweep) + "/%"


def _asked(url: str, ask: Callable[[sql.Connection], T], empty: T) -> T:
    """What the database answers; ``empty`` where there is no ledger yet."""
    engine = sql.create_engine(url, **{**engine_options(url), "poolclass": sql.NullPool})
    try:
        with engine.connect() as connection:
            return ask(connection)
    except (OperationalError, ProgrammingError) as error:
        if "no such table" in str(error) or "unable to open" in str(error):
            return empty
        if getattr(error.orig, "sqlstate", None) == NO_SUCH_TABLE:
            return empty
        if not url.startswith("sqlite"):
            raise unavailable(url, error) from None
        raise
    finally:
        engine.dispose()
