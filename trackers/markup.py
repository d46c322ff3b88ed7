"""HTML that holds data: escaped templates, JSON and scripts that cannot end their element, and a policy.

Three things keep hostile names text: Jinja escapes every value, figures stand in JSON blocks without ``<``,
``>`` and ``&``, and a Content-Security-Policy lets only the scripts run whose SHA-256 it lists.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from types import CodeType
from typing import Any

import jinja2
from jinja2.bccache import Bucket
from markupsafe import Markup

from trackers.escaping import legible
from trackers.figure_style import template

_TEMPLATES = Path(__file__).parent / "templates"


class _Compiled(jinja2.BytecodeCache):
    """Templates as they were compiled before in this process."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self.kept.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        assert bucket.code is not None
        self.kept[bucket.key, bucket.checksum] = bucket.code


_COMPILED = _Compiled()


def environment() -> jinja2.Environment:
    """Templates that escape every value; all know ``css`` and ``templates``, the styles of figures."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        bytecode_cache=_COMPILED,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: legible(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals.update(
        css=Markup((_TEMPLATES / "report.css").read_text(encoding="utf-8")),
        templates=embedded({"light": template(), "dark": template(dark=True)}),
    )
    return found


def page_script() -> str:
    """What every page runs: it draws the figures and sorts the tables."""
    return (_TEMPLATES / "report.js").read_text(encoding="utf-8")


def policy(scripts: Iterable[str]) -> str:
    """A Content-Security-Policy under which these inline scripts run and nothing is loaded from anywhere.

    Plotly sets styles on its elements and draws its PNG export through ``data:`` and ``blob:`` images.
    """
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def local_policy(scripts: Iterable[str]) -> str:
    """The same for a page whose library lies beside it, on a disk (``file:``) or on a server (``'self'``)."""
    return policy(scripts).replace("script-src ", "script-src 'self' file: ")


def embedded(value: Any) -> Markup:
    """JSON that cannot end the script element around it: ``<`` becomes ``\\u003c``, so do ``>`` and ``&``."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def inline(script: str) -> Markup:
    """A script that may stand inside HTML.

    Raises:
        ValueError: If it holds what would end its element, or what a browser would read as another text.
    """
    if "</script" in script.lower() or "<!--" in script or "\r" in script:
        raise ValueError("an inline script must hold no `</script`, no `<!--` and no carriage return")
    return Markup(script)
