"""The same report as CSV and as Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from trackers import confirmed_words, verdicts, wording
from trackers.escaping import escaped, fenced, harmless
from trackers.published.figures import NOTE, beside_published
from trackers.report_data import CellReport, ReportData, cell_reports, unfinished
from trackers.savings import in_words, savings
from trackers.table import TrialResult, frame
from trackers.tables import markdown

MOST_ROWS = 50


def as_csv(trials: Sequence[TrialResult]) -> str:
    """One row a trial, numbers in full precision, the columns of `trackers.table.frame`.

    Text that a spreadsheet would take for a formula gets an apostrophe in front; numbers are never touched.
    """
    columns = [str(name) for name in frame(trials).columns]
    text = io.StringIO()
    writer = csv.writer(text)  # ends lines with CR LF (RFC 4180), and so quotes a CR inside a name
    writer.writerow([harmless(name) for name in columns])
    for trial in trials:
        writer.writerow([harmless(_value(trial, name)) for name in columns])
    return text.getvalue()


def as_markdown(data: ReportData) -> str:
    """The sentences and tables of the page in Markdown; all text from the data is escaped."""
    cells = cell_reports(data)
    facts = [
        f"Sweep {escaped(data.sweep)}",
        escaped(data.state),
        escaped(data.created),
        escaped(data.duration),
    ]
    parts = [f"# {escaped(data.title)}", " · ".join(fact for fact in facts if fact)]
    parts += [each for each in (wording.state_note(data.state, data.reason),) if each]
    if data.objective.split == "test":
        parts.append(f"> **Warning.** {escaped(wording.TEST_WARNING)}")
    parts.append("## Result")
    for cell in cells:
        parts.append(f"- **{escaped(cell.info.name)}**: {escaped(verdicts.verdict(cell, data.objective))}")
    parts += [escaped(text) for text in verdicts.how_to_read(cells)]
    still = verdicts.unconfirmed(cells)
    if still or not cells:
        parts += [wording.caution(still, data.objective), wording.next_step(data.confirm_command)]
        parts += [fenced(data.confirm_command, "sh")] if data.confirm_command else []
    if data.confirmations:
        parts += ["## Confirmed", _confirmed_table(cells)]
    if still or not cells:
        parts += ["## Leading the search" if data.confirmations else "## Best arms", _best_table(still)]
    for cell in cells:
        parts += [f"## {escaped(cell.info.name)}", escaped(wording.conditions(cell))]
        parts += [escaped(note) for note in cell.info.notes]
        parts += [in_words(savings(cell.trials))]
        parts += ["### The search" if cell.confirmation else "", _leaderboard(cell)]
        parts += _published(cell)
    left_over = unfinished(data.trials)
    if left_over:
        parts += ["## Trials without a result", _unfinished_table(left_over)]
    parts += _reproduction(data)
    return "\n\n".join(part for part in parts if part) + "\n"


def _value(trial: TrialResult, column: str) -> Any:
    group, _, name = column.partition(".")
    if group == "params" and name:
        return trial.params.get(name)
    if group == "metrics" and name:
        return trial.metrics.get(name)
    return getattr(trial, column)


def _confirmed_table(cells: Sequence[CellReport]) -> str:
    found = [(cell, cell.confirmation) for cell in cells if cell.confirmation is not None]
    rows = [
        (
            cell.info.name, arm.arm, wording.percent(arm.test.mean), confirmed_words.interval(arm.test),
            arm.test.n, confirmed_words.gap(arm.difference), confirmed_words.p_value(arm.p),
            confirmed_words.beats(arm),
        )
        for cell, said in found
        for arm in said.arms
    ]  # fmt: skip
    header = (
        "Cell",
        "Arm",
        "Test mean",
        "95% interval, %",
        "n",
        "Difference, points",
        "p",
        "Beats cross-entropy",
    )
    return markdown(header, rows, range(2, 7))


def _best_table(cells: Sequence[CellReport]) -> str:
    header = ("Cell", "Arm", "Score", "Range", "n", "Cross-entropy", "n", "Difference, points", "Arms")
    rows = [
        (
            cell.info.name, cell.winner.summary.arm, wording.percent(cell.winner.mean),
            wording.spread(cell.winner.summary), cell.winner.summary.n, wording.percent(cell.winner.baseline),
            cell.winner.baseline_n or "–", wording.signed(cell.winner.difference), cell.winner.candidates,
        )
        for cell in cells
        if cell.winner
    ]  # fmt: skip
    return markdown(header, rows, range(2, 9)) if rows else "No cell has a complete trial."


def _leaderboard(cell: CellReport) -> str:
    ranked = [arm for arm in cell.arms if arm.n]
    if not ranked:
        return wording.states(cell.states) or "No trial has started."
    header = ("Rank", "Arm", "Mean", "SD, points", "Range", "n", "No result")
    rows = [
        (
            arm.rank, arm.arm, wording.percent(arm.mean), wording.deviation(arm.std), wording.spread(arm),
            arm.n,
            wording.incomplete(arm.states) or "–",
        )
        for arm in ranked[:MOST_ROWS]
    ]  # fmt: skip
    more = len(ranked) - len(rows)
    note = f"\n\n{more:,} more arms are in results.csv." if more else ""
    return markdown(header, rows, (0, 2, 3, 4, 5)) + note


def _published(cell: CellReport) -> list[str]:
    rows = [
        (
            row.loss, f"{row.published:.2f}", row.arm or "–",
            "–" if row.error is None else f"{row.error:.2f}", row.n, row.epochs or "–",
        )
        for row in beside_published(cell.trials)
    ]  # fmt: skip
    header = ("Loss", "Published error %", "Arm", "Error here %", "n", "Epochs")
    return ["### Published figures", NOTE, markdown(header, rows, (1, 3, 4, 5))] if rows else []


def _unfinished_table(trials: Sequence[TrialResult]) -> str:
    rows = [
        (
            each.cell,
            each.arm,
            each.seed,
            each.state,
            f"{len(each.history)} of {each.epochs}",
            each.reason or "–",
        )
        for each in trials[:MOST_ROWS]
    ]
    more = len(trials) - len(rows)
    note = f"\n\n{more:,} more are in results.csv." if more else ""
    return markdown(("Cell", "Arm", "Seed", "State", "Epochs", "Reason"), rows, (2,)) + note


def _reproduction(data: ReportData) -> list[str]:
    parts = ["## Again"]
    for command in (data.best_command, data.run_command, data.ui_command):
        parts += [fenced(command, "sh")] if command else []
    for group, values in data.provenance.items():
        parts += [f"### {escaped(group)}", markdown(("Name", "Value"), values.items())]
    digests = [(cell.name, cell.dataset, cell.digest) for cell in data.cells if cell.digest]
    parts += ["### Data", markdown(("Cell", "Data set", "SHA-256"), digests)] if digests else []
    return [*parts, "### Specification", fenced(data.spec_text, "yaml")] if data.spec_text else parts
