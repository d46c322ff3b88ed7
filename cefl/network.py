"""Downloads that libraries would wait for without end."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE_SECONDS = 30.0
"""How long nothing may come before a download is given up."""


@contextmanager
def patience() -> Iterator[None]:
    """A network that swallows packets is given up; torch and torchvision set no limit of their own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
