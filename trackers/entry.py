"""One run as the writer keeps it in memory: what the driver said so far, and how much of it MLflow has."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from trackers.table import Row
from trackers.wanted import ENDED, Artifact, Run, Wanted


@dataclass
class Entry:
    """Guarded by the writer's lock.

    ``version`` counts what the driver has wanted; ``written`` is the version that MLflow was brought in line
    with, as far as it can be: ``problems`` says what it refuses, ``refused`` which values never were numbers.
    Rows wait as they came, since the driver has them anyway: a point for each of their numbers would be a
    million objects after an hour without a server, which every collection of garbage looks through.
    ``rests_until`` (monotonic) is when it is written again while it runs.
    ``outage`` is why the last attempt came to nothing, ``announced`` what the driver was told last.
    """

    run: Run
    tags: dict[str, str | None]
    run_id: str | None = None
    status: str = "RUNNING"
    end_ms: int | None = None
    closed_ms: int = 0
    rows: list[Row] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    last_epoch: int = -1
    artifacts: tuple[Artifact, ...] = ()
    version: int = 1
    written: int = 0
    rests_until: float = 0.0
    problems: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    outage: str | None = None
    announced: tuple[str | None, bool, str | None] = (None, False, None)

    @classmethod
    def of(cls, run: Run) -> Entry:
        """A run that has just been opened."""
        return cls(run=run, tags=dict(run.tags), run_id=run.run_id)

    def reopen(self, run: Run) -> None:
        """The driver wants it running (again)."""
        self.run, self.status, self.end_ms = run, "RUNNING", None
        self.tags.update(run.tags)
        self.run_id = self.run_id or run.run_id
        self.version += 1

    def add(self, row: Row) -> None:
        """One more epoch; one that is there already is passed over."""
        if int(row["epoch"]) <= self.last_epoch:
            return
        self.last_epoch = int(row["epoch"])
        self.rows.append(row)
        self.version += 1

    def end(
        self, status: str, tags: Mapping[str, str | None], end_ms: int | None, files: Iterable[Artifact]
    ) -> None:
        """The driver wants it ended."""
        self.status, self.end_ms, self.closed_ms = status, end_ms, int(time.time() * 1000)
        self.tags.update(tags)
        self.artifacts = tuple({each.name: each for each in (*self.artifacts, *files)}.values())
        self.version += 1

    def snapshot(self, parent_id: str | None) -> Wanted:
        """What to bring MLflow in line with now."""
        return Wanted(
            run=self.run,
            tags=dict(self.tags),
            status=self.status,
            end_ms=self.end_ms,
            closed_ms=self.closed_ms,
            rows=tuple(self.rows),
            earlier_names=dict(self.names),
            artifacts=self.artifacts,
            parent_id=None if self.run.parent else parent_id,
        )

    def settled(self, version: int, wanted: Wanted, problems: Iterable[str]) -> None:
        """MLflow was brought in line with a version, but for the problems; its rows need not be kept."""
        self.written = version
        self.problems = tuple(problems)
        self.outage = None
        self.names |= wanted.names
        self.refused = tuple(dict.fromkeys((*self.refused, *wanted.refused)))  # Rows may come again.
        if not self.problems:
            del self.rows[: len(wanted.rows)]

    @property
    def in_line(self) -> bool:
        """Whether MLflow holds everything that was wanted so far."""
        return self.written == self.version and not self.problems and not self.refused

    @property
    def complete(self) -> bool:
        """Whether MLflow holds everything and the run has ended."""
        return self.in_line and self.status in ENDED

    @property
    def why(self) -> str | None:
        """Why it is not in line, if that is known."""
        return "; ".join((*self.problems, *self.refused)) or None
