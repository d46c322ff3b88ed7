"""Two sweeps, or two arms, side by side: the same cells, and differences over the seeds that both have.

Every value is that of the last epoch. Where both sides have confirmation trials of an arm in a cell, those
are compared, else those of the search; the two are never mixed, since they have other seeds. The interval is
that of the paired differences (Student's t, over seeds alone); it is no test where an arm was picked for its
score, and there is none below five pairs.
"""

from __future__ import annotations

import difflib
import statistics as stdlib_statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from trackers import wording
from trackers.confirmation import LEAST_SEEDS
from trackers.errors import ComparisonError
from trackers.markup import environment, inline, page_script, policy
from trackers.statistics import paired_t
from trackers.table import TrialResult
from trackers.tables import Column, Table, files_of

CONFIRM = "confirm"
PREFIXES = {"validation": "val", "test": "test"}
NOTE = (
    "Means over the seeds of each side at the last epoch; n counts seeds. The difference is the second minus "
    "the first over the seeds that both have (pairs), in percentage points, with its 95% interval over these "
    "seeds from five pairs on. It is no test where an arm was picked for its score."
)


@dataclass(frozen=True)
class Side:
    """A sweep, or one of its arms.

    Args:
        name: Of the sweep.
        trials: All of them.
        arm: Such as ``cefl(gamma=2)``; ``None`` for all arms.
    """

    name: str
    trials: Sequence[TrialResult]
    arm: str | None = None

    @property
    def label(self) -> str:
        """``small`` or ``small:cefl(gamma=2)``."""
        return self.name if self.arm is None else f"{self.name}:{self.arm}"


@dataclass(frozen=True)
class Compared:
    """One arm in one cell on both sides; ``None`` where a side has no complete trial. Shares of 1.

    Attributes:
        source: ``confirmation`` or ``search``: the trials that are compared.
        difference: Second minus first over the ``pairs``.
    """

    cell: str
    arms: tuple[str, str]
    source: str
    means: tuple[float | None, float | None]
    stds: tuple[float | None, float | None]
    n: tuple[int, int]
    difference: float | None
    pairs: int
    low: float | None
    high: float | None


@dataclass(frozen=True)
class SideBySide:
    """The whole comparison.

    Attributes:
        conditions: What the two sides do otherwise, in words; such differences are in the scores too.
    """

    sides: tuple[str, str]
    metric: str
    split: str
    rows: tuple[Compared, ...]
    conditions: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values with stable keys."""
        return {
            "first": self.sides[0], "second": self.sides[1], "metric": self.metric, "split": self.split,
            "conditions": list(self.conditions), "rows": [row_json(row) for row in self.rows],
        }  # fmt: skip


def row_json(row: Compared) -> dict[str, Any]:
    """A row with a key for each side's values."""
    values = asdict(row)
    for name in ("arms", "means", "stds", "n"):
        first, second = values.pop(name)
        singular = {"arms": "arm", "means": "mean", "stds": "std", "n": "n"}[name]
        values |= {f"first_{singular}": first, f"second_{singular}": second}
    return values


def side(name: str, trials: Sequence[TrialResult], arm: str | None) -> Side:
    """A side, its arm known.

    Raises:
        ComparisonError: If the sweep has no such arm.
    """
    known = list(dict.fromkeys(trial.arm for trial in trials))
    if arm is not None and arm not in known:
        near = difflib.get_close_matches(arm, known, n=1)
        hint = f"; did you mean {name}:{near[0]}?" if near else f"; it has {', '.join(known) or 'none yet'}"
        raise ComparisonError(f"{name}:{arm}: the sweep {name} has no arm {arm}{hint}")
    return Side(name, trials, arm)


