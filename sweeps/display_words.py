"""Durations as people say them, and folders as they find them."""

from __future__ import annotations

import re


def readable(seconds: float) -> str:
    """``45 s``, ``3 min``, ``2 h 10 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def pair_name(first: str, second: str) -> str:
    """Folder of a comparison: ``one--two`` of sweeps, or of arms without what no path should have."""
    return "--".join(re.sub(r"[^A-Za-z0-9._-]+", "-", each).strip("-") for each in (first, second))
