"""The paper's claims as contrasts between losses, and whether a sweep reproduces them.

A contrast is averaged over the imbalances above 1 (or the depths) and over gamma; the seed is the unit. With
at least five seeds, by t-tests that are Holm-corrected over the contrasts of the table:

    reproduced           the difference is above 0
    reproduced in size   and no further from the printed one than 1.96 sqrt(SE^2 + SE_paper^2)
    not reproduced       the difference is below half the printed one
    undecided            anything else

``SE_paper`` follows from the deviation by chance of the printed cells (see `additive`).
"""

from __future__ import annotations

import math
import statistics as stdlib_statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from trackers.paper.additive import residual_deviation
from trackers.paper.measured import Compared, Measured
from trackers.statistics import Interval, holm, paired_t
from trackers.table import arm_label

FEWEST_SEEDS = 5
LEVEL = 0.05
Z = 1.96

REPRODUCED, IN_SIZE, NOT_REPRODUCED, UNDECIDED = (
    "reproduced", "reproduced in size", "not reproduced", "undecided",
)  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """Arms of a table, the mean of ``left`` less the mean of ``right``."""

    name: str
    metric: str
    left: tuple[str, ...]
    right: tuple[str, ...]


@dataclass(frozen=True)
class Contrast:
    """One claim beside what was measured, in percentage points.

    Args:
        printed: Of the whole claim.
        printed_here: Of the arms and columns that were run, ``None`` where there are none.
        printed_se: Standard error of ``printed_here``.
        seeds: That have every arm in every column of ``places``.
        places: The imbalances or depths that it is averaged over.
        mean: Over the seeds, ``None`` without any.
        std: Standard deviation over the seeds, ``None`` below two.
        interval: 95%, by t, of this contrast alone.
        p: Two-sided, of no difference, Holm-corrected; ``None``: not tested.
        p_half: Likewise, of half the printed difference.
        verdict: One of the four.
        reason: Why it is undecided, or what else to know; may be empty.
    """

    claim: Claim
    printed: float
    printed_here: float | None
    printed_se: float | None
    seeds: tuple[int, ...]
    places: tuple[float | str, ...]
    mean: float | None
    std: float | None
    interval: Interval | None
    p: float | None
    p_half: float | None
    verdict: str
    reason: str


@dataclass(frozen=True)
class _Estimate:
    claim: Claim
    printed: float
    printed_here: float | None
    printed_se: float | None
    seeds: tuple[int, ...]
    places: tuple[float | str, ...]
    values: tuple[float, ...]
    missing: str


_Cells = Mapping[tuple[str, float | str, str], Compared]


def claims(measured: Measured) -> tuple[Claim, ...]:
    """What a table is about; none for Table 5, which prints single trainings by class."""
    table = measured.table
    if table.along == "class":
        return ()
    gammas = (1, 2, 5) if table.along == "imbalance" else (2,)
    compared = (1, 2) if table.along == "imbalance" else (2,)
    baseline = ("cross_entropy",)
    cefl, cefl2 = (tuple(arm_label(loss, {"gamma": gamma}) for gamma in gammas) for loss in ("cefl", "cefl2"))
    focal = tuple(arm_label("focal", {"alpha": 1, "gamma": gamma}) for gamma in compared)
    some = tuple(arm_label("cefl", {"gamma": gamma}) for gamma in compared)
    at = f"gamma {' and '.join(map(str, compared))}"
    return tuple(
        Claim(name, metric, left, right)
        for metric in table.metrics
        for name, left, right in (
            ("CEFL - cross-entropy", cefl, baseline),
            ("CEFL2 - cross-entropy", cefl2, baseline),
            (f"CEFL - focal, alpha 1, {at}", some, focal),
        )
    )


def contrasts(measured: Measured) -> tuple[Contrast, ...]:
    """Every claim of a table with its verdict."""
    found = [_estimate(claim, measured) for claim in claims(measured)]
    above = [paired_t(each.values) if each.values else None for each in found]
    half = [
        paired_t([value - _aim(each) / 2 for value in each.values]) if each.values else None for each in found
    ]
    p_above, p_half = (holm([None if test is None else test.p for test in tests]) for tests in (above, half))
    return tuple(
        _judged(each, None if test is None else test.interval, p, below)
        for each, test, p, below in zip(found, above, p_above, p_half, strict=True)
    )


