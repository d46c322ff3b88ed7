"""Progress of data sets that are being prepared, in the terminal."""

from __future__ import annotations

import atexit

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)


class PreparingBar:
    """A bar for one data set after the other; called with source, images done, and images in all."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self.running: tuple[Progress, TaskID] | None = None

    def __call__(self, source: str, done: int, total: int) -> None:
        if self.running is None:
            bar = Progress(
                TextColumn("preparing {task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
                TextColumn("images"), TimeRemainingColumn(), console=self.console,
            )  # fmt: skip
            self.running = bar, bar.add_task(source, total=total)
            bar.start()
            atexit.register(bar.stop)  # An interrupt must not leave the terminal without a cursor.
        bar, task = self.running
        bar.update(task, completed=done, total=total, description=source)
        if done >= total:
            bar.stop()
            atexit.unregister(bar.stop)
            self.running = None
