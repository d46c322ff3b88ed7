"""The trials of a cell as lines across what they differ in: what a figure of parallel coordinates shows."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from trackers.compare import BASELINE, searched
from trackers.table import TrialResult

MOST_LINES = 150
MOST_PARAMS = 4
MOST_OWN_TICKS = 6
SHADES = 8
"""Steps from the lowest score to the highest."""

ABSENT = "none"
_ROOM_FOR_ABSENT = 0.16
_LEAST_GAP = 0.09


@dataclass(frozen=True)
class Axis:
    """One thing that trials differ in, and its ticks: places in ``[0, 1]`` and their text."""

    name: str
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class TrialLine:
    """One trial: its place on every axis in ``[0, 1]``, and its shade, 0 to ``SHADES - 1`` by rank."""

    arm: str
    seed: int
    state: str
    score: float
    places: tuple[float, ...]
    shade: int


@dataclass(frozen=True)
class ParallelView:
    """Trials across axes, the last of which is the score; the lowest score comes first, the best last.

    Args:
        axes: Loss, parameters, seed and epochs, each only where trials differ in it, and the score.
        lines: At most `MOST_LINES`, evenly over the ranks, always with the best and the lowest.
        left_out: Number of trials that are not drawn.
        params_left_out: Parameters beyond `MOST_PARAMS`; those that most trials have are drawn.
        stopped: Number of drawn trials that were stopped early.
    """

    axes: tuple[Axis, ...]
    lines: tuple[TrialLine, ...]
    left_out: int
    params_left_out: tuple[str, ...]
    stopped: int


def parallel_view(trials: Iterable[TrialResult]) -> ParallelView | None:
    """The search trials of one cell that have a score, ``None`` where they differ in less than two things."""
    scored = [(trial.score, trial) for trial in searched(trials) if _has_score(trial)]
    known = sorted(((score, trial) for score, trial in scored if score is not None), key=lambda each: each[0])
    members = [trial for _, trial in known]
    scales: list[_Losses | _Numbers] = (
        [_Losses(members)] if len({trial.loss for trial in members}) > 1 else []
    )
    params = _differing(members)
    values: list[tuple[str, Callable[[TrialResult], float | None]]] = [
        *((name, _param(name)) for name in params[:MOST_PARAMS]),
        ("seed", lambda trial: trial.seed),
        ("epochs", epochs_reached),
    ]
    scales += [_Numbers(name, value, members) for name, value in values if len(_seen(value, members)) > 1]
    if len(scales) < 2:
        return None
    scales.append(_Numbers("score", lambda trial: trial.score, members, percent=True))
    scores = [score for score, _ in known]
    lines = tuple(
        TrialLine(
            trial.arm, trial.seed, trial.state, score, tuple(scale.place(trial) for scale in scales),
            min(SHADES - 1, SHADES * bisect.bisect_right(scores, score) // len(scores)),
        )
        for score, trial in _evenly(known, MOST_LINES)
    )  # fmt: skip
    return ParallelView(
        tuple(scale.axis for scale in scales), lines, len(known) - len(lines), tuple(params[MOST_PARAMS:]),
        sum(line.state == "pruned" for line in lines),
    )  # fmt: skip


def epochs_reached(trial: TrialResult) -> int | None:
    """The last epoch of a trial; of a complete one without a history those that were asked for."""
    if trial.history:
        return int(trial.history[-1]["epoch"])
    return trial.epochs if trial.state == "complete" else None


class _Losses:
    """Losses side by side, cross-entropy first."""

    def __init__(self, trials: Sequence[TrialResult]) -> None:
        self.order = sorted({trial.loss for trial in trials}, key=lambda loss: (loss != BASELINE, loss))
        ticks = tuple((self._at(loss), loss) for loss in self.order)
        self.axis = Axis("loss", ticks)

    def _at(self, loss: str) -> float:
        return (self.order.index(loss) + 0.5) / len(self.order)

    def place(self, trial: TrialResult) -> float:
        return self._at(trial.loss)


class _Numbers:
    """Numbers from the least to the greatest; trials without one stand apart, before them."""

    def __init__(
        self,
        name: str,
        value: Callable[[TrialResult], float | None],
        trials: Sequence[TrialResult],
        percent: bool = False,
    ) -> None:
        self.value = value
        numbers = sorted(_seen(value, trials))
        self.low, self.high = numbers[0], numbers[-1]
        self.start = _ROOM_FOR_ABSENT if any(value(trial) is None for trial in trials) else 0.0
        ticks = [(self._at(each), f"{100 * each:g}%" if percent else f"{each:g}") for each in _ticks(numbers)]
        self.axis = Axis(name, tuple([(0.0, ABSENT), *ticks] if self.start else ticks))

    def _at(self, number: float) -> float:
        share = (number - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return self.start + (1 - self.start) * share

    def place(self, trial: TrialResult) -> float:
        number = self.value(trial)
        return 0.0 if number is None else self._at(number)


def _ticks(numbers: Sequence[float]) -> list[float]:
    """The numbers themselves where they are few and lie apart, else round ones between them."""
    low, high = numbers[0], numbers[-1]
    room = (high - low) * _LEAST_GAP
    if len(numbers) <= MOST_OWN_TICKS and all(
        second - first >= room for first, second in zip(numbers, numbers[1:], strict=False)
    ):
        if all(float(f"{number:g}") == number for number in numbers):
            return list(numbers)
    power = 10.0 ** math.floor(math.log10(high - low)) if high > low else 1.0
    steps = (power * factor for factor in (0.1, 0.2, 0.5, 1, 2, 5))
    step = next((step for step in steps if (high - low) / step <= MOST_OWN_TICKS - 1), power)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [min(max(float(f"{count * step:.10g}"), low), high) for count in range(first, last + 1)]


def _has_score(trial: TrialResult) -> bool:
    """Also one that was stopped early, with what it was compared by last, if it is known how far it came."""
    scored = trial.score is not None and math.isfinite(trial.score)
    return scored and trial.state in ("complete", "pruned") and epochs_reached(trial) is not None


def _param(name: str) -> Callable[[TrialResult], float | None]:
    return lambda trial: trial.params.get(name)


def _seen(value: Callable[[TrialResult], float | None], trials: Iterable[TrialResult]) -> set[float]:
    return {number for trial in trials if (number := value(trial)) is not None}


def _differing(trials: Sequence[TrialResult]) -> list[str]:
    """Parameters that differ, gamma and alpha first, then those that most trials have."""
    names = {name for trial in trials for name in trial.params}
    counts = {name: sum(name in trial.params for trial in trials) for name in names}
    known = {"gamma": 0, "alpha": 1}
    order = sorted(names, key=lambda name: (known.get(name, 2), -counts[name], name))
    return [name for name in order if len(_seen(_param(name), trials)) > 1]


def _evenly(known: Sequence[tuple[float, TrialResult]], most: int) -> list[tuple[float, TrialResult]]:
    if len(known) <= most:
        return list(known)
    step = (len(known) - 1) / (most - 1)
    return [known[round(position * step)] for position in range(most)]
