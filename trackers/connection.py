"""The way to an MLflow server or database: addresses, set-up, experiments, and what its errors mean.

MLflow is imported by `connect` and nowhere earlier (it takes seconds), and only its client is used: no global
tracking URI, no active run, no autologging.
"""

from __future__ import annotations

import itertools
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from trackers.errors import TrackingError, TrackingRejected, TrackingUnavailable
from trackers.masking import masked as masked  # (others find it here, too)

if TYPE_CHECKING:
    from mlflow import MlflowClient

ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # MLflow would retry create_run blindly, and block up to 244 s
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
"""What is set, unless the user has set it, before MLflow is imported."""

_PASSING = {401, 403, 408, 409, 429}
"""Answers below 500 that may change without a change of ours: log-in, time limit, conflict, rate limit."""


def resolved(uri: str | Path) -> str:
    """The address with an absolute path, whatever the current folder will be later.

    Args:
        uri: ``http(s)://...``, a database such as ``postgresql://...`` or ``sqlite:///relative.db``, or the
            path of an SQLite file as a `Path`.

    Raises:
        TrackingError: If it is a folder: MLflow's file store takes no runs any more.
    """
    if isinstance(uri, Path):
        return f"sqlite:///{uri.absolute()}"
    if uri.startswith("sqlite:///"):
        path, mark, options = uri.removeprefix("sqlite:///").partition("?")
        return f"sqlite:///{Path(path).absolute()}{mark}{options}"
    if not urlsplit(uri).scheme or uri.startswith("file:"):
        raise TrackingError(
            f"{masked(uri)!r} is not the address of an MLflow server or database: "
            "use http://HOST:PORT, or sqlite:///PATH/mlflow.db for a local file"
        )
    return uri


def sqlite_file(uri: str) -> Path | None:
    """The file of an SQLite address, ``None`` for any other."""
    uri = resolved(uri)
    return Path(uri.removeprefix("sqlite:///").partition("?")[0]) if uri.startswith("sqlite:///") else None


def connect(uri: str) -> MlflowClient:
    """A client for one address; opens a database, but sends nothing to a server.

    The first client of a fresh database creates its tables: see `initialise`.
    """
    load()
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=resolved(uri))


