"""Where a home keeps its ledger, its storage and its runs, where that is not its own folder.

All come from the environment and are remembered in the home, without their passwords: a home whose addresses
are forgotten, or are others the next time, would begin everything again.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_to_bytes, urlsplit, urlunsplit

from sweeps.errors import InputError
from sweeps.files import read_object

LEDGER, STORAGE, TRACKING = "SWEEPS_LEDGER_URL", "SWEEPS_STORAGE", "MLFLOW_TRACKING_URI"
REMEMBERED = "home.json"
FORGOTTEN = (
    "it alone says where this home has its ledger, storage and tracking server: correct it, or bring it back"
    " from a backup; where all of them are in the home itself, delete it"
)
_URL = re.compile(r"(?i)[a-z][a-z0-9+.-]*://|[a-z][a-z0-9+.-]+:/|file:")
_SECRET = re.compile(r"(?i)secret|passw|token|key|credential|signature|\bsig\b")
_BUCKETS = ("s3", "gs", "gcs")
_OPENED_BY_PYARROW = (*_BUCKETS, "hdfs", "viewfs", "abfs", "abfss")
_LONGEST_NAME = 150


def remembered_at(root: Path) -> dict[str, Any]:
    """What a home remembers of itself, nothing where it was not made yet.

    Raises:
        DamagedFile: If that cannot be read.
    """
    return read_object(root / REMEMBERED, FORGOTTEN, values=(str, type(None)))


def is_url(text: str) -> bool:
    """Whether a text is an address, or was meant to be one, and no path."""
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


def storage_address(
    root: Path, given: str | None, remembered: Mapping[str, Any], place: str = "--home"
) -> str | None:
    """The storage of a home, ``None`` for the home itself.

    Args:
        given: The home as it was asked for, where that is an address; else SWEEPS_STORAGE counts.
        place: Where it was asked for.

    Raises:
        InputError: If it has credentials in it, is no place that can be opened, or another than the home's.
    """
    place = place if given else STORAGE
    asked, before = given or os.environ.get(STORAGE) or None, remembered.get("storage")
    if before is not None:
        before = storage_form(f"{root / REMEMBERED}: storage", before)
    if asked is None:
        return before
    if not is_url(asked):
        asked = Path(asked).expanduser().resolve().as_uri()
    asked = storage_form(place, asked)
    if before is None:
        check_is_known(place, asked)
        return asked
    return _same(place, root, before, asked, asked)


def storage_form(place: str, address: str) -> str:
    """The one way to write a storage's address: two that differ are two places.

    Args:
        place: What the address was given as.

    Raises:
        InputError: If it has credentials in it, or does not say a place that all nodes understand alike.
    """
    check_holds_no_secret(place, address)
    scheme, _, rest = address.partition(":")
    scheme = scheme.lower()
    if scheme == "file":
        return _folder_form(place, address, rest)
    if not rest.startswith("//") or (scheme in _BUCKETS and not rest[2:].partition("/")[0]):
        raise InputError(
            f"{place}: an address of {scheme} must be {scheme}://BUCKET/FOLDER, with two slashes and a"
            f" bucket; for a folder of that name give ./{scheme}:/..."
        )
    return f"{scheme}:{rest}".rstrip("/")


def _folder_form(place: str, address: str, rest: str) -> str:
    host, path = "", rest
    if rest.startswith("//"):
        host, slash, path = rest[2:].partition("/")
        path = slash + path
    whole = path.startswith("/") and path.strip("/")
    if host.lower() not in ("", "localhost") or not whole or re.search(r"[?#]|%(?![0-9a-fA-F]{2})|%00", path):
        raise InputError(
            f"{place}: {address}: must be file:///FOLDER, with an absolute path, no host, and %25, %3F and"
            " %23 for %, ? and # in it; or give the path alone"
        )
    return Path("/" + os.fsdecode(unquote_to_bytes(path)).strip("/")).as_uri()


def folder_of(address: str) -> Path:
    """The folder of a ``file:`` address, as `storage_form` writes it."""
    return Path(os.fsdecode(unquote_to_bytes(urlsplit(address).path)))


def check_holds_no_secret(place: str, address: str) -> None:
    """Refuse an address with credentials in it, without telling them.

    Raises:
        InputError: If there are some.
    """
    scheme, _, rest = address.partition(":")
    rest = rest.removeprefix("//") if scheme.lower() == "file" else rest.lstrip("/")
    host = re.split("[/?#]", rest, maxsplit=1)[0]
    asks = [part.partition("=") for part in re.split(r"[?&;#]", address)[1:]]
    named = any(equals and _SECRET.search(unquote(name)) for name, equals, _ in asks)
    if named or "@" in host or re.search(r":(?!\d*$)", host):
        raise InputError(
            f"{place}: has credentials in it, which would be seen wherever the address is; give them as"
            " AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or in ~/.aws/credentials, on every node"
        )


def check_is_known(place: str, address: str) -> None:
    """Refuse an address that nothing opens, before anything is kept there.

    Raises:
        InputError: If neither PyArrow nor fsspec knows its beginning.
    """
    scheme = address.partition(":")[0]
    if scheme == "file" or scheme in _OPENED_BY_PYARROW:
        return
    from fsspec import available_protocols

    if scheme not in available_protocols():
        raise InputError(
            f"{place}: {address}: no storage is called {scheme}; give s3://BUCKET/FOLDER, gs://BUCKET/FOLDER,"
            " file:///FOLDER, or what fsspec knows"
        )


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


def folder_for(address: str, given: str | None = None) -> Path:
    """Where this machine keeps the home of a storage: locks, histories, data that are mapped into memory.

    Args:
        address: As `storage_form` writes it.
        given: As it was given: homes were once kept under that, without what tells like names apart.
    """
    base = Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser() / "sweeps"
    for old in (base / _plain(given or address), base / _plain(address)):
        if _keeps(old, address):
            return old
    digest = hashlib.sha256(address.encode()).hexdigest()[:8]
    return base / f"{_plain(address)[:_LONGEST_NAME]}-{digest}"


def _plain(address: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", address.rstrip("/")).strip("-")


def _keeps(folder: Path, address: str) -> bool:
    """Whether a folder is the home of a storage."""
    before = remembered_at(folder).get("storage")
    with suppress(InputError):
        return before is not None and storage_form(str(folder), before) == address
    return False
