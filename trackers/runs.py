"""One run in MLflow: find or create it, and bring it in line with what is wanted.

Every step compares first and sends only what differs, so bringing a run in line twice sends nothing the
second time. A run that is found in MLflow says itself how far it got: batches are atomic and ascending, so
what lies above the last step of a metric is what is missing.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trackers.connection import all_experiments, not_found, reason, rejects, search
from trackers.errors import TrackingRejected
from trackers.names import LONGEST_TAG, cut, from_tags, to_tags
from trackers.wanted import KEY, METRIC_NAMES, NAME, PARENT, REF, ROLE, Artifact, Dataset, Run, Wanted

if TYPE_CHECKING:
    from mlflow import MlflowClient

METRICS_A_CALL = 1000
TEXTS_A_CALL = 100
LONGEST_CALL = 500_000
"""Characters of parameters and tags in one call; MLflow takes a million bytes."""
ARTIFACTS = "sweep.artifacts"
"""Tag: name of an uploaded file to the first 12 hex digits of its SHA-256."""


@dataclass
class Held:
    """What MLflow holds of one run, as far as it is compared; ``steps``: last step of every metric."""

    run_id: str
    name: str = ""
    status: str = "RUNNING"
    start_ms: int = 0
    end_ms: int | None = None
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)
    datasets: set[tuple[str, str]] = field(default_factory=set)

    @classmethod
    def of(cls, run: Any) -> Held:
        """What an `mlflow.entities.Run` says."""
        return cls(
            run_id=run.info.run_id,
            name=run.info.run_name,
            status=run.info.status,
            start_ms=run.info.start_time,
            end_ms=run.info.end_time,
            params=dict(run.data.params),
            tags=dict(run.data.tags),
            steps={metric.key: int(metric.step) for metric in run.data.to_proto().metrics},
            datasets={(each.dataset.name, each.dataset.digest) for each in run.inputs.dataset_inputs},
        )


class Runs:
    """The runs of one sweep in one experiment; used by one thread."""

    def __init__(self, client: MlflowClient, experiment: str, sweep: str) -> None:
        self._client = client
        self._experiment = experiment
        self._sweep = sweep
        self._index: dict[tuple[str, str], list[Any]] | None = None
        self._in_doubt: set[str] = set()
        self._renewed: set[str] = set()

    def adopt(self, wanted: Wanted, run_id: str | None) -> Held:
        """The run that stands there, or a new one.

        A creation that failed may have happened all the same: the next attempt searches again before it
        creates, and `remove_doubles` clears away what came to light later.
        """
        run = wanted.run
        found = self._known(run_id) or self._found(run)
        anew = run.anew and run.ref not in self._renewed
        if run.alone or anew:
            self._clear(run, None if anew else found)
        if found is None or anew:
            held = self._create(wanted)
            self._renewed.add(run.ref)
            return held
        if found.info.lifecycle_stage != "active":
            self._client.restore_run(found.info.run_id)
        held = Held.of(found)
        if wanted.run.rewrite:
            held.steps.clear()
        return held

    def settle(self, wanted: Wanted, held: Held) -> list[str]:
        """Bring one run in line.

        Returns:
            What the server refuses; all the rest was written.

        Raises:
            Exception: If the server does not answer, or not now; ``held`` is then out of date.
        """
        problems: list[str] = []
        unavailable: Exception | None = None
        for step in (self._reopen, self._describe, self._inputs, self._metrics, self._artifacts, self._end):
            try:
                step(wanted, held)
            except Exception as error:
                if rejects(error):
                    problems.append(reason(error))
                elif step == self._artifacts:
                    unavailable = error  # a full disk over there must not leave the run RUNNING for ever
                else:
                    raise
        if unavailable is not None:
            raise unavailable
        return problems

    def remove_doubles(self, wanted: Wanted, held: Held) -> None:
        """Delete empty runs of the same identity, which a creation without an answer may have left behind."""
        if wanted.run.ref not in self._in_doubt:
            return
        self._index = None
        for run in self._candidates(wanted.run):
            if run.info.run_id != held.run_id:
                self._delete_if_empty(run)
        self._in_doubt.discard(wanted.run.ref)

    # finding and creating

    def _known(self, run_id: str | None) -> Any:
        if run_id is None:
            return None
        try:
            return self._client.get_run(run_id)
        except Exception as error:
            if not_found(error):
                return None  # purged, or this is another server
            raise

    def _found(self, run: Run) -> Any:
        candidates = self._candidates(run)
        for double in candidates[1:]:
            self._delete_if_empty(double)
        return candidates[0] if candidates else None

    def _candidates(self, run: Run) -> list[Any]:
        """Runs of this identity, the one to use first; all of the sweep's runs are searched for once."""
        if self._index is None:
            index: dict[tuple[str, str], list[Any]] = {}
            for each in search(self._client, [self._experiment], self._sweep, deleted=True):
                tags = each.data.tags
                index.setdefault((tags.get(REF, ""), tags.get(KEY, "")), []).append(each)
            self._index = index
        candidates = self._index.pop((run.ref, run.tags.get(KEY) or ""), [])
        return sorted(
            candidates,
            key=lambda each: (each.info.lifecycle_stage != "active", each.info.start_time, each.info.run_id),
        )

    def _clear(self, run: Run, kept: Any) -> None:
        """Delete all runs of this identity but one, in whatever experiment; MLflow can restore them."""
        for each in search(self._client, all_experiments(self._client), self._sweep):
            tags = each.data.tags
            same = (tags.get(REF), tags.get(KEY, "")) == (run.ref, run.tags.get(KEY) or "")
            if same and (kept is None or each.info.run_id != kept.info.run_id):
                self._client.delete_run(each.info.run_id)
        self._index = None

    def _delete_if_empty(self, run: Any) -> None:
        if run.info.lifecycle_stage == "active" and not run.data.metrics:
            self._client.delete_run(run.info.run_id)

    def _create(self, wanted: Wanted) -> Held:
        run = wanted.run
        tags = self._identity(wanted)
        try:
            created = self._client.create_run(
                self._experiment,
                start_time=run.start_ms or _now(),
                tags=tags,
                run_name=run.name,
            )
        except Exception as error:
            if not rejects(error):
                self._in_doubt.add(run.ref)
                self._index = None
            raise
        return Held(run_id=created.info.run_id, name=created.info.run_name, tags=dict(created.data.tags))

    def _identity(self, wanted: Wanted) -> dict[str, str]:
        run = wanted.run
        tags = {NAME: self._sweep, REF: run.ref, ROLE: "sweep" if run.parent else "trial"}
        if key := run.tags.get(KEY):
            tags[KEY] = key
        if wanted.parent_id:
            tags[PARENT] = wanted.parent_id
        return tags

    # the steps

    def _reopen(self, wanted: Wanted, held: Held) -> None:
        status = "RUNNING" if wanted.status == "RUNNING" and held.status != "RUNNING" else None
        name = wanted.run.name if wanted.run.name != held.name else None
        if status or name:
            self._client.update_run(held.run_id, status=status, name=name)
            held.status, held.name = status or held.status, name or held.name

    def _describe(self, wanted: Wanted, held: Held) -> None:
        from mlflow.entities import Param, RunTag

        tags: Mapping[str, str | None] = {**wanted.tags, **self._identity(wanted)}
        if new := {key: name for key, name in wanted.names.items() if key not in self._names(held)}:
            tags = {**tags, **to_tags(METRIC_NAMES, {**self._names(held), **new})}
        kept = {name: cut(value, 2 * LONGEST_TAG) for name, value in tags.items() if value is not None}
        changed = {name: value for name, value in kept.items() if held.tags.get(name) != value}
        for part in _parts(changed):
            self._client.log_batch(held.run_id, tags=[RunTag(*each) for each in part.items()])
            held.tags |= part
        for name in [name for name, value in tags.items() if value is None and name in held.tags]:
            self._client.delete_tag(held.run_id, name)
            del held.tags[name]
        params = wanted.params()
        for part in _parts({name: value for name, value in params.items() if name not in held.params}):
            self._client.log_batch(held.run_id, params=[Param(*each) for each in part.items()])
            held.params |= part
        if other := sorted(name for name, value in params.items() if held.params[name] != value):
            raise TrackingRejected(
                "MLflow keeps the first value of a parameter: "
                + ", ".join(f"{name} is {held.params[name]!r}, not {params[name]!r}" for name in other)
            )

    def _names(self, held: Held) -> dict[str, str]:
        return from_tags(METRIC_NAMES, held.tags) or {}

    def _inputs(self, wanted: Wanted, held: Held) -> None:
        data = wanted.run.dataset
        if data is None or _identity_of(data) in held.datasets:
            return
        from mlflow.entities import Dataset as MlflowDataset
        from mlflow.entities import DatasetInput, InputTag

        name, digest = _identity_of(data)
        source = json.dumps({"uri": data.source}, ensure_ascii=False)
        entity = MlflowDataset(name=name, digest=digest, source_type="local", source=source)
        used = DatasetInput(dataset=entity, tags=[InputTag("mlflow.data.context", "training")])
        self._client.log_inputs(held.run_id, datasets=[used])
        held.datasets.add(_identity_of(data))

    def _metrics(self, wanted: Wanted, held: Held) -> None:
        from mlflow.entities import Metric

        missing = [point for point in wanted.points if point.step > held.steps.get(point.key, -1)]
        for start in range(0, len(missing), METRICS_A_CALL):
            batch = missing[start : start + METRICS_A_CALL]
            self._client.log_batch(held.run_id, metrics=[Metric(*point) for point in batch])
            held.steps |= {point.key: point.step for point in batch}

    def _artifacts(self, wanted: Wanted, held: Held) -> None:
        uploaded: dict[str, str] = from_tags(ARTIFACTS, held.tags) or {}
        lost = [each for each in wanted.artifacts if not each.path.is_file() and each.name not in uploaded]
        there = [each for each in wanted.artifacts if each.path.is_file()]
        fresh = {each: digest for each in there if uploaded.get(each.name) != (digest := _digest(each))}
        for each in fresh:
            self._client.log_artifact(held.run_id, str(each.path), each.folder or None)
        if fresh:
            tags = to_tags(ARTIFACTS, {**uploaded, **{each.name: digest for each, digest in fresh.items()}})
            for name, value in tags.items():
                self._client.set_tag(held.run_id, name, value)
            held.tags |= tags
        if lost:
            raise TrackingRejected(f"no such file to upload: {', '.join(str(each.path) for each in lost)}")

    def _end(self, wanted: Wanted, held: Held) -> None:
        if wanted.status == "RUNNING":
            return
        if wanted.status == held.status and wanted.end_ms in (None, held.end_ms):
            return
        closed_ms = max(wanted.closed_ms, held.start_ms)  # Or a clock was set back.
        end_ms = closed_ms if wanted.end_ms is None else wanted.end_ms
        self._client.set_terminated(held.run_id, wanted.status, end_ms)
        held.status, held.end_ms = wanted.status, end_ms


def _identity_of(data: Dataset) -> tuple[str, str]:
    return data.name[:500], data.digest[:36]


def _digest(artifact: Artifact) -> str:
    with artifact.path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def _parts(texts: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The same texts in portions that one call takes."""
    part: dict[str, str] = {}
    size = 0
    for name, text in texts.items():
        size += len(name) + len(text)
        if len(part) == TEXTS_A_CALL or (part and size > LONGEST_CALL):
            yield part
            part, size = {}, len(name) + len(text)
        part[name] = text
    if part:
        yield part


def _now() -> int:
    return int(time.time() * 1000)
