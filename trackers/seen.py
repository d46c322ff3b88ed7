"""The runs of a sweep as MLflow holds them, looked at from far: status, epochs, whether any stands twice."""

from __future__ import annotations

from dataclasses import dataclass

from trackers import connection
from trackers.errors import TrackingError, TrackingRejected, TrackingUnavailable
from trackers.wanted import KEY, REF

COUNTED = "train/loss"
"""The metric whose points are counted: every epoch has it."""


@dataclass(frozen=True)
class Seen:
    """One run.

    Attributes:
        epochs: Last step of `COUNTED`, 0 without any.
        points: How many points it has.
    """

    run_id: str
    status: str
    deleted: bool
    epochs: int
    points: int


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
            steps = [int(each.step) for each in run.data.to_proto().metrics if each.key == COUNTED]
            points = len(client.get_metric_history(run.info.run_id, COUNTED)) if steps else 0
            seen = Seen(
                run.info.run_id,
                run.info.status,
                run.info.lifecycle_stage != "active",
                max(steps, default=0),
                points,
            )
            tags = run.data.tags
            found.setdefault((tags.get(REF, ""), tags.get(KEY, "")), []).append(seen)
    except TrackingError:
        raise
    except Exception as error:
        kind = TrackingRejected if connection.rejects(error) else TrackingUnavailable
        raise kind(f"cannot read {connection.masked(uri)}: {connection.reason(error)}") from None
    for runs in found.values():
        runs.sort(key=lambda run: run.deleted)
        if not runs[0].deleted:
            runs[:] = [run for run in runs if not run.deleted]  # A double that was cleared away.
    return found
