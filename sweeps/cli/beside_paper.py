"""What ``sweeps report NAME --paper TABLE`` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sweeps.cli.app import print_json, print_table

if TYPE_CHECKING:
    from sweeps.home import Home
    from sweeps.plan import Plan
    from trackers.tables import Table


def print_beside_paper(home: Home, plan: Plan, table: str, model: str | None, json: bool) -> None:
    """Compare a sweep with a table of the paper, write the comparison, and print it."""
    from sweeps.beside_paper import beside_paper, write_comparison
    from trackers.paper import wording

    comparison = beside_paper(home, plan, table, model)
    paths = [str(path) for path in write_comparison(home, plan, comparison)]
    if json:
        print_json({**comparison.as_json(), "files": paths})
        return
    cells, contrasts = wording.cells_table(comparison), wording.contrasts_table(comparison)
    print_values(cells)
    print()
    if comparison.contrasts:
        print_values(contrasts)
    print(wording.contrasts_note(comparison))
    for ranking in comparison.rankings:
        print(wording.rank_sentence(ranking, comparison.table.along))
    print("\nWhat contradicts itself in the paper, by arithmetic on the printed numbers:")
    for rule, how, findings in wording.check_lines(comparison):
        print(f"- {rule} ({how}): {len(findings) or 'holds'}")
        for finding in findings:
            print(f"    {finding}")
    for sentence in comparison.measured.conditions:
        print(f"not the paper's: {sentence}")
    for sentence in comparison.measured.notes:
        print(f"note: {sentence}")
    print()
    print("\n".join(paths))


def print_values(table: Table) -> None:
    """A table of the report in the terminal."""
    print_table(table.header, table.shown(), table.title)
