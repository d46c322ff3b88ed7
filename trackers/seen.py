"""The runs of a sweep as MLflow holds them, looked at from far: status, epochs, whether any stands twice."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from trackers import connection
from trackers.errors import TrackingError, TrackingRejected, TrackingUnavailable
from trackers.masking import masked
from trackers.table import Row
from trackers.wanted import KEY, REF, points_of

COUNTED = "train/loss"
"""The metric whose points are counted: every epoch has it."""


@dataclass(frozen=True)
class Seen:
    """One run.

    Attributes:
        epochs: Last step of `COUNTED`, 0 without any.
        points: How many points it has.
        last: Last step of every metric, by its name in MLflow, and its value there.
    """

    run_id: str
    status: str
    deleted: bool
    epochs: int
    points: int
    last: Mapping[str, tuple[int, float]] = field(default_factory=dict)

    def apart(self, rows: Sequence[Row]) -> tuple[list[str], list[str]]:
        """Metrics whose last value is not there, and those that have another one than in these rows."""
        wanted = {point.key: point for row in rows for point in points_of(row)[0]}
        missing = [key for key, point in wanted.items() if self.last.get(key, (-1, 0.0))[0] < point.step]
        other = [
            key
            for key, point in wanted.items()
            if (found := self.last.get(key)) and found[0] == point.step
            if math.isfinite(point.value) and not math.isclose(found[1], point.value, rel_tol=1e-9)
        ]
        return missing, other


def runs_seen(uri: str, sweep: str) -> dict[tuple[str, str], list[Seen]]:
    """Every run of a sweep by ref and key, those that are not deleted first.

    Raises:
        TrackingUnavailable: If MLflow does not answer.
    """
    found: dict[tuple[str, str], list[Seen]] = {}
    try:
        client = connection.connect(uri)
        experiments = connection.all_experiments(client)
        for run in connection.search(client, experiments, sweep, deleted=True):
            last = {each.key: (int(each.step), each.value) for each in run.data.to_proto().metrics}
            points = len(client.get_metric_history(run.info.run_id, COUNTED)) if COUNTED in last else 0
            deleted, epochs = run.info.lifecycle_stage != "active", last.get(COUNTED, (0, 0.0))[0]
            seen = Seen(run.info.run_id, run.info.status, deleted, epochs, points, last)
            tags = run.data.tags
            found.setdefault((tags.get(REF, ""), tags.get(KEY, "")), []).append(seen)
    except TrackingError:
        raise
    except Exception as error:
        kind = TrackingRejected if connection.rejects(error) else TrackingUnavailable
        raise kind(f"cannot read {masked(uri)}: {connection.reason(error)}") from None
    for runs in found.values():
        runs.sort(key=lambda run: run.deleted)
        if not runs[0].deleted:
            runs[:] = [run for run in runs if not run.deleted]  # A double that was cleared away.
    return found
