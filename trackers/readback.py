"""The tidy table out of any MLflow server: what `trackers.writer` wrote, by whomever and wherever."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trackers import connection
from trackers.errors import SweepNotFound, TrackingError, TrackingRejected, TrackingUnavailable
from trackers.masking import masked
from trackers.names import from_tags
from trackers.records import CONFUSION, trial_of
from trackers.runs import ARTIFACTS
from trackers.table import Row, TrialResult
from trackers.wanted import METRIC_NAMES, NAME, ROLE, SYSTEM

if TYPE_CHECKING:
    from mlflow import MlflowClient

_LARGEST = 1.7976931348623157e308
"""MLflow's databases hold no infinity and keep this instead."""


def read_mlflow(
    uri: str, sweep: str, *, experiment: str | None = None, history: bool = True, artifacts: bool = True
) -> list[TrialResult]:
    """The trials of a sweep, by study and number.

    Runs whose description was never written whole are left out.

    Args:
        uri: MLflow server or database.
        sweep: Name of the sweep.
        experiment: Where to look, by default in all experiments.
        history: Whether to read every epoch (one call for every metric of every run), or the last one only.
        artifacts: Whether to fetch the confusion matrices (one call a run).

    Raises:
        SweepNotFound: If there is no such experiment, or no run of this sweep.
        TrackingUnavailable: If the server does not answer.
    """
    uri = connection.resolved(uri)
    try:
        client = connection.connect(uri)
        runs = list(connection.search(client, _experiments(client, uri, experiment), sweep))
        if not runs:
            raise SweepNotFound(f"no run with the tag {NAME}={sweep!r} at {masked(uri)}")
        children = [run for run in runs if run.data.tags.get(ROLE) != "sweep"]
        trials = [_read(client, run, history, artifacts) for run in children]
    except TrackingError:
        raise
    except Exception as error:
        kind = TrackingRejected if connection.rejects(error) else TrackingUnavailable
        raise kind(f"cannot read {masked(uri)}: {connection.reason(error)}") from None
    return sorted((trial for trial in trials if trial), key=lambda trial: (trial.study, trial.number))


def _experiments(client: MlflowClient, uri: str, name: str | None) -> list[str]:
    if name is not None:
        found = client.get_experiment_by_name(name)
        if found is None:
            raise SweepNotFound(f"no experiment {name!r} at {masked(uri)}")
        return [found.experiment_id]
    return connection.all_experiments(client)


def _read(client: MlflowClient, run: Any, history: bool, artifacts: bool) -> TrialResult | None:
    tags = run.data.tags
    names = from_tags(METRIC_NAMES, tags) or {}
    latest = run.data.to_proto().metrics
    rows: dict[int, dict[str, Any]] = {}
    if history:
        for key in sorted(metric.key for metric in latest):
            for metric in client.get_metric_history(run.info.run_id, key):
                _put(rows, names, metric)
    else:
        last = max((metric.step for metric in latest), default=0)
        for metric in latest:
            if metric.step == last:
                _put(rows, names, metric)
    confusion: dict[str, list[list[int]]] = {}
    if artifacts and CONFUSION in (from_tags(ARTIFACTS, tags) or {}):
        confusion = _json(client, run.info.run_id, CONFUSION)
    ordered: list[Row] = [rows[step] for step in sorted(rows)]
    return trial_of(run.info.run_id, run.info.status, run.data.params, tags, ordered, confusion)


def _put(rows: dict[int, dict[str, Any]], names: Mapping[str, str], metric: Any) -> None:
    """Add one value to the row of its epoch; of two values of one epoch the later stays."""
    if metric.key.startswith(f"{SYSTEM}/"):
        return  # No result of a trial.
    step = int(metric.step)
    row = rows.setdefault(step, {"epoch": step, "timestamp": int(metric.timestamp), "metrics": {}})
    row["metrics"][names.get(metric.key, metric.key)] = _value(metric.value)


def _value(value: float) -> float:
    if math.isnan(value):
        return math.nan  # the one object, so that equal histories compare equal
    return math.copysign(math.inf, value) if abs(value) >= _LARGEST else value


def _json(client: MlflowClient, run_id: str, name: str) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        with open(client.download_artifacts(run_id, name, folder), encoding="utf-8") as file:
            return json.load(file)