def load() -> None:
    """Import MLflow with our `ENVIRONMENT` and no log lines; ``MLFLOW_LOGGING_LEVEL`` brings them back."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import mlflow  # noqa: F401  (sets up its loggers, which the next lines correct)

    if "MLFLOW_LOGGING_LEVEL" not in os.environ:
        logging.getLogger("mlflow").setLevel(logging.CRITICAL)
        logging.getLogger("alembic").setLevel(logging.CRITICAL)


def initialise(uri: str) -> None:
    """Create the folder and the tables of a database if need be, quietly; for a server only import MLflow.

    Two processes that do this at once to one fresh database crash in MLflow's migration: hold a lock. One
    that is killed in it leaves a database that MLflow never opens again: a fresh one is made aside, and
    renamed.

    Raises:
        TrackingUnavailable: If the database cannot be opened.
    """
    file = sqlite_file(uri)
    try:
        if file is not None and not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            for left_over in file.parent.glob(f".{file.name}.*"):
                left_over.unlink()
            aside = file.with_name(f".{file.name}.{os.getpid()}")
            connect(f"sqlite:///{aside}")
            aside.replace(file)
        connect(uri)
    except Exception as error:
        raise TrackingUnavailable(f"cannot open {masked(uri)}: {reason(error)}") from None


def check(uri: str, timeout: float = 10.0) -> None:
    """Return if an MLflow server or database answers.

    Args:
        uri: Its address.
        timeout: Longest wait in seconds; the import of MLflow comes on top.

    Raises:
        TrackingUnavailable: With the address and the next step.
    """
    uri = resolved(uri)
    load()  # the import is not on the clock
    failure = [f"no answer within {timeout:g} s"]

    def ask() -> None:
        try:
            connect(uri).search_experiments(max_results=1)
            failure.clear()
        except Exception as error:
            failure[:] = [refusal(error) or reason(error)]

    asking = threading.Thread(target=ask, name="tracking-check", daemon=True)
    asking.start()
    asking.join(timeout)
    if failure:
        raise TrackingUnavailable(
            f"MLflow at {masked(uri)} does not answer: {failure[0]}; start it, correct the address, or "
            "give MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD if it asks for them"
        )


def experiment_id(
    client: MlflowClient, name: str, artifacts: str | None, tags: Mapping[str, str] | None = None
) -> str:
    """Find or create an experiment; one that was deleted is restored.

    Args:
        client: From `connect`.
        name: Name of the experiment.
        artifacts: Where a new experiment keeps its artifacts; ``None``: the server decides.
        tags: What it shall carry, see `trackers.shared_view`.
    """
    tags = dict(tags or {})
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, artifact_location=artifacts, tags=tags))
        except Exception as error:
            if getattr(error, "error_code", None) != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(name)  # another process was faster
    if found is None:
        raise TrackingRejected(f"experiment {name!r} exists, but this user cannot read it")
    if found.lifecycle_stage != "active":
        client.restore_experiment(found.experiment_id)
    for key, value in tags.items():
        if found.tags.get(key) != value:
            client.set_experiment_tag(found.experiment_id, key, value)
    return str(found.experiment_id)


def all_experiments(client: MlflowClient) -> list[str]:
    """Ids of all experiments that are not deleted."""
    page = client.search_experiments()
    found = [each.experiment_id for each in page]
    while page.token:
        page = client.search_experiments(page_token=page.token)
        found += [each.experiment_id for each in page]
    return found


def search(
    client: MlflowClient, experiments: list[str], sweep: str, *, deleted: bool = False
) -> Iterator[Any]:
    """All runs of a sweep, the sweep's own included, a thousand a call.

    Raises:
        TrackingRejected: If the name has both kinds of quotes in it, which MLflow's filters cannot express.
    """
    from mlflow.entities import ViewType

    if "'" in sweep and '"' in sweep:
        raise TrackingRejected(f"the name of a sweep must not have both kinds of quotes in it: {sweep}")
    quote = '"' if "'" in sweep else "'"
    token: str | None = None
    for page in itertools.count():
        if page and not token:
            return
        runs = client.search_runs(
            experiments,
            f"tags.`sweep.name` = {quote}{sweep}{quote}",
            run_view_type=ViewType.ALL if deleted else ViewType.ACTIVE_ONLY,
            max_results=1000,
            page_token=token,
        )
        yield from runs
        token = runs.token


def artifact_root(uri: str, folder: str | Path | None) -> str | None:
    """Where a new experiment keeps its artifacts, ``None`` for the server's own choice.

    A local database gets an absolute folder, by default ``artifacts`` beside it: MLflow's default is relative
    to the current folder of whoever asks.
    """
    if isinstance(folder, str) and "://" in folder:
        return folder
    if folder is None:
        file = sqlite_file(uri)
        if file is None:
            return None
        folder = file.parent / "artifacts"
    return Path(folder).absolute().as_uri()


def not_found(error: BaseException) -> bool:
    """Whether the server says that a run or experiment does not exist."""
    return getattr(error, "error_code", None) == "RESOURCE_DOES_NOT_EXIST"


def rejects(error: BaseException) -> bool:
    """Whether trying the same again is useless: the server understood, and said no."""
    if isinstance(error, TrackingError):
        return isinstance(error, TrackingRejected)
    answered = getattr(error, "response", None)  # An upload raises what `requests` does.
    status = getattr(answered, "status_code", None) or getattr(error, "get_http_status_code", lambda: 500)()
    return 400 <= status < 500 and status not in _PASSING


def reason(error: BaseException) -> str:
    """What went wrong in one line, without credentials; of a long text the beginning and the end."""
    text = masked(" ".join(str(error).split()) or type(error).__name__)
    return text if len(text) <= 400 else f"{text[:200]} ... {text[-195:]}"


def refusal(error: BaseException | None) -> str | None:
    """What the system said of a connection, such as ``Connection refused``: others wrap it in long texts."""
    while error is not None:
        if isinstance(error, ConnectionError) and error.strerror:
            return error.strerror
        error = error.__cause__ or error.__context__
    return None
