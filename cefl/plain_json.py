"""JSON from elsewhere: of ordinary size and depth, and with every key once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

LARGEST_BYTES = 1 << 26
"""The largest file that this program writes, a state of 10,000 trials, has less than a tenth of it."""


class AmbiguousJson(ValueError):
    """Read by one program it says one thing, by another another: a key stands twice, or it is no tree."""


def parse(text: str | bytes) -> Any:
    """The value of a text.

    Raises:
        AmbiguousJson: If a key is given twice in an object, or it is nested deeper than Python reads.
        ValueError: If it is no JSON.
    """
    try:
        return json.loads(text, object_pairs_hook=_once)
    except RecursionError:
        raise AmbiguousJson("it is nested too deeply") from None


def read(path: Path, largest: int = LARGEST_BYTES) -> Any:
    """The value in a file.

    Raises:
        OSError: If it cannot be read, or is no ordinary file.
        ValueError: As `parse`, and if it has more than ``largest`` bytes.
    """
    if path.exists() and not path.is_file():  # Reading a pipe would wait for its other end.
        raise OSError(f"{path} is no ordinary file")
    with path.open("rb") as file:
        content = file.read(largest + 1)
    if len(content) > largest:
        raise AmbiguousJson(f"`at most {largest:,} bytes` must hold, but it has more")
    return parse(content)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise AmbiguousJson(f"the key {twice[:60]!r} is given twice; keep one")
    return values
