"""What checks find, and words that they share."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sweeps.spec.reading import Path

Found = tuple[Path, str]


def did_you_mean(word: object, known: Iterable[str], elsewhere: Mapping[str, str] | None = None) -> str:
    """``, did you mean 'epochs'?``, or nothing where nothing is near.

    Args:
        known: What would be right here.
        elsewhere: What would be right in another place, with that place; a very near word here goes first.
    """
    known = list(known)
    near = difflib.get_close_matches(str(word), known, n=1, cutoff=0.8)
    near = near or difflib.get_close_matches(str(word), [*known, *(elsewhere or {})], n=1)
    if not near:
        return ""
    return f", did you mean '{near[0] if near[0] in known else (elsewhere or {})[near[0]]}'?"


def duplicates(values: Sequence[Any], path: Path) -> Iterator[Found]:
    """Values that stand twice in a list."""
    for index, value in enumerate(values):
        if value in values[:index]:
            yield (*path, index), f"{value} is listed twice; keep one"
