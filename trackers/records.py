"""A trial as an MLflow run and back: which field is a parameter, which a tag, which an artifact.

Parameters are what people filter by; tags hold the rest, exactly, so that `trial_of` restores what `run_of`
described. History and metrics are MLflow's own metrics, the confusion matrices an artifact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from trackers.names import LONGEST_TAG, cut, from_tags, to_tags
from trackers.shared_view import GROUP
from trackers.table import STATES, Row, TrialResult
from trackers.wanted import KEY, Dataset, Run

CONFUSION = "confusion.json"
"""Artifact: split to the counts of its confusion matrix, rows are the true classes."""

STATUS = {"running": "RUNNING", "complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
"""State of a trial to status of its run."""

_STATE = {"FINISHED": "complete", "FAILED": "failed"}
_OTHER_STATES = {"diverged": "failed", "interrupted": "running"}
"""What the tag ``sweep.state`` may say beyond the states of a trial."""

_PARAMS = ("dataset", "imbalance", "order", "model", "depth", "pretrained", "loss", "seed", "epochs")
_TEXTS = ("study", "cell", "kind", "reason", "origin")
_VALUES = ("number", "params", "score", "seconds", "imbalance", "depth", "pretrained", "seed", "epochs")
"""Fields that are not text, restored from the tag ``sweep.trial`` with their types."""
_LISTS = ("classes", "train_counts")


def run_of(
    trial: TrialResult,
    ref: str,
    *,
    name: str | None = None,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, str | None] | None = None,
    dataset: Dataset | None = None,
    start_ms: int | None = None,
) -> Run:
    """The run that shows a trial.

    Args:
        trial: The trial as it stands; call again when it ends, for the tags that came later.
        ref: Name of the run within the sweep.
        name: What people see, by default ``<arm> seed=<seed>``.
        params: More parameters, such as those of the recipe.
        tags: More tags, such as those of git; they win over those that the trial gives.
        dataset: The data, for MLflow's list of inputs.
        start_ms: Start of the run, in ms since 1970.
    """
    own = {field: getattr(trial, field) for field in _PARAMS}
    return Run(
        ref=ref,
        name=name or f"{trial.arm} seed={trial.seed}",
        params={**own, **trial.params, **(params or {})},
        tags={**tags_of(trial), **(tags or {})},
        dataset=dataset,
        run_id=trial.run_id,
        start_ms=start_ms,
    )


def tags_of(trial: TrialResult) -> dict[str, str | None]:
    """What the tags of its run say of a trial."""
    group = f"{trial.cell} {trial.arm}{', confirmation' if trial.kind == 'confirm' else ''}"
    tags: dict[str, str | None] = {KEY: trial.key, "sweep.state": trial.state, GROUP: cut(group, LONGEST_TAG)}
    tags |= {f"sweep.{field}": getattr(trial, field) for field in _TEXTS}
    values = {field: getattr(trial, field) for field in _VALUES}
    tags |= to_tags("sweep.trial", values | {"params": dict(trial.params)})
    for field in _LISTS:
        if value := getattr(trial, field):
            tags |= to_tags(f"sweep.{field}", list(value))
    return tags


def trial_of(
    run_id: str,
    status: str,
    params: Mapping[str, str],
    tags: Mapping[str, str],
    history: Iterable[Row],
    confusion: Mapping[str, list[list[int]]],
) -> TrialResult | None:
    """The trial of a run, ``None`` where its description is not there (yet)."""
    values = from_tags("sweep.trial", tags)
    if values is None or "sweep.study" not in tags:
        return None
    rows = tuple(history)
    record: dict[str, Any] = {field: params.get(field) for field in _PARAMS}
    record |= {field: tags.get(f"sweep.{field}") for field in _TEXTS}
    record |= {field: from_tags(f"sweep.{field}", tags) or () for field in _LISTS}
    record |= {field: values.get(field) for field in _VALUES}
    record |= {
        "key": tags.get(KEY, ""),
        "state": _state(status, tags.get("sweep.state")),
        "run_id": run_id,
        "metrics": dict(rows[-1]["metrics"]) if rows else {},
        "history": rows,
        "confusion": confusion,
    }
    return TrialResult.from_record(record)


def _state(status: str, tag: str | None) -> str:
    """State of a trial: what the tag says, else what the status of the run says."""
    if tag in STATES:
        return tag
    return _OTHER_STATES.get(tag or "", _STATE.get(status, "running"))
