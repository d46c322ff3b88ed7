"""Models in MLflow's registry: a version for every export, and an alias for its data set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from trackers import connection
from trackers.errors import TrackingRejected, TrackingUnavailable
from trackers.masking import masked

if TYPE_CHECKING:
    from mlflow import MlflowClient

FOLDER = "model"
_REJECTED = re.compile(r"[/:]")


def alias_of(dataset: str) -> str:
    """The name of a data set as an alias: letters, digits, ``-`` and ``_``; none that MLflow reserves."""
    alias = re.sub(r"[^A-Za-z0-9_-]+", "-", dataset).strip("-") or "data"
    return f"data-{alias}" if re.fullmatch(r"latest|v\d+", alias, re.IGNORECASE) else alias


def register(
    uri: str, model: str, run_id: str, folder: Path, dataset: str, tags: Mapping[str, str]
) -> tuple[str, str]:
    """Upload a folder to a run, make it the next version of a model, and point the data set's alias at it.

    Args:
        uri: MLflow server or database.
        model: Name in the registry; made where there is none.
        tags: Of the version.

    Returns:
        The version, and the address under which MLflow gives it: ``models:/NAME@ALIAS``.

    Raises:
        TrackingError: If the name is no name, or the server does not take it.
    """
    if not model.strip() or _REJECTED.search(model):
        raise TrackingRejected(f"a registered model needs a name without '/' and ':', but got {model!r}")
    alias = alias_of(dataset)
    try:
        client = connection.connect(uri)
        _ensure(client, model)
        client.log_artifacts(run_id, str(folder), FOLDER)
        source = f"{client.get_run(run_id).info.artifact_uri}/{FOLDER}"
        version = client.create_model_version(model, source, run_id, tags=dict(tags))
        client.set_registered_model_alias(model, alias, version.version)
    except Exception as error:
        kind = TrackingRejected if connection.rejects(error) else TrackingUnavailable
        raise kind(f"cannot register {model} at {masked(uri)}: {connection.reason(error)}") from None
    return str(version.version), f"models:/{model}@{alias}"


def _ensure(client: MlflowClient, model: str) -> None:
    if not client.search_registered_models(f"name = '{model.replace(chr(39), chr(92) + chr(39))}'"):
        client.create_registered_model(model)
