"""What a sweep may be called: its folder, its locks and its studies carry the name."""

from __future__ import annotations

import re

from sweeps.errors import InputError

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"


def check_name(name: str) -> None:
    """Refuse what no sweep may be called.

    Raises:
        InputError: With the rule.
    """
    if not re.fullmatch(NAME, name):
        raise InputError(
            "--name: a sweep's name begins with a letter or digit, and has up to 64 of letters, digits, '.',"
            f" '_' and '-', but got {name!r}"
        )
