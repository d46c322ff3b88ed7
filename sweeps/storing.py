"""A place of files that driver and workers reach alike: a shared folder or an object store, by its address.

    file:///mnt/shared    s3://bucket/folder    gs://bucket/folder    and whatever fsspec knows

Through PyArrow, as Ray does it. Credentials come from the environment or the files of the store's own tools
(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, ~/.aws), the address of another S3 than Amazon's from
AWS_ENDPOINT_URL.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from cefl.disk import storing
from cefl.errors import StorageError
from sweeps.addresses import folder_of, storage_form
from sweeps.files import write_bytes
from trackers.connection import reason

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

LAST = "meta.json"
"""Of a folder that is sent, this file is sent last: where it is, all of it is."""

PATIENCE_SECONDS = 600.0
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
FINAL = (
    "ACCESS_DENIED", "NO_SUCH_BUCKET", "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH",
    "INVALID_CLIENT_TOKEN_ID", "EXPIRED_TOKEN", "not authorized",
)  # fmt: skip
"""What no waiting mends, as PyArrow tells it."""

T = TypeVar("T")


class StorageAway(StorageError):
    """A storage that does not answer now."""


class Store:
    """Files by name, such as ``data/<digest>/meta.json``; each is there whole or not at all.

    Args:
        url: Its address.
        patience: Seconds that an outage is waited for.
    """

    def __init__(self, url: str, patience: float = PATIENCE_SECONDS) -> None:
        self.url, self.patience = url, patience
        self._system, self._root = opened(url)
        self._local = self._system.type_name == "local"

    def names(self, folder: str) -> list[str]:
        """All files below a folder, by their path in it; none where there is no such folder."""
        return sorted(self.sizes(folder))

    def sizes(self, folder: str) -> dict[str, int]:
        """Likewise with their bytes."""
        from pyarrow.fs import FileSelector, FileType

        place = self._path(folder)

        def ask() -> dict[str, int]:
            found = self._system.get_file_info(FileSelector(place, allow_not_found=True, recursive=True))
            files = (each for each in found if each.type == FileType.File and not each.path.endswith(".tmp"))
            return {each.path[len(place) + 1 :]: each.size for each in files}

        return self._patiently(ask, folder)

    def has(self, name: str) -> bool:
        """Whether a file is there."""
        return bool(self._patiently(lambda: self._system.get_file_info(self._path(name)).is_file, name))

    def read(self, name: str, patience: float | None = None) -> bytes | None:
        """Content of a file, ``None`` where there is none."""

        def ask() -> bytes | None:
            try:
                with self._system.open_input_stream(self._path(name)) as stream:
                    content: bytes = stream.read()
                    return content
            except FileNotFoundError:
                return None

        return self._patiently(ask, name, patience)

    def write(self, name: str, content: bytes, patience: float | None = None) -> None:
        """Write a file and read it back, so that what it replaces can go.

        Raises:
            StorageError: If the storage does not take it, or gives back something else.
        """

        def put() -> bool:
            if self._local:
                write_bytes(Path(self._path(name)), content)
            else:
                with self._system.open_output_stream(self._path(name)) as stream:
                    stream.write(content)
            return True

        self._patiently(put, name, patience)
        if self.read(name, patience) != content:
            raise StorageError(f"{self.url}/{name}: reads back other bytes than were written; mend that")

    def remove(self, name: str, patience: float | None = None) -> None:
        """Remove a file, if it is there."""

        def delete() -> None:
            try:
                self._system.delete_file(self._path(name))
            except FileNotFoundError:
                return
            except OSError:  # PyArrow then writes a mark for the folder, which not every store takes.
                if self._system.get_file_info(self._path(name)).is_file:
                    raise

        self._patiently(delete, name, patience)

    def send(self, folder: Path, name: str) -> None:
        """Copy a folder, streaming; what was half sent before is sent again."""
        from pyarrow.fs import LocalFileSystem, copy_files

        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        for path in sorted(files, key=lambda each: each.name == LAST):
            place = f"{name}/{path.relative_to(folder).as_posix()}"

            def copy(path: Path = path, place: str = place) -> None:
                target = self._path(place)
                if self._local:
                    Path(target).parent.mkdir(parents=True, exist_ok=True)
                copy_files(str(path), target, LocalFileSystem(), self._system)

            self._patiently(copy, place)

    def fetch(self, name: str, folder: Path) -> None:
        """Copy all files below ``name`` into a folder of this machine."""
        from pyarrow.fs import LocalFileSystem, copy_files

        for each in self.names(name):
            target = folder / each
            with storing(target):
                target.parent.mkdir(parents=True, exist_ok=True)

            def copy(each: str = each, target: Path = target) -> None:
                copy_files(self._path(f"{name}/{each}"), str(target), self._system, LocalFileSystem())

            self._patiently(copy, f"{name}/{each}")

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _patiently(self, action: Callable[[], T], what: str, patience: float | None = None) -> T:
        """The action's result; an outage is waited for.

        Raises:
            StorageAway: If it lasts longer.
            StorageError: If waiting is of no use.
        """
        deadline = time.monotonic() + (self.patience if patience is None else patience)
        wait = FIRST_WAIT
        while True:
            try:
                return action()
            except OSError as error:
                told = f"storage {self.url}: {what}: {reason(error)}"
                if any(each in str(error) for each in FINAL) or isinstance(error, PermissionError):
                    raise StorageError(
                        f"{told}; give every node credentials that may read and write there"
                    ) from None
                if time.monotonic() + wait > deadline:
                    raise StorageAway(f"{told}; see that it is up and can be reached") from None
            time.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)


@lru_cache(maxsize=8)
def store_at(url: str, patience: float = PATIENCE_SECONDS) -> Store:
    """The store of an address; one connection a process.

    Raises:
        StorageError: If the address cannot be understood.
    """
    return Store(url, patience)


def opened(url: str) -> tuple[FileSystem, str]:
    """File system of an address, and the path in it.

    Raises:
        StorageError: If there is nothing for such an address.
    """
    from pyarrow import fs

    parts = urlsplit(url)
    if parts.scheme == "file":
        return fs.LocalFileSystem(), str(folder_of(storage_form("storage", url)))
    if parts.scheme == "s3":
        return amazon(parts.netloc, parse_qs(parts.query)), f"{parts.netloc}{parts.path}".rstrip("/")
    try:
        try:
            system, path = fs.FileSystem.from_uri(url)
        except ValueError:  # PyArrow has none for it.
            from fsspec.core import url_to_fs

            found, path = url_to_fs(url)
            system = fs.PyFileSystem(fs.FSSpecHandler(found))
    except Exception as error:
        raise StorageError(
            f"storage {url}: cannot be opened ({reason(error)}); give s3://BUCKET/FOLDER, file:///FOLDER, or"
            " install what fsspec names for it"
        ) from None
    return system, str(path).rstrip("/")


def amazon(bucket: str, query: dict[str, list[str]]) -> Any:
    """Amazon's S3, or one like it, as AWS_ENDPOINT_URL or the address itself says."""
    from pyarrow import fs

    told = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    given = query.get("endpoint_override", [told])[0]
    scheme, _, host = given.rpartition("://")
    region = query.get("region", [os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")])[0]
    if host:
        # Amazon's newer checksums, which other stores do not all understand.
        os.environ.setdefault("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
    elif region is None:
        region = fs.resolve_s3_region(bucket)
    return fs.S3FileSystem(
        endpoint_override=host or None, scheme=query.get("scheme", [scheme or "https"])[0],
        region=region or "us-east-1", connect_timeout=10, request_timeout=60, background_writes=False,
    )  # fmt: skip
