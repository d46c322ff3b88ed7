"""Names and texts as MLflow takes them.

MLflow allows letters, digits, ``_ - . / :`` and spaces in the name of a metric or parameter, at most 250
characters, and no name that a file system would read as another one (``..``, ``a//b``). A Windows server
refuses the colon, too. Class names come from people's folders and follow none of that.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import posixpath
import re
from collections.abc import Mapping
from typing import Any

LONGEST_NAME = 200
LONGEST_PARAM = 6000
LONGEST_TAG = 4000
"""Characters in a tag; MLflow takes 8,000 today and 5,000 before 2.8."""

_ALLOWED = re.compile(r"[\w.\-/ ]+")
_REFUSED = re.compile(r"[^\w.\-/ ]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_OURS = re.compile(r".*-[0-9a-f]{8}")


def safe_name(name: str) -> str:
    """``name`` itself where MLflow takes it, else a readable form of it with 8 hex digits of its SHA-256.

    Two names never share a safe form (but for a clash of the digits): a name that already ends like a safe
    form gets digits of its own.
    """
    if (
        _ALLOWED.fullmatch(name)
        and len(name) <= LONGEST_NAME
        and posixpath.normpath(name) == name
        and not name.startswith((".", "/", " "))
        and not name.endswith(" ")
        and not _OURS.fullmatch(name)
    ):
        return name
    digits = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    parts = (_REFUSED.sub("_", part).strip(" .") or "_" for part in name.split("/"))
    return f"{'/'.join(parts)[:LONGEST_NAME].rstrip('/ ')}-{digits}"


def cut(text: str, longest: int) -> str:
    """``text`` with at most ``longest`` characters; one that was cut ends in three dots.

    What no encoding knows (half a surrogate pair, from an undecodable file name) is written as an escape.
    """
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text if len(text) <= longest else text[: longest - 3] + "..."


def to_tags(tag: str, value: Any) -> dict[str, str]:
    """``value`` as JSON in as many tags as it needs: ``tag``, ``tag.1``, ``tag.2``, ..."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if _SURROGATE.search(text):  # from an undecodable file name: no server takes it as it is
        text = json.dumps(value, separators=(",", ":"))
    if len(text) % LONGEST_TAG == 0:
        text += " "  # a part that is not full is the last one
    parts = [text[start : start + LONGEST_TAG] for start in range(0, len(text), LONGEST_TAG)]
    return {tag if number == 0 else f"{tag}.{number}": part for number, part in enumerate(parts)}


def from_tags(tag: str, tags: Mapping[str, str]) -> Any:
    """The value that `to_tags` stored, ``None`` if there is none or it is not whole.

    Parts of an older, longer value may follow the last part: they are left out.
    """
    text, part = "", tags.get(tag)
    for number in itertools.count(1):
        text += part or ""
        if part is None or len(part) < LONGEST_TAG:
            break
        part = tags.get(f"{tag}.{number}")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
