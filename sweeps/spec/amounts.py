"""Amounts of memory as people write them."""

from __future__ import annotations

import re

from pydantic_core import PydanticCustomError

UNITS = {"MB": 10**6, "GB": 10**9, "MiB": 2**20, "GiB": 2**30}


def bytes_of(memory: object) -> int | None:
    """``4GiB`` in bytes, ``None`` where that is no amount of memory."""
    if isinstance(memory, int) and not isinstance(memory, bool):
        return memory if memory > 0 else None
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) *(MB|GB|MiB|GiB)", str(memory).strip())
    return int(float(found[1]) * UNITS[found[2]]) or None if found else None


def checked_memory(memory: object) -> object:
    """The amount as it was written.

    Raises:
        PydanticCustomError: If it is none.
    """
    if memory is not None and bytes_of(memory) is None:
        raise PydanticCustomError("memory", "must be a number of bytes, or one of MB, GB, MiB or GiB")
    return memory
