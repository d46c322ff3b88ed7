"""Where a home keeps its ledger, its storage and its runs, where that is not its own folder.

All come from the environment and are remembered in the home, without their passwords: a home whose addresses
are forgotten, or are others the next time, would begin everything again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from sweeps.errors import InputError

LEDGER, STORAGE, TRACKING = "SWEEPS_LEDGER_URL", "SWEEPS_STORAGE", "MLFLOW_TRACKING_URI"
REMEMBERED = "home.json"
_URL = re.compile(r"[a-z][a-z0-9+.-]*://")


def is_url(text: str) -> bool:
    """Whether a text is an address, not a path."""
    return _URL.match(text) is not None


def from_environment(variable: str) -> str | None:
    """The value of a variable, or the content of the file that ``<variable>_FILE`` names.

    Raises:
        InputError: If that file cannot be read.
    """
    value, file = os.environ.get(variable), os.environ.get(f"{variable}_FILE")
    if value or not file:
        return value or None
    try:
        return Path(file).read_text(encoding="utf-8").strip() or None
    except OSError as error:
        raise InputError(f"{variable}_FILE: {file} cannot be read ({error.strerror})") from None


def ledger_address(root: Path, remembered: Mapping[str, Any]) -> str | None:
    """The PostgreSQL database of a home's ledger, ``None`` for the SQLite file in the home.

    Raises:
        InputError: If it is no such address, or another than the home has its ledger at.
    """
    asked, before = from_environment(LEDGER), remembered.get("ledger")
    if asked is None:
        return before
    if not re.match(r"postgresql(\+\w+)?://", asked):
        raise InputError(
            f"{LEDGER}: must be postgresql://USER:PASSWORD@HOST/DATABASE, but begins with"
            f" {asked.partition(':')[0]!r}; without it the ledger is a file in the home"
        )
    if before is None and not (root / "optuna.db").exists():
        return asked
    return _same(LEDGER, root, before or "the file optuna.db in it", without_password(asked), asked)


def storage_address(root: Path, given: str | None, remembered: Mapping[str, Any]) -> str | None:
    """The storage of a home, ``None`` for the home itself.

    Args:
        given: The home as it was asked for, where that is an address; else SWEEPS_STORAGE counts.

    Raises:
        InputError: If it has credentials in it, or is another than the home's.
    """
    place = "--home" if given else STORAGE
    asked, before = given or os.environ.get(STORAGE) or None, remembered.get("storage")
    if asked is None:
        return before
    if not is_url(asked):
        asked = Path(asked).expanduser().resolve().as_uri()
    parts = urlsplit(asked)
    if "@" in parts.netloc or re.search(r"(?i)(secret|password|token|key)[^&=]*=", parts.query):
        raise InputError(
            f"{place}: has credentials in it, which would be seen wherever the address is; give them as"
            " AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or in ~/.aws/credentials, on every node"
        )
    asked = asked.rstrip("/")
    return asked if before is None else _same(place, root, before, asked, asked)


def _same(place: str, root: Path, before: str, asked: str, value: str) -> str:
    if before != asked:
        raise InputError(
            f"{place}: is {asked}, but home {root} has it at {before}; unset it, choose another --home,"
            f" or, if it has moved, correct {root / REMEMBERED}"
        )
    return value


def without_password(url: str) -> str:
    """A database's address as it may be written down."""
    from sqlalchemy.engine import make_url

    try:
        return make_url(url)._replace(password=None).render_as_string(hide_password=False)
    except Exception:
        raise InputError(f"{LEDGER}: is no address of a database") from None


def same_database(one: str, other: str) -> bool:
    """Whether two addresses are of one database."""
    if not (one.startswith("postgresql") and other.startswith("postgresql")):
        return False
    from sqlalchemy.engine import make_url

    first, second = make_url(one), make_url(other)
    return (first.host, first.port or 5432, first.database) == (
        second.host,
        second.port or 5432,
        second.database,
    )


def without_user(uri: str) -> str:
    """A tracking server's address as it may be written down; MLflow also takes both from the environment."""
    if uri.startswith("postgresql"):
        return without_password(uri)
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def folder_for(url: str) -> Path:
    """Where this machine keeps the home of a storage: locks, histories, data that are mapped into memory."""
    base = Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser()
    return base / "sweeps" / re.sub(r"[^A-Za-z0-9._-]+", "-", url.rstrip("/")).strip("-")