def _estimate(claim: Claim, measured: Measured) -> _Estimate:
    cells = {(cell.printed.arm, cell.printed.along, cell.printed.metric): cell for cell in measured.cells}
    places = [
        place
        for place in measured.table.places
        if place != 1
        and all(
            cells[arm, place, claim.metric].printed.value is not None for arm in (*claim.left, *claim.right)
        )
    ]
    printed = _gap(cells, claim, places)
    left, right = (
        tuple(arm for arm in arms if any(cells[arm, place, claim.metric].n for place in places))
        for arms in (claim.left, claim.right)
    )
    run = Claim(claim.name, claim.metric, left, right)
    seeds, covered = _common(cells, run, places) if left and right else ((), ())
    if not seeds:
        return _Estimate(claim, printed, None, None, (), (), (), "not run")
    values = tuple(_gap(cells, run, covered, seed) for seed in seeds)
    spread = residual_deviation(measured.table, claim.metric)
    error = spread * math.sqrt(1 / (len(left) * len(covered)) + 1 / (len(right) * len(covered)))
    missing = _missing(claim, run, places, covered, measured.table.along)
    return _Estimate(claim, printed, _gap(cells, run, covered), error, seeds, covered, values, missing)


def _common(
    cells: _Cells, claim: Claim, places: Sequence[float | str]
) -> tuple[tuple[int, ...], tuple[float | str, ...]]:
    """Seeds that have every arm, and the columns where they do: all of them, or those of most seeds."""
    seeds = {
        place: set.intersection(
            *(set(cells[arm, place, claim.metric].by_seed) for arm in (*claim.left, *claim.right))
        )
        for place in places
    }
    everywhere = set.intersection(*seeds.values())
    covered = tuple(places)
    if not everywhere:
        most = max(map(len, seeds.values()))
        first = next(place for place in places if len(seeds[place]) == most)
        covered = tuple(place for place in places if seeds[place] >= seeds[first])
        everywhere = seeds[first]
    return tuple(sorted(everywhere)), covered


def _gap(cells: _Cells, claim: Claim, places: Iterable[float | str], seed: int | None = None) -> float:
    """The contrast of one seed, or with ``None`` the printed one."""

    def mean(arms: Iterable[str]) -> float:
        chosen = [cells[arm, place, claim.metric] for arm in arms for place in places]
        values = [cell.printed.value if seed is None else cell.by_seed[seed] for cell in chosen]
        return stdlib_statistics.fmean(value for value in values if value is not None)

    places = tuple(places)
    return mean(claim.left) - mean(claim.right)


def _missing(
    claim: Claim, run: Claim, places: Sequence[float | str], covered: Sequence[float | str], along: str
) -> str:
    """What a partial contrast lacks, empty for a whole one."""
    arms = [arm for arm in (*claim.left, *claim.right) if arm not in (*run.left, *run.right)]
    columns = [
        f"{place:g}" if isinstance(place, float) else str(place) for place in places if place not in covered
    ]
    parts = [f"{along} {', '.join(columns)}"] if columns else []
    return "; ".join([*parts, *([", ".join(arms)] if arms else [])])


def _aim(estimate: _Estimate) -> float:
    return estimate.printed if estimate.printed_here is None else estimate.printed_here


def _judged(each: _Estimate, interval: Interval | None, p: float | None, p_half: float | None) -> Contrast:
    mean = stdlib_statistics.fmean(each.values) if each.values else None
    std = stdlib_statistics.stdev(each.values) if len(each.values) > 1 else None
    verdict, reason = _verdict(each, mean, std, p, p_half)
    return Contrast(
        each.claim, each.printed, each.printed_here, each.printed_se, each.seeds, each.places, mean, std,
        interval, p, p_half, verdict, reason,
    )  # fmt: skip


def _verdict(
    each: _Estimate, mean: float | None, std: float | None, p: float | None, p_half: float | None
) -> tuple[str, str]:
    n = len(each.values)
    if mean is None or each.printed_se is None:
        return UNDECIDED, each.missing
    short = f"n = {n} of at least {FEWEST_SEEDS} seeds" if n < FEWEST_SEEDS else ""
    lacking = f"partial: not run are {each.missing}" if each.missing else ""
    if lacking or short:
        return UNDECIDED, "; ".join(part for part in (lacking, short) if part)
    if std is None or p is None or p_half is None:
        return UNDECIDED, "the seeds do not differ"
    smaller = p_half < LEVEL and mean < each.printed / 2
    if p < LEVEL and mean > 0:
        reach = Z * math.sqrt(std**2 / n + each.printed_se**2)
        if abs(mean - each.printed) <= reach:
            return IN_SIZE, ""
        return REPRODUCED, "but less than half the printed" if smaller else ""
    if smaller:
        return NOT_REPRODUCED, ""
    return UNDECIDED, f"neither above 0 (p = {p:.2g}) nor below half the printed (p = {p_half:.2g})"
