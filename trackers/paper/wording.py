"""A comparison with the paper in words and in tables, for a terminal, a page and files alike."""

from __future__ import annotations

from trackers.paper.comparison import PaperComparison
from trackers.paper.contrasts import FEWEST_SEEDS
from trackers.paper.printed import DOI, Printed
from trackers.paper.ranking import Ranking
from trackers.tables import Column, Table
from trackers.wording import MINUS, counted

METRICS = {"accuracy": "accuracy", "macro_f1": "F1", "precision": "precision", "recall": "recall", "f1": "F1"}
ALONG = {"imbalance": "Imbalance", "depth": "Depth", "class": "Class"}
NOT_RUN = "not run"


def two(value: float | None) -> str:
    """``65.59``."""
    return "–" if value is None else f"{value:.2f}"


def signed(value: float | None) -> str:
    """``+0.28``, with a sign but where it rounds to zero."""
    if value is None:
        return "–"
    text = f"{abs(value):.2f}"
    return text if text == "0.00" else ("+" if value > 0 else MINUS) + text


def place(value: float | str) -> str:
    """An imbalance, a depth or a class."""
    return f"{value:g}" if isinstance(value, int | float) else value


def headline(comparison: PaperComparison) -> str:
    """What is compared, and how much of it was run."""
    table = comparison.table
    return (
        f"{table.title} of the paper ({table.data}) beside sweep {comparison.sweep}: {comparison.run} of"
        f" {len(table.cells)} cells run"
    )


def source() -> str:
    """Where the printed numbers come from."""
    return f"Printed: Wang et al., IEEE Access 2020, doi {DOI}."


def cells_table(comparison: PaperComparison) -> Table:
    """Every cell: printed, measured, difference, and what is doubtful about the printed number."""
    rows = [
        (
            cell.printed.arm, place(cell.printed.along), METRICS[cell.printed.metric], cell.printed.value,
            cell.mean if cell.n else NOT_RUN, cell.std, cell.n, cell.difference,
            comparison.doubt(cell.printed),
        )
        for cell in comparison.measured.cells
    ]  # fmt: skip
    rows += [
        (
            each.arm, "mean of 10 to 500", "accuracy", each.printed,
            each.compared.mean if each.compared.n else NOT_RUN, each.compared.std, each.compared.n,
            each.compared.difference, None,
        )
        for each in comparison.averages
    ]  # fmt: skip
    columns = (
        Column("Loss"), Column(ALONG[comparison.table.along]), Column("Metric"), Column("Printed", two, True),
        Column("Measured", lambda value: value if isinstance(value, str) else two(value), True),
        Column("SD", two, True), Column("n", number=True), Column("Difference", signed, True),
        Column("Doubt about the printed"),
    )  # fmt: skip
    note = " ".join((*comparison.measured.conditions, *comparison.measured.notes, CELLS_NOTE, source()))
    return Table(f"paper-{comparison.table.name}", headline(comparison), columns, tuple(rows), note)


CELLS_NOTE = (
    "Percent; measured is the mean over n seeds of the test metric after the last epoch, SD its standard "
    "deviation over seeds (n − 1), difference is measured minus printed."
)


def contrasts_table(comparison: PaperComparison) -> Table:
    """The paper's claims with their verdicts."""
    rows = [
        (
            each.claim.name, METRICS[each.claim.metric], each.printed, each.mean,
            each.interval.low if each.interval else None, each.interval.high if each.interval else None,
            each.p, each.p_half, len(each.seeds), each.verdict, each.reason or None,
        )
        for each in comparison.contrasts
    ]  # fmt: skip
    columns = (
        Column("Contrast"), Column("Metric"), Column("Printed", signed, True),
        Column("Measured", signed, True), Column("Low", signed, True), Column("High", signed, True),
        Column("p of no difference", _p, True), Column("p of half the printed", _p, True),
        Column("n", number=True), Column("Verdict"), Column("Why"),
    )  # fmt: skip
    title = f"Contrasts of {comparison.table.title} in sweep {comparison.sweep}"
    name = f"paper-{comparison.table.name}-contrasts"
    conditions = (*comparison.measured.conditions, *comparison.measured.notes)
    note = " ".join((*conditions, contrasts_note(comparison), source()))
    return Table(name, title, columns, tuple(rows), note)


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def contrasts_note(comparison: PaperComparison) -> str:
    """How the verdicts come about."""
    if comparison.table.along == "class":
        return "Table 5 prints one training by class, so that no contrast can be tested."
    over = "imbalances above 1" if comparison.table.along == "imbalance" else "depths"
    parts = [
        f"Percentage points, averaged over the {over} and over gamma; the seed is the unit, at least"
        f" {FEWEST_SEEDS} decide; low and high bound a 95% interval by t, and each p is Holm-corrected over"
        f" {counted(len(comparison.contrasts), 'contrast')}.",
        "Reproduced: above 0; in size: also within 1.96 standard errors of both from the printed one; not"
        " reproduced: below half the printed.",
    ]
    partial = [
        each for each in comparison.contrasts if each.reason.startswith("partial") and each.printed_here
    ]
    if partial:
        here = ", ".join(f"{each.claim.name} {signed(each.printed_here)}" for each in partial)
        parts.append(f"Printed for the part that was run: {here}.")
    return " ".join(parts)


def rank_sentence(each: Ranking, along: str) -> str:
    """A correlation with its ceiling, or why there is none."""
    name = METRICS[each.metric]
    if each.correlation is None or each.ceiling is None:
        return f"Ranks by {name}: no correlation, since fewer than three losses were run alike."
    over = ", ".join(map(place, each.places))
    return (
        f"Ranks by {name}: Spearman {each.correlation:.2f} over {len(each.arms)} losses"
        f" (mean over {along} {over}; {counted(each.n, 'seed')}). A repetition of the paper by its own recipe"
        f" would show about {each.ceiling:.2f} [{each.ceiling_low:.2f}, {each.ceiling_high:.2f}], and"
        f" {each.alike:.2f} [{each.alike_low:.2f}, {each.alike_high:.2f}] if the parameters of a loss changed"
        " nothing: that is the ceiling, simulated from the deviation of its cells by chance."
    )


def check_lines(comparison: PaperComparison) -> list[tuple[str, str, tuple[str, ...]]]:
    """Rule, how it was tried, findings; of every check."""
    return [
        (check.rule, check.how, tuple(_finding(each.text, each.cell) for each in check.findings))
        for check in comparison.checks
    ]


def _finding(text: str, cell: Printed | None) -> str:
    if cell is None or text.startswith(cell.arm):
        return text
    along = place(cell.along)
    if cell.class_name is None:
        along = f"ResNet-{cell.depth}" if cell.imbalance is None else f"imbalance {along}"
    return f"{cell.arm}, {along}, {METRICS[cell.metric]}: {text}"
