"""How much of the variation of the scores in a cell goes back to what: losses, parameters, seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from trackers.compare import ArmSummary

LEAST_FREEDOM = 5
"""Repetitions beyond the first of every setting that a share needs: below it is mostly chance."""

BETWEEN_LOSSES, BETWEEN_SETTINGS, WITHIN = "losses", "parameters", "seeds"


@dataclass(frozen=True)
class Variation:
    """Shares of the variation of ``n`` scores at ``settings`` arms; they are at least 0 and sum to 1.

    Args:
        of: Name of a loss, or ``"all losses"``.
        parts: By `BETWEEN_LOSSES` (of all losses only), `BETWEEN_SETTINGS` and `WITHIN`.
    """

    of: str
    parts: Mapping[str, float]
    settings: int
    n: int


@dataclass(frozen=True)
class VariationView:
    """All losses together and every loss with several settings; ``left_out`` arms have one seed alone."""

    rows: tuple[Variation, ...]
    left_out: int


@dataclass(frozen=True)
class Importance:
    """What each parameter of a loss explains by itself, as a model of the study says.

    Args:
        cell: Name of the cell.
        loss: Name of the loss.
        n: Complete trials.
        settings: Different parameters among them.
        shares: Parameter to its share of the variation of the model, the rest being their interplay; empty
            where nothing can be said.
        predicted: Share of the variation of scores at settings it had not seen that the model predicted;
            not above 0 if it is worse than their mean, ``None`` where there were too few.
    """

    cell: str
    loss: str
    n: int
    settings: int
    shares: Mapping[str, float] = field(default_factory=dict)
    predicted: float | None = None


def variation_view(arms: Sequence[ArmSummary]) -> VariationView | None:
    """A nested analysis of variance of one cell, over the arms that have two seeds or more.

    Sums of squares between losses, between settings within a loss and between seeds within a setting; from
    the first two the amount is subtracted that chance alone would give them (epsilon squared), so that
    many settings do not explain much by their number.

    Args:
        arms: The leaderboard of the cell.

    Returns:
        ``None`` where no row has two settings and `LEAST_FREEDOM`.

    References:
        Kelley, "An unbiased correlation ratio measure", PNAS 1935.
    """
    repeated = [arm for arm in arms if arm.n > 1]
    losses: dict[str, list[ArmSummary]] = {}
    for arm in sorted(repeated, key=lambda arm: arm.loss):
        losses.setdefault(arm.loss, []).append(arm)
    rows = [nested("all losses", list(losses.values()))] if len(losses) > 1 else []
    rows += [nested(loss, [members]) for loss, members in losses.items()]
    found = tuple(row for row in rows if row is not None)
    left_out = sum(arm.n == 1 for arm in arms)
    return VariationView(found, left_out) if found else None


def nested(of: str, losses: Sequence[Sequence[ArmSummary]]) -> Variation | None:
    """Shares of one row; ``None`` with one setting, less than `LEAST_FREEDOM`, or scores all alike."""
    arms = [arm for loss in losses for arm in loss]
    scores = [score for arm in arms for score in arm.scores]
    freedom = len(scores) - len(arms)
    if len(arms) < 2 or freedom < LEAST_FREEDOM:
        return None
    middle = fmean(scores)
    total = sum((score - middle) ** 2 for score in scores)
    within = sum((score - fmean(arm.scores)) ** 2 for arm in arms for score in arm.scores)
    if total <= 1e-12 * len(scores):
        return None
    by_loss = [[score for arm in loss for score in arm.scores] for loss in losses]
    between = sum(len(each) * (fmean(each) - middle) ** 2 for each in by_loss)
    settings = total - within - between
    chance = within / freedom
    parts = (
        {BETWEEN_LOSSES: max(0.0, between - (len(losses) - 1) * chance) / total} if len(losses) > 1 else {}
    )
    parts[BETWEEN_SETTINGS] = max(0.0, settings - (len(arms) - len(losses)) * chance) / total
    parts[WITHIN] = 1 - sum(parts.values())
    return Variation(of, parts, len(arms), len(scores))
