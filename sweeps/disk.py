"""A disk that is full, read-only or broken: told from other errors, and a sweep that it ends in order."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cefl.disk import NO_ROOM, free_at, megabytes, refusal
from cefl.errors import StorageError
from sweeps.conductor import Conductor
from sweeps.errors import DiskProblem, SweepError
from sweeps.home import LEAST_FREE, Home
from sweeps.live import Assignment

UNWRITABLE = (*NO_ROOM, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM)
UNWRITABLE_DATABASE = (
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN
)  # fmt: skip
GOES_ON = "then the same command goes on; what was written before is whole"


def trouble(error: BaseException, home: Home) -> str | None:
    """What is wrong with the disk of a home, if that is what an error comes from.

    Args:
        error: Also one that libraries have wrapped: its causes are looked through.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, DiskProblem | StorageError):
            return str(cause)
        if isinstance(cause, OSError) and cause.errno in UNWRITABLE:
            place = Path(cause.filename) if isinstance(cause.filename, str) else home.root
            return f"{refusal(place, 0, cause)}{_room(home, cause.errno in NO_ROOM)}"
        if isinstance(cause, sqlite3.Error):
            code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
            if code in UNWRITABLE_DATABASE:
                full = code == sqlite3.SQLITE_FULL
                text = f"{home.root}: a database cannot be written: {cause}, {free_at(home.root)}"
                return f"{text}; {'make room' if full else 'mend that'}{_room(home, full)}"
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return None


def _room(home: Home, full: bool) -> str:
    return f", at least {megabytes(LEAST_FREE)} below {home.root}" if full else ""


@contextmanager
def minding_disk(home: Home) -> Iterator[None]:
    """Tell an error that comes from the disk of a home as a `DiskProblem`."""
    try:
        yield
    except SweepError:
        raise
    except Exception as error:
        told = trouble(error, home)
        if told is None:
            raise
        raise DiskProblem(f"{told}, {GOES_ON}") from error


class MindingConductor(Conductor):
    """A conductor that ends its sweep in order where the disk is at fault, and none of the trials.

    What could not be written is as if the driver had been killed before it: the trial goes on next time.
    """

    def next(self) -> Assignment | None:
        with self._minding():
            return super().next()
        return None

    def row(self, ref: str, row: Mapping[str, Any]) -> bool:
        with self._minding():
            return super().row(ref, row)
        return True

    def warn(self, ref: str, text: str) -> None:
        with self._minding():
            super().warn(ref, text)

    def ended(self, ref: str, error: str | None = None, retry: bool = True) -> None:
        live = self.live[ref]
        with self._minding():
            return super().ended(ref, error, retry)
        with self._minding():
            if self.ledger.is_running(live.entry):
                self._watch_end(live, "interrupted", None)
        if live.lease is not None:
            live.lease.release()
        return None

    @contextmanager
    def _minding(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            told = trouble(error, self.home)
            if told is None:
                raise
            self.block(told)

    def end_blocked(self) -> None:
        """Once nothing is executed any more: raise why, if it is the disk.

        Raises:
            DiskProblem: With what is wrong, and what to do.
        """
        if self.blocked is not None:
            for ref in list(self.live):
                self.ended(ref)
            raise DiskProblem(f"{self.blocked}, {GOES_ON}")
