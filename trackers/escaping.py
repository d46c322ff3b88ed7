"""Text that came with the data, made harmless where it will be read: Markdown, LaTeX, spreadsheets."""

from __future__ import annotations

import math
import re
from typing import Any

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def one_line(text: object) -> str:
    """The text with every run of white space as one blank."""
    return " ".join(str(text).split())


def harmless(value: Any) -> Any:
    """The value as a cell of a spreadsheet: text that opens like a formula is quoted, nothing is empty."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
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
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def latex_rows(text: str) -> str:
    r"""The rows of a LaTeX table, escaped but for this: no row may open with what ``\\`` takes as its own.

    The minus sign becomes one of mathematics, since pdfLaTeX does not know the character.
    """
    guarded = re.sub(r"^(\s*)([\[*])", r"\1{}\2", text, flags=re.MULTILINE)
    return guarded.replace("\N{MINUS SIGN}", "$-$")
