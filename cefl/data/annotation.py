"""An annotation file of AI Challenger 2018: the class of every image. Nothing in it is taken on trust."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cefl import plain_json
from cefl.data.scanning import printable
from cefl.errors import DataError

LARGEST_BYTES = 1 << 26
"""The published files have 3 MB."""

PROBLEMS_SHOWN = 20


def read_annotation(path: Path, num_classes: int) -> tuple[dict[str, int], int]:
    """Class of every image.

    Args:
        path: A JSON list of ``{"disease_class": 3, "image_id": "name.jpg"}``; other keys are not looked at.
        num_classes: Classes lie from 0 to one less.

    Returns:
        Labels by the plain name of the image file, and how many entries repeat an earlier one.

    Raises:
        DataError: With every entry that is wrong: no plain file name, no such class, or two classes.
    """
    labels: dict[str, int] = {}
    problems: list[str] = []
    repeated = 0
    for position, entry in enumerate(_entries(path)):
        problem = _problem(entry, num_classes)
        if problem is None:
            name, label = entry["image_id"], entry["disease_class"]
            repeated += labels.get(name) == label
            before = labels.setdefault(name, label)
            if before != label:
                problem = f"image {printable(name)!r} is of class {label} here and of class {before} before"
        if problem is not None:
            problems.append(f"entry {position}: {problem}")
    if problems:
        shown = problems[:PROBLEMS_SHOWN]
        more = len(problems) - len(shown)
        lines = [f"{path}: {len(problems)} wrong entries", *shown, *([f"and {more} more"] if more else [])]
        raise DataError("\n  ".join(lines))
    return labels, repeated


def _entries(path: Path) -> list[Any]:
    size = path.stat().st_size
    if size > LARGEST_BYTES:
        raise DataError(f"{path}: `at most {LARGEST_BYTES} bytes` must hold, but it has {size}")
    try:
        entries = plain_json.read(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: is no JSON ({error}): unpack the archive again") from error
    if not isinstance(entries, list) or not entries:
        raise DataError(f'{path}: must be a list of {{"disease_class": 3, "image_id": "name.jpg"}}')
    return entries


def _problem(entry: Any, num_classes: int) -> str | None:
    """What is wrong with an entry."""
    if not isinstance(entry, dict):
        return f"must have disease_class and image_id, but is {_shown(entry)}"
    name, label = entry.get("image_id"), entry.get("disease_class")
    if isinstance(label, bool) or not isinstance(label, int) or not 0 <= label < num_classes:
        return f"`0 <= disease_class < {num_classes}` must hold, but it is {_shown(label)}"
    if not isinstance(name, str) or not name or name in (".", "..") or set(name) & set("/\\\0"):
        return f"image_id must be the plain name of a file in images/, but is {_shown(name)}"
    return None


def _shown(value: Any) -> str:
    text = printable(repr(value))
    return text if len(text) <= 60 else f"{text[:60]}..."
