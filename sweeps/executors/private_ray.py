"""A Ray that is this user's alone: on the loopback, behind its token, in a folder that nobody else reads.

Ray by itself listens on every interface, also where it is told ``127.0.0.1``, writes its token for all to
read, and keeps its sockets and logs in a folder that everybody may write.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from sweeps.temporary import SHORT, make, remove


@contextlib.contextmanager
def on_loopback() -> Iterator[None]:
    """A Ray that is started meanwhile takes 127.0.0.1 for its address, and so listens there alone.

    Ray does that where it makes no clusters (macOS, Windows) and turns ``_node_ip_address`` back into the
    address of a network card; the switch stands in its constants and is read when it starts.
    """
    from ray._private import ray_constants

    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


@contextlib.contextmanager
def bare() -> Iterator[None]:
    """A Ray that is started meanwhile runs no autoscaler and no reader of logs, which serve a cluster.

    Its agent takes any free port: by itself it waits for one that the next Ray of this machine wants, too,
    for seconds and in vain. `ray.init` passes none of the three on.
    """
    from ray._private import parameter

    before = parameter.RayParams
    options: dict[str, Any] = {
        "no_monitor": True,
        "include_log_monitor": False,
        "dashboard_agent_listen_port": 0,
    }
    setattr(parameter, "RayParams", partial(before, **options))  # noqa: B010
    try:
        yield
    finally:
        setattr(parameter, "RayParams", before)  # noqa: B010


def require_token() -> None:
    """Whoever talks to this process's Ray must know its token, which no other user can read.

    Ray would make the file itself, but for all to read. Where it cannot be written the token goes into the
    environment, which only this user's processes can read.
    """
    os.environ.pop("RAY_AUTH_MODE", None)  # A local Ray asks for its token unless this says otherwise.
    if "RAY_AUTH_TOKEN" in os.environ or "RAY_AUTH_TOKEN_PATH" in os.environ:
        return
    try:
        make_private_token(Path.home() / ".ray" / "auth_token")
    except (OSError, RuntimeError):  # No home, or none that can be written.
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def make_private_token(path: Path) -> None:
    """See that a token is there and readable by its owner alone.

    Raises:
        OSError: If it cannot be written, or is another user's.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        descriptor, aside = tempfile.mkstemp(dir=path.parent)  # Made for its owner alone.
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(32))
            with contextlib.suppress(FileExistsError):  # Another sweep was faster: its token counts.
                os.link(aside, path)
        finally:
            os.unlink(aside)
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)


def make_folder() -> str:
    """A folder for sockets and logs, which Ray opens to all, below one that is closed to them."""
    return f"{make(place=SHORT if os.access(SHORT, os.W_OK) else None)}/ray"


def remove_folder(folder: str) -> None:
    """Remove what a Ray left."""
    remove(Path(folder).parent)
