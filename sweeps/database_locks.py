"""Locks in a PostgreSQL database, for drivers on several machines. They go with their holder's connection.

An advisory lock needs no table, and no clock: a driver that is killed gives it back at once, a machine that
vanishes about a minute later.
"""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlalchemy as sql
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from sweeps.errors import EnvironmentProblem
from trackers.connection import masked, reason

PREFIX = "sweeps "
NOTICED = "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"
"""Has the server notice within a minute that the other machine is gone; by default it takes two hours."""

HOLDER = """
    SELECT activity.application_name, extract(epoch FROM activity.backend_start)
    FROM pg_locks JOIN pg_stat_activity AS activity ON activity.pid = pg_locks.pid
    WHERE pg_locks.locktype = 'advisory' AND pg_locks.granted AND pg_locks.objsubid = 1
    AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND pg_locks.classid::bigint = :high AND pg_locks.objid::bigint = :low
"""


class DatabaseLocks:
    """The locks that this process holds in one database, all on one connection."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.held: set[str] = set()
        self._connection: sql.Connection | None = None
        self._alone = threading.RLock()

    def acquire(self, name: str) -> bool:
        """Take a lock unless somebody has it, this process included."""
        with self._alone:
            if name in self.held or not self._ask("SELECT pg_try_advisory_lock(:key)", key=number(name)):
                return False
            self.held.add(name)
            return True

    def release(self, name: str) -> None:
        """Give a lock back; without a lock left, the connection too."""
        with self._alone:
            self.held.discard(name)
            if self._connection is not None:
                try:
                    self._connection.execute(
                        sql.text("SELECT pg_advisory_unlock(:key)"), {"key": number(name)}
                    )
                except SQLAlchemyError:  # The connection is gone, and the lock with it.
                    self._close()
            if not self.held:
                self._close()

    def holder(self, name: str) -> dict[str, Any] | None:
        """Host, process and start of who holds a lock, ``None`` where nobody does."""
        key = number(name) % 2**64
        with self._alone:
            found = self._row(HOLDER, high=key >> 32, low=key % 2**32)
            if not self.held:
                self._close()
        if found is None:
            return None
        told, since = found
        host, _, process = str(told or "").removeprefix(PREFIX).rpartition(":")
        return {"host": host or "another machine", "process": process or "?", "started": float(since or 0)}

    @contextmanager
    def waiting(self, name: str) -> Iterator[None]:
        """Hold a lock, however long others do; on a connection of its own."""
        try:
            with connected(self.url) as connection:
                connection.execute(sql.text("SELECT pg_advisory_lock(:key)"), {"key": number(name)})
                yield
        except DBAPIError as error:
            raise unavailable(self.url, error) from None

    def _ask(self, query: str, **values: Any) -> Any:
        row = self._row(query, **values)
        return None if row is None else row[0]

    def _row(self, query: str, **values: Any) -> tuple[Any, ...] | None:
        """The first row; over a new connection, with all that was held, where the old one has broken."""
        for attempt in range(2):
            try:
                if self._connection is None:
                    self._connect()
                assert self._connection is not None
                found = self._connection.execute(sql.text(query), values).first()
                return None if found is None else tuple(found)
            except DBAPIError as error:
                self._close()
                if attempt:
                    raise unavailable(self.url, error) from None
        return None

    def _connect(self) -> None:
        self._connection = connected(self.url)
        for name in sorted(self.held):
            key = {"key": number(name)}
            if not self._connection.execute(sql.text("SELECT pg_try_advisory_lock(:key)"), key).scalar():
                raise EnvironmentProblem(
                    f"the ledger {masked(self.url)} was away, and somebody else has taken {name} meanwhile;"
                    " run the sweep again to go on with what is left"
                )

    def _close(self) -> None:
        if self._connection is not None:
            with suppress(DBAPIError):
                self._connection.close()
            self._connection = None


def connected(url: str) -> sql.Connection:
    """A connection that commits by itself and says whose it is."""
    me = f"{PREFIX}{socket.gethostname()[:40]}:{os.getpid()}"
    arguments = {"application_name": me, "options": NOTICED, "connect_timeout": 10}
    engine = sql.create_engine(
        url, poolclass=sql.NullPool, isolation_level="AUTOCOMMIT", connect_args=arguments
    )
    return engine.connect()


def number(name: str) -> int:
    """The lock of a name: 64 bits with a sign."""
    return int.from_bytes(hashlib.sha256(f"sweeps/{name}".encode()).digest()[:8], "big", signed=True)


def unavailable(url: str, error: BaseException) -> EnvironmentProblem:
    """What is told when a ledger's database does not answer."""
    why = reason(getattr(error, "orig", None) or error)
    return EnvironmentProblem(
        f"the ledger {masked(url)} does not answer: {why}; start it, or correct SWEEPS_LEDGER_URL;"
        " its password may also stand in ~/.pgpass or PGPASSWORD"
    )


@dataclass(frozen=True)
class SharedLock:
    """A lock that is held."""

    locks: DatabaseLocks
    name: str

    def release(self) -> None:
        """Give it back."""
        self.locks.release(self.name)


@lru_cache(maxsize=8)
def locks_of(url: str) -> DatabaseLocks:
    """The locks of a database that this process holds."""
    return DatabaseLocks(url)
