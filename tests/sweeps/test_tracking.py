"""What a sweep says of its tracking."""

from __future__ import annotations

from sweeps.tracking import cause
from trackers.writer import NOT_YET


def test_why_runs_are_incomplete_is_told_by_one_that_has_a_reason() -> None:
    waiting = {"sweep": NOT_YET, "a/b#1": "database or disk is full", "a/b#2": NOT_YET}
    assert cause(waiting) == "a/b#1: database or disk is full"
    assert cause({"sweep": NOT_YET, "a/b#2": NOT_YET}) == f"sweep: {NOT_YET}"
