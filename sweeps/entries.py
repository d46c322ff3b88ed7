"""A started trial as the driver handles it; what the ledger says of it, without loading Optuna."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sweeps.snapshot import LedgerRow


@dataclass(frozen=True)
class Entry:
    """A started trial, as the driver handles it."""

    trial_id: int
    study: str
    number: int
    key: str
    loss: str
    params: Mapping[str, float]
    seed: int
    kind: str
    attempt: int = 1
    fresh: int = 0
    run_id: str | None = None
    attrs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ref(self) -> str:
        """``<study>#<number>``, unique in the ledger."""
        return f"{self.study}#{self.number}"

    @property
    def first(self) -> int:
        """Number of the trial that this one runs again, or its own."""
        return int(self.attrs.get("first", self.number))

    @property
    def run_ref(self) -> str:
        """Name of its run in MLflow: a retry goes on in the run of what failed."""
        return f"{self.study}#{self.first}"


def entry_of(row: LedgerRow) -> Entry:
    """A row that has its key, as an entry that can go on."""
    attrs = row.attrs
    return Entry(
        row.trial_id, row.study, row.number, attrs["key"], attrs["loss"], attrs["params"], attrs["seed"],
        attrs["kind"],
        attempt=attrs.get("attempt", 1), fresh=attrs.get("fresh", 0), run_id=attrs.get("run_id"), attrs=attrs,
    )  # fmt: skip


def next_attempt(entry: Entry) -> Entry:
    """The same trial, started once more."""
    return replace(entry, attempt=entry.attempt + 1)
