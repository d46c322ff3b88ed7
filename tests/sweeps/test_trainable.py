"""How a worker's rows are reported."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from sweeps.trainable import ROWS, report_rows


class Driver:
    """Takes reports as slowly as it is told to."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.reports: list[list[int]] = []

    def __call__(self, result: dict[str, Any]) -> None:
        time.sleep(self.seconds)
        self.reports.append([row["epoch"] for row in json.loads(result[ROWS])])


def epochs(count: int, seconds: float = 0.0) -> Iterator[dict[str, Any]]:
    for epoch in range(1, count + 1):
        time.sleep(seconds)
        yield {"epoch": epoch}


def test_rows_of_short_epochs_are_reported_together_in_order_and_once() -> None:
    driver = Driver(seconds=0.001)
    report_rows(epochs(30, seconds=0.01), driver)
    assert [epoch for report in driver.reports for epoch in report] == list(range(1, 31))
    assert driver.reports[0] == [1], "the first is seen at once"
    assert len(driver.reports) < 20


def test_rows_of_long_epochs_are_reported_as_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeps.trainable.LONGEST_WAIT", 0.01)
    driver = Driver(seconds=0.0)
    report_rows(epochs(3, seconds=0.1), driver)
    assert driver.reports == [[1], [2], [3]]


def test_what_has_come_is_reported_before_an_error() -> None:
    def broken() -> Iterator[dict[str, Any]]:
        yield from epochs(4)
        raise RuntimeError("out of memory")

    driver = Driver(seconds=0.01)
    with pytest.raises(RuntimeError, match="out of memory"):
        report_rows(broken(), driver)
    assert driver.reports == [[1], [2, 3, 4]]


def test_a_report_that_ends_the_trial_is_the_last() -> None:
    driver = Driver(seconds=0.0)

    def stopped(result: dict[str, Any]) -> None:
        driver(result)
        raise SystemExit

    with pytest.raises(SystemExit):
        report_rows(epochs(3), stopped)
    assert driver.reports == [[1]]
