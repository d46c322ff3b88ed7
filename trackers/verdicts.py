"""The answer of every cell in words: what was confirmed, else what the search found, and what that is not."""

from __future__ import annotations

from collections.abc import Sequence

from trackers import confirmed_words, wording
from trackers.compare import Objective
from trackers.report_data import CellReport


def headline(cell: CellReport) -> str:
    """The answer in a few words; a score of a search is called one."""
    if cell.confirmation is not None:
        return confirmed_words.headline(cell.confirmation)
    if cell.winner is None:
        return wording.headline(cell)
    return f"{cell.winner.summary.arm} leads the search, not confirmed"


def verdict(cell: CellReport, objective: Objective) -> str:
    """The answer in sentences."""
    if cell.confirmation is not None:
        return confirmed_words.verdict(cell.confirmation)
    text = wording.verdict(cell, objective)
    if cell.under_way is None:
        return text
    ended, total = cell.under_way
    return f"{text} Its confirmation is under way: {ended:,} of {total:,} trials have ended."


def leading_loss(cell: CellReport) -> str | None:
    """Loss of the arm that the answer names."""
    if cell.confirmation is not None:
        return cell.confirmation.winner.loss
    return None if cell.winner is None else cell.winner.summary.loss


def unconfirmed(cells: Sequence[CellReport]) -> list[CellReport]:
    """Cells whose answer is that of the search."""
    return [cell for cell in cells if cell.confirmation is None]


def how_to_read(cells: Sequence[CellReport]) -> list[str]:
    """How the confirmed numbers came about and what they are about, each sentence once."""
    found = [cell.confirmation for cell in cells if cell.confirmation is not None]
    return list(
        dict.fromkeys(
            text for each in found for text in (confirmed_words.method(each), confirmed_words.scope(each))
        )
    )