def side_by_side(
    first: Side, second: Side, metric: str, split: str, conditions: Iterable[str] = ()
) -> SideBySide:
    """Compare.

    Args:
        metric: Such as ``balanced_accuracy``.
        split: ``validation`` or ``test``.

    Raises:
        ComparisonError: If one side is a sweep and the other an arm, or they share no cell.
    """
    if (first.arm is None) != (second.arm is None):
        raise ComparisonError(
            f"{first.label} and {second.label}: give two sweeps, or an arm of each, as NAME:ARM"
        )
    groups = [_grouped(each) for each in (first, second)]
    if not {place[0] for place in groups[0]} & {place[0] for place in groups[1]}:
        raise ComparisonError(
            f"{first.label} and {second.label} share no cell (data set, imbalance, order, model): nothing can"
            " be compared"
        )
    name = f"{PREFIXES[split]}/{metric}"
    places = list(dict.fromkeys([*groups[0], *groups[1]]))
    rows = [_compared(groups[0].get(place, []), groups[1].get(place, []), name) for place in places]
    return SideBySide((first.label, second.label), metric, split, tuple(rows), tuple(conditions))


Place = tuple[tuple[Any, ...], str]
"""Cell and arm; of two arms the arm is left out, since they are to meet."""


def _grouped(of: Side) -> dict[Place, list[TrialResult]]:
    found: dict[Place, list[TrialResult]] = {}
    for trial in of.trials:
        if of.arm in (None, trial.arm):
            cell = (trial.dataset, trial.imbalance, trial.order, trial.model, trial.pretrained)
            found.setdefault((cell, trial.arm if of.arm is None else ""), []).append(trial)
    return found


def _compared(first: Sequence[TrialResult], second: Sequence[TrialResult], metric: str) -> Compared:
    values = [_by_seed(trials, metric, True) for trials in (first, second)]
    source = "confirmation"
    if not all(values):
        values, source = [_by_seed(trials, metric, False) for trials in (first, second)], "search"
    shared = sorted(values[0].keys() & values[1].keys())
    differences = [values[1][seed] - values[0][seed] for seed in shared]
    tested = paired_t(differences) if differences else None
    interval = tested.interval if tested and len(shared) >= LEAST_SEEDS else None
    scores = [list(each.values()) for each in values]
    means = [stdlib_statistics.fmean(each) if each else None for each in scores]
    stds = [stdlib_statistics.stdev(each) if len(each) > 1 else None for each in scores]
    arms = [trials[0].arm if trials else "" for trials in (first, second)]
    return Compared(
        cell=(first or second)[0].cell,
        arms=(arms[0] or arms[1], arms[1] or arms[0]),
        source=source,
        means=(means[0], means[1]),
        stds=(stds[0], stds[1]),
        n=(len(scores[0]), len(scores[1])),
        difference=tested.mean if tested else None,
        pairs=len(shared),
        low=interval.low if interval else None,
        high=interval.high if interval else None,
    )


def _by_seed(trials: Sequence[TrialResult], metric: str, confirmed: bool) -> Mapping[int, float]:
    return {
        trial.seed: trial.metrics[metric]
        for trial in trials
        if trial.state == "complete" and metric in trial.metrics and (trial.kind == CONFIRM) == confirmed
    }


def comparison_table(found: SideBySide) -> Table:
    """Every row, as people read it."""
    first, second = found.sides
    arms_differ = any(row.arms[0] != row.arms[1] for row in found.rows)

    def share(name: str) -> Column:
        return Column(name, wording.percent, True)

    columns = (
        Column("Cell"), *(() if arms_differ else (Column("Arm"),)), share(first), Column("n", number=True),
        share(second), Column("n", number=True), Column("Difference", wording.signed, True),
        Column("Lowest", wording.signed, True), Column("Highest", wording.signed, True),
        Column("Pairs", number=True), Column("From"),
    )  # fmt: skip
    rows = tuple(
        (
            row.cell, *(() if arms_differ else (row.arms[0],)), row.means[0], row.n[0], row.means[1],
            row.n[1], row.difference, row.low, row.high, row.pairs, row.source,
        )
        for row in found.rows
    )  # fmt: skip
    metric = f"{found.metric.replace('_', ' ')}, {found.split} split"
    return Table("comparison", f"{first} beside {second}: {metric}", columns, rows, NOTE)


def files(found: SideBySide, created: str) -> dict[str, str]:
    """Path below a folder to content: the page, and the table as Markdown, LaTeX and CSV."""
    script, table = page_script(), comparison_table(found)
    page = environment().get_template("comparison.html.j2").render(
        found=found, table=table, created=created, policy=policy([script]), script=inline(script),
    )  # fmt: skip
    return {"comparison.html": page, **files_of([table])}
