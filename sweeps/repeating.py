"""Trials that were trained once more, beside their first training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sweeps.history import read_history
from sweeps.home import Home
from sweeps.ledger import Ledger


def compare_fresh(ledger: Ledger, home: Home) -> list[dict[str, Any]]:
    """Every repeated training beside its first: both scores, and whether all their numbers are equal."""
    rows = [row for row in ledger.rows() if row.state == "complete"]
    first = {row.attrs["key"]: row for row in rows if not row.attrs.get("fresh")}
    timing = {"seconds", "images_per_second"}

    def numbers(folder: Path) -> list[dict[str, float]]:
        return [
            {name: value for name, value in row["metrics"].items() if name not in timing}
            for row in read_history(folder)
        ]

    return [
        {
            "key": row.attrs["key"],
            "study": row.study,
            "loss": row.attrs["loss"],
            "params": row.attrs["params"],
            "seed": row.attrs["seed"],
            "repetition": row.attrs["fresh"],
            "first": first[row.attrs["key"]].value,
            "again": row.value,
            "identical": numbers(home.trial(row.attrs["key"]))
            == numbers(home.trial(row.attrs["key"], row.attrs["fresh"])),
        }
        for row in rows
        if row.attrs.get("fresh") and row.attrs["key"] in first
    ]
