"""Text that came with the data, made harmless where it is read: terminals, Markdown, LaTeX, spreadsheets."""

from __future__ import annotations

import json
import math
import re
from typing import Any

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""The last four are the first four of a Japanese or Chinese keyboard, which spreadsheets know too."""

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
"""What moves a cursor, turns the order of letters, or cannot be seen; neither the tab nor the new line."""


def legible(text: str) -> str:
    """The text with an escape such as ``\\x1b`` or ``\\u202e`` for all that commands or cannot be seen."""
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def legible_json(text: str) -> str:
    """The same of JSON, which stays JSON of the same values."""
    return _UNSEEN.sub(lambda found: json.dumps(found[0])[1:-1], text)


def one_line(text: object) -> str:
    """The text with every run of white space as one blank, and nothing unseen."""
    return legible(" ".join(str(text).split()))


def harmless(value: Any) -> Any:
    """The value as a cell of a spreadsheet: text that opens like a formula is quoted, nothing is empty."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str):
        quoted = f"'{value}" if value.startswith(_FORMULA) else value
        return "\r".join(map(legible, quoted.split("\r")))  # A spreadsheet, unlike a terminal, knows it.
    return value


def escaped(text: object) -> str:
    """Text that Markdown and HTML both show as it is, in one line, also inside a table."""
    line = one_line(text)
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = re.sub(r"([\\`*\[\]|~$])", r"\\\1", line)
    line = re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", line)
    return re.sub(r"^(#|\+ |- |\d+\. |=)", r"\\\1", line)


def fenced(text: str, language: str) -> str:
    """A code block whose fence is longer than any run of backticks in it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{legible(text).rstrip()}\n{fence}"


def latex_rows(text: str) -> str:
    r"""The rows of a LaTeX table, escaped but for this: no row may open with what ``\\`` takes as its own.

    The minus sign becomes one of mathematics, since pdfLaTeX does not know the character.
    """
    guarded = re.sub(r"^(\s*)([\[*])", r"\1{}\2", text, flags=re.MULTILINE)
    return guarded.replace("\N{MINUS SIGN}", "$-$")
