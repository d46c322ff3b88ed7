"""What the driver wants a run in MLflow to be: plain values, no MLflow needed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from trackers.names import LONGEST_PARAM, cut, safe_name
from trackers.table import Row

ENDED = ("FINISHED", "KILLED", "FAILED")
NAME, REF, KEY, ROLE = "sweep.name", "sweep.ref", "sweep.key", "sweep.role"
PARENT = "mlflow.parentRunId"
SYSTEM = "system"
"""What a row may hold beside its metrics: what the trial used, by MLflow's names, which begin with it."""
METRIC_NAMES = "sweep.metric_names"
"""Tag: safe name to original name, for the metrics that MLflow would have refused."""


@dataclass(frozen=True)
class Dataset:
    """Data that a run is trained on; MLflow is told of it, nothing is copied.

    Args:
        name: At most 500 characters.
        digest: At most 36 characters are kept.
        source: Where it came from, such as ``npz:/data/path.npz``.
    """

    name: str
    digest: str
    source: str


@dataclass(frozen=True)
class Artifact:
    """A file to upload, into a folder of the run's artifacts (``""``: the top)."""

    path: Path
    folder: str = ""

    @property
    def name(self) -> str:
        """Path among the artifacts of the run."""
        return f"{self.folder}/{self.path.name}" if self.folder else self.path.name


@dataclass(frozen=True)
class Run:
    """Description of a run; everything that does not change from epoch to epoch.

    Args:
        ref: The driver's name for it, unique within the sweep. A run in MLflow with the same sweep, ref and
            tag ``sweep.key`` is this run.
        name: What people see.
        params: Values as text; ``None`` is left out. MLflow keeps the first value of a parameter for ever.
        tags: A tag of ``None`` is removed.
        dataset: Logged as an input of the run.
        parent: Whether this is the sweep's own run, to which the others are attached; open it first.
        run_id: The MLflow run, if it is known: spares a search.
        start_ms: Start of a new run, in ms since 1970; by default now.
        rewrite: Write every point, since some below the last step are missing; those that are there stay.
        alone: Delete other runs of this identity, whatever is in them.
        anew: Delete what is there of this identity, since points in it are wrong, and write a new run.
    """

    ref: str
    name: str
    params: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str | None] = field(default_factory=dict)
    dataset: Dataset | None = None
    parent: bool = False
    run_id: str | None = None
    start_ms: int | None = None
    rewrite: bool = False
    alone: bool = False
    anew: bool = False

    def mending(self, ways: Collection[str]) -> Run:
        """The same, with those of ``rewrite``, ``alone`` and ``anew`` that are named."""
        return replace(self, rewrite="rewrite" in ways, alone="alone" in ways, anew="anew" in ways)


class Point(NamedTuple):
    """One value of one metric, under its safe name; ``timestamp`` in ms."""

    key: str
    value: float
    timestamp: int
    step: int


@dataclass(frozen=True)
class Wanted:
    """The state that a run should be in: a snapshot for one reconciliation.

    Args:
        run: Description.
        tags: All tags, those of the description and those that came later.
        status: ``"RUNNING"`` or one of `ENDED`.
        end_ms: End of the run as the driver gave it, ``None``: when it was closed.
        closed_ms: When it was closed.
        rows: Epochs that MLflow may not have yet, ascending.
        earlier_names: See `names`, of the rows before.
        artifacts: Files to upload.
        parent_id: MLflow run of the sweep.
    """

    run: Run
    tags: Mapping[str, str | None]
    status: str = "RUNNING"
    end_ms: int | None = None
    closed_ms: int = 0
    rows: tuple[Row, ...] = ()
    earlier_names: Mapping[str, str] = field(default_factory=dict)
    artifacts: tuple[Artifact, ...] = ()
    parent_id: str | None = None

    @property
    def points(self) -> list[Point]:
        """The rows, by ascending step."""
        return self._read[0]

    @property
    def names(self) -> dict[str, str]:
        """Safe name to original name, of all metrics so far that were renamed."""
        return {**self.earlier_names, **self._read[1]}

    @property
    def refused(self) -> list[str]:
        """Which values of the rows are no numbers, in words."""
        return self._read[2]

    @cached_property
    def _read(self) -> tuple[list[Point], dict[str, str], list[str]]:
        points: list[Point] = []
        names: dict[str, str] = {}
        problems: list[str] = []
        for row in self.rows:
            more, renamed, wrong = points_of(row)
            points += more
            names |= renamed
            problems += wrong
        return points, names, problems

    def params(self) -> dict[str, str]:
        """Parameters as MLflow takes them."""
        return {
            safe_name(name): cut(str(value), LONGEST_PARAM)
            for name, value in self.run.params.items()
            if value is not None
        }


def points_of(row: Row) -> tuple[list[Point], dict[str, str], list[str]]:
    """One epoch as points, the original names of the metrics that were renamed, and what is wrong."""
    points: list[Point] = []
    names: dict[str, str] = {}
    problems: list[str] = []
    for name, value in {**row["metrics"], **row.get(SYSTEM, {})}.items():
        key = safe_name(name)
        if key != name:
            names[key] = name
        try:
            if value is not None:
                points.append(Point(key, float(value), int(row["timestamp"]), int(row["epoch"])))
        except (TypeError, ValueError):
            problems.append(f"metric {name!r} of epoch {row['epoch']} is {value!r}, not a number")
    return points, names, problems
