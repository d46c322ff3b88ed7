"""One tidy table of results: what the ledger, the report and any MLflow server all agree on.

A `TrialResult` is one trained (or training) trial. Everything that compares, draws or exports starts from a
list of them, so that a number is computed in one place and shown in many. Importing this module costs
nothing: pandas is loaded by `frame` alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

Row = Mapping[str, Any]
"""One epoch: ``{"epoch": 1, "timestamp": 1732000000000, "metrics": {"train/loss": 1.9}}``, time in ms."""

STATES = ("running", "complete", "pruned", "failed")
KINDS = ("point", "ask", "confirm")

_JSON_KEYS = (
    "key", "study", "number", "state", "dataset", "imbalance", "order", "model", "depth", "pretrained",
    "loss", "params", "seed", "epochs", "run_id", "metrics",
)  # fmt: skip
_SCALARS = (
    "key", "study", "number", "state", "cell", "dataset", "imbalance", "order", "model", "depth",
    "pretrained", "loss", "arm", "seed", "kind", "epochs", "run_id", "score", "reason", "origin", "seconds",
)  # fmt: skip


@dataclass(frozen=True)
class TrialResult:
    """One arm in one cell with one seed, and what became of it.

    Args:
        key: First 12 hex digits of the SHA-256 of everything that decides the result.
        study: Name of the Optuna study, ``<sweep>/<cell>/<loss>``.
        number: Number of the trial in its study, from 0.
        state: One of `STATES`.
        cell: Name of the cell: what shares a cell may be compared.
        dataset: Name of the data set.
        imbalance: Largest class over smallest in images, ``>= 1``; ``None`` for natural data.
        order: ``"ascending"`` (class 0 is the rarest) or ``"descending"``; ``None`` for natural data.
        model: Name of the model.
        depth: Its number of weighted layers, ``None`` where the name states none.
        pretrained: Whether it started from published weights.
        loss: Name of the loss.
        params: The parameters of the loss, such as ``{"gamma": 2.0}``.
        seed: Seed of the training run.
        kind: One of `KINDS`: a fixed point, an ask of the sampler, or a confirmation.
        epochs: Epochs asked for, not those that were reached (see ``history``).
        run_id: The MLflow run, ``None`` if there is none yet.
        score: The objective by its epoch rule, ``None`` unless complete or pruned.
        metrics: Metrics of the last epoch that has a row.
        reason: Why it failed or was stopped.
        origin: Name of the sweep that trained it, where it was reused.
        seconds: Time spent training, in seconds.
        history: One `Row` an epoch, ascending.
        confusion: Split (``"val"``, ``"test"``) to counts ``(C, C)``, rows are the true classes.
        classes: Names of the ``C`` classes.
        train_counts: Training images of each class, shape ``(C,)``.
    """

    key: str
    study: str
    number: int
    state: str
    cell: str
    dataset: str
    imbalance: float | None
    order: str | None
    model: str
    depth: int | None
    pretrained: bool
    loss: str
    params: Mapping[str, float]
    seed: int
    kind: str
    epochs: int
    run_id: str | None = None
    score: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    reason: str | None = None
    origin: str | None = None
    seconds: float | None = None
    history: tuple[Row, ...] = ()
    confusion: Mapping[str, list[list[int]]] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    train_counts: tuple[int, ...] = ()

    @property
    def arm(self) -> str:
        """Loss with its parameters, such as ``cefl(gamma=2)``."""
        return arm_label(self.loss, self.params)

    def as_json(self) -> dict[str, Any]:
        """The trial as ``sweeps trials --json`` prints it: stable keys, ``None`` for what is not finite."""
        return {name: _plain(getattr(self, name)) for name in _JSON_KEYS}

    def to_record(self) -> dict[str, Any]:
        """All fields as plain JSON values but for NaN, which stays; the inverse of `from_record`."""
        record = {each.name: getattr(self, each.name) for each in fields(self)}
        record.update(
            params=dict(self.params),
            metrics=dict(self.metrics),
            history=[dict(row) for row in self.history],
            confusion=dict(self.confusion),
            classes=list(self.classes),
            train_counts=list(self.train_counts),
        )
        return record

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> TrialResult:
        """The trial that `to_record` described; keys that it does not know are passed over."""
        known = {each.name: record[each.name] for each in fields(cls) if each.name in record}
        for name in ("history", "classes", "train_counts"):
            if name in known:
                known[name] = tuple(known[name])
        return cls(**known)


def arm_label(loss: str, params: Mapping[str, float]) -> str:
    """``focal(alpha=0.75, gamma=2)``: parameters sorted by name, numbers by ``%g``."""
    if not params:
        return loss
    return f"{loss}({', '.join(f'{name}={params[name]:g}' for name in sorted(params))})"


def frame(trials: Iterable[TrialResult]) -> pd.DataFrame:
    """One row a trial.

    Columns: the scalar fields and ``arm``, then ``params.<name>`` and ``metrics.<name>`` (the names that
    `mlflow.search_runs` uses, so that a metric called ``seconds`` cannot hide a field), sorted. What a trial
    does not have is missing (NaN or None). The scalar columns are there for an empty table, too.
    """
    import pandas as pd

    trials = list(trials)
    params = sorted({name for trial in trials for name in trial.params})
    metrics = sorted({name for trial in trials for name in trial.metrics})
    columns = {name: [getattr(trial, name) for trial in trials] for name in _SCALARS}
    columns |= {f"params.{name}": [trial.params.get(name) for trial in trials] for name in params}
    columns |= {f"metrics.{name}": [trial.metrics.get(name) for trial in trials] for name in metrics}
    return pd.DataFrame(columns)


def _plain(value: Any) -> Any:
    """``value`` as JSON knows it: no NaN or infinity, no mapping or sequence types of our own."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
