"""Progress of a run in the terminal: what runs, what is done, best so far, time left."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group
from rich.live import Live as RichLive
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from sweeps.cells import CONFIRM
from sweeps.conductor import Conductor
from sweeps.display_words import readable
from sweeps.history import SPLIT_NAMES
from sweeps.live import Live
from sweeps.preparing import PreparingBar
from sweeps.results import outcome
from sweeps.spec import Spec
from trackers.escaping import legible, one_line
from trackers.table import arm_label

MOST_CELLS = 6  # Of the best so far, so that the display keeps to one screen.


@dataclass
class Best:
    """The leading trial of a cell so far."""

    arm: str
    seed: int
    score: float


class TerminalDisplay:
    """Live in a terminal; one line for every ended trial where the output is a file or a pipe."""

    def __init__(self, spec: Spec, console: Console | None = None) -> None:
        self.select, self.metric = spec.select, spec.select.metric
        self.console = console or Console(stderr=True)
        self.conductor: Conductor | None = None
        self.best: dict[str, Best] = {}
        self.epochs_done, self.begin = 0, time.monotonic()
        self.live: RichLive | None = None
        self.data = PreparingBar(self.console)
        self.slots = 1
        self.bar = Progress(
            TextColumn("[bold]{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("trials,"),
            TimeElapsedColumn(), TextColumn("{task.fields[left]}"), console=self.console,
        )  # fmt: skip
        self.task = self.bar.add_task(spec.name, total=None, left="")

    def note(self, text: str) -> None:
        """A line about what happens beside the trials."""
        text = legible(text)
        self.console.print(
            f"[dim]{text}[/dim]" if self.console.is_terminal else text, highlight=False, soft_wrap=True
        )

    def preparing(self, source: str, done: int, total: int) -> None:
        """Data are being prepared."""
        self.data(source, done, total)

    @contextmanager
    def running(self, conductor: Conductor, slots: int) -> Iterator[None]:
        """While trials are executed."""
        self.conductor, self.slots, self.begin = conductor, slots, time.monotonic()
        if not self.console.is_terminal:
            self.note(f"{conductor.waiting + len(conductor.interrupted)} trials to train, {slots} at a time")
            yield
            return
        with RichLive(
            get_renderable=self.render, console=self.console, refresh_per_second=4, transient=True
        ) as self.live:
            yield
        self.live = None

    def started(self, live: Live) -> None:
        """A trial begins or goes on."""

    def row(self, live: Live, row: Mapping[str, Any]) -> None:
        """An epoch is done."""
        self.epochs_done += 1

    def warned(self, live: Live, text: str) -> None:
        """A trial warns of something."""
        self.note(f"warning: {text}")

    def ended(self, live: Live, state: str, reason: str | None, origin: str | None) -> None:
        """A trial has ended."""
        entry, value = live.entry, None
        if state in ("complete", "pruned") and self.conductor is not None:
            value = outcome(self.conductor.plan, state, live.history.rows, live.config.recipe)
        label = arm_label(entry.loss, entry.params)
        ranked = state == "complete" and not entry.fresh and entry.kind != CONFIRM
        if ranked and value is not None:
            leader = self.best.get(live.cell.name)
            if leader is None or value > leader.score:
                self.best[live.cell.name] = Best(label, entry.seed, value)
        if state == "failed":
            why = escape(one_line(last_line(reason)))
            self.console.print(
                f"[red]failed[/red] {live.cell.name} {label} seed {entry.seed}: {why}",
                soft_wrap=True,
            )
        elif not self.console.is_terminal:
            shown = f"{self.metric} {100 * value:.2f} %" if value is not None else last_line(reason)
            kind = f"reused from {origin}" if origin else state
            kind = "tried again" if state == "interrupted" and reason else kind
            kind = f"confirmation {kind}" if entry.kind == CONFIRM else kind
            self.note(f"{self.counts()} {kind}: {live.cell.name} {label} seed {entry.seed}  {shown}".rstrip())

    def counts(self) -> str:
        """``[ 3/24]``."""
        if self.conductor is None:
            return ""
        done = sum(self.conductor.states[state] for state in ("complete", "pruned", "failed"))
        total = self.conductor.plan.total
        return f"[{done:>{len(str(total))}}/{total}]"

    def render(self) -> Group:
        """One picture of now."""
        conductor = self.conductor
        if conductor is None:
            return Group()
        states = conductor.states
        done = states["complete"] + states["pruned"] + states["failed"]
        self.bar.update(
            self.task, completed=done, total=max(conductor.plan.total, done), left=self.time_left()
        )
        parts: list[Any] = [self.bar]
        running = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for title in ("running", "arm", "seed", "epoch", "train loss", f"val {self.metric}"):
            running.add_column(
                title, justify="left" if title in ("running", "arm") else "right", no_wrap=True
            )
        for live in list(conductor.live.values()):
            running.add_row(*self.cells_of(live))
        if not conductor.live:
            running.add_row(Text("starting workers ...", style="dim"))
        parts.append(running)
        for cell, leader in list(self.best.items())[:MOST_CELLS]:
            shown = f"{100 * leader.score:.2f} % (one seed, {self.select.split})"
            text = f"best so far  {cell}: {leader.arm}, {shown}"
            parts.append(Text(text, style="green"))
        if states["pruned"]:
            parts.append(Text(f"{states['pruned']} stopped early", style="dim"))
        if states["failed"]:
            parts.append(Text(f"{states['failed']} failed", style="red"))
        return Group(*parts)

    def cells_of(self, live: Live) -> list[str]:
        """A running trial as a row."""
        rows, entry = live.history.rows, live.entry
        metrics = rows[-1]["metrics"] if rows else {}
        value = metrics.get(f"{SPLIT_NAMES[self.select.split]}/{self.metric}")
        loss = metrics.get("train/loss")
        return [
            live.cell.name,
            arm_label(entry.loss, entry.params),
            str(entry.seed),
            f"{rows[-1]['epoch'] if rows else 0}/{live.config.recipe.epochs}",
            "" if loss is None else f"{loss:.4f}",
            "" if value is None else f"{100 * value:.2f} %",
        ]

    def time_left(self) -> str:
        """From the epochs that were trained in this run."""
        conductor = self.conductor
        elapsed = time.monotonic() - self.begin
        if conductor is None or not self.epochs_done:
            return ""
        per_trial = max(cell.base.recipe.epochs for cell in conductor.plan.cells)
        running = sum(
            live.config.recipe.epochs - (live.history.rows[-1]["epoch"] if live.history.rows else 0)
            for live in list(conductor.live.values())
        )
        left = (conductor.waiting + len(conductor.interrupted)) * per_trial + running
        seconds = left * elapsed / self.epochs_done
        return f"about {readable(seconds)} left"


def last_line(text: str | None) -> str:
    """The line of a traceback that says what happened."""
    lines = (text or "").strip().splitlines()
    return lines[-1] if lines else ""
