"""Views of an experiment in MLflow's own page, ready to be opened: columns, order and grouping of its runs.

MLflow keeps a view that a person shares as a tag of the experiment: zlib-compressed JSON of the state of its
table, base64 behind ``deflate;``. Read off MLflow 3.17; a version that reads it no longer shows its own view.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from typing import Any

GROUP = "sweep.seed_group"
"""Tag that all trials of a seed group share: the cell, the arm, and whether they confirm it."""

RUNS, SEEDS = "sweep", "sweep-seeds"
"""Names of the two views: every run by itself, and means over the seeds."""

_TAG = "mlflow.sharedViewState."
_TRAINING = {"mlflow.experimentKind": "custom_model_development"}
"""By default MLflow's page of an experiment shows traces of language models."""


def experiment_tags(metric: str, split: str, params: Sequence[str]) -> dict[str, str]:
    """Tags that an experiment gets so that its page shows what a sweep compares.

    Args:
        metric: Without split, such as ``balanced_accuracy``.
        split: What the sweep chooses by: ``val`` or ``test``; the runs are ordered by it, the highest first.
        params: Parameters that differ between the runs, such as ``loss`` and ``gamma``.
    """
    state: dict[str, Any] = {
        "searchFilter": "",
        "orderByKey": f"metrics.`{split}/{metric}`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": [
            "attributes.`Duration`",
            f"metrics.`val/{metric}`",
            f"metrics.`test/{metric}`",
            *(f"params.`{name}`" for name in params),
            "tags.`sweep.cell`",
            "tags.`sweep.kind`",
            "tags.`sweep.state`",
        ],
        "runsExpanded": {},
        "runsPinned": [],
        "runsHidden": [],
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
    }
    by_arm = {"aggregateFunction": "average", "groupByKeys": [{"mode": "tag", "groupByData": GROUP}]}
    views = {RUNS: {**state, "groupBy": None}, SEEDS: {**state, "groupBy": by_arm}}
    return {**_TRAINING, **{f"{_TAG}{name}": _packed(view) for name, view in views.items()}}


def page(root: str, experiment: str, view: str = RUNS) -> str:
    """Address of a view in MLflow's page at ``root``, such as ``http://127.0.0.1:5000``."""
    return f"{root.rstrip('/')}/#/experiments/{experiment}/runs?viewStateShareKey={view}"


def _packed(state: dict[str, Any]) -> str:
    compressed = zlib.compress(json.dumps(state, separators=(",", ":")).encode())
    return f"deflate;{base64.b64encode(compressed).decode()}"
