"""What a Ray worker runs: one trial, its rows sent to the driver as text."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

ROWS, ERROR, RETRY, WARNING, BLOCKED = "rows", "error", "retry", "warning", "blocked"

SHARE = 0.01
LONGEST_WAIT = 1.0
"""After a report that took c seconds rows wait for c / `SHARE`, at most 1 s, and are reported together."""


def train(config: dict[str, Any]) -> None:
    """Train what ``config`` describes and report every epoch.

    An error is reported too, as a last result, so that the actor stays warm for the next trial; and why this
    process ends itself, where it takes too much memory.
    """
    import torch
    from ray import tune

    from cefl.config import TrialConfig
    from cefl.errors import CeflError, StorageError
    from sweeps.mirroring import Stored, rows_of
    from sweeps.usage import with_usage
    from sweeps.watching import MemoryLimit, bounded_memory
    from trackers.masking import without_secrets

    def last_words(reason: str) -> None:
        tune.report({ERROR: reason, RETRY: True})

    def warn(text: str) -> None:
        tune.report({WARNING: text})

    torch.set_num_threads(max(1, int(config["threads"])))
    trial, limit = TrialConfig.from_json(config["trial"]), MemoryLimit(config["memory"], config["beside"])
    try:
        with bounded_memory(limit, last_words):
            stored = Stored(**config["stored"]) if config["stored"] else None
            rows = rows_of(trial, Path(config["folder"]), stored, warn)
            report_rows(with_usage(rows, trial.recipe.epochs, warn), tune.report)
    except StorageError as error:
        tune.report({BLOCKED: without_secrets(str(error))})
    except CeflError as error:
        tune.report({ERROR: without_secrets(str(error)), RETRY: False})
    except Exception as error:
        told = without_secrets("".join(traceback.format_exception(error)))  # Ray writes down what it is told.
        tune.report({ERROR: told, RETRY: True})


def report_rows(rows: Iterable[dict[str, Any]], report: Callable[[dict[str, Any]], None]) -> None:
    """Report rows as they come; a report waits for the driver, so those of short epochs go together.

    What has come is reported also when the next row is an error.
    """
    waiting: list[dict[str, Any]] = []
    due = 0.0
    try:
        for row in rows:
            waiting.append(row)
            begin = time.monotonic()
            if begin >= due:
                told, waiting = waiting, []  # A report that ends the trial leaves nothing to report.
                report({ROWS: json.dumps(told)})
                end = time.monotonic()
                due = end + min(LONGEST_WAIT, (end - begin) / SHARE)
    finally:
        if waiting:
            report({ROWS: json.dumps(waiting)})
