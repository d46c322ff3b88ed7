"""Tables as Markdown, LaTeX and CSV: the same numbers, and no text that does anything."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from synthetic_trials import HOSTILE

from trackers.tables import Column, Table, as_csv, as_latex, as_markdown, files_of

LATEX = (
    *HOSTILE,
    "[1em] first",
    "* second",
    r"\input{secret}",
    "50% & more",
    "a_b^c",
    "#1",
    "{",
    "}",
    "~",
    "$x$",
)


def table(names: tuple[str, ...] = ("a", "b"), **changes: str) -> Table:
    rows = tuple((name, index / 3, None) for index, name in enumerate(names, start=1))
    columns = (Column("Name"), Column("Mean", lambda value: f"{value:.2f}", True), Column("No_thing"))
    return Table(changes.get("name", "table"), changes.get("title", "Some means"), columns, rows, "n = 1")


def test_people_see_rounded_values_and_the_csv_holds_all_digits() -> None:
    assert as_markdown(table()) == (
        "# Some means\n\nn = 1\n\n"
        "| Name   |   Mean | No_thing   |\n|:-------|-------:|:-----------|\n"
        "| a      |   0.33 | –          |\n| b      |   0.67 | –          |\n"
    )
    assert list(csv.reader(io.StringIO(as_csv(table())))) == [
        ["Name", "Mean", "No_thing"], ["a", str(1 / 3), ""], ["b", str(2 / 3), ""],
    ]  # fmt: skip
    assert as_latex(table()).splitlines()[-9:] == [
        "% Needs booktabs.", r"\begin{tabular}{lrl}", r"\toprule", r"Name & Mean & No\_thing \\", r"\midrule",
        r"a & 0.33 & – \\", r"b & 0.67 & – \\", r"\bottomrule", r"\end{tabular}",
    ]  # fmt: skip


def test_a_table_has_three_files() -> None:
    assert set(files_of([table(name="x")])) == {"x.md", "x.tex", "x.csv"}


def test_a_table_without_rows_says_so() -> None:
    empty = table(())
    assert "No rows." in as_markdown(empty)
    assert as_latex(empty).endswith("% No rows.\n")
    assert as_csv(empty).strip() == "Name,Mean,No_thing"


def test_many_rows_break_across_pages() -> None:
    text = as_latex(table(tuple(map(str, range(50)))))
    assert r"\begin{longtable}" in text
    assert "booktabs and longtable" in text


def test_what_nobody_reads_further_stands_in_the_csv_alone() -> None:
    long = table(tuple(map(str, range(1010))))
    for text in (as_markdown(long), as_latex(long)):
        assert "10 more rows are in table.csv." in text
        assert "1008" not in text
    assert len(as_csv(long).splitlines()) == 1011


def test_hostile_names_keep_every_cell_in_its_place() -> None:
    hostile = table(LATEX)
    markdown = [line for line in as_markdown(hostile).splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in markdown} == {4}
    assert not re.search(r"<(?!/?br)|(?<!\\)\[x\]\(", "\n".join(markdown))
    rows = [line for line in as_latex(hostile).splitlines() if line.endswith(r"\\")][1:]
    assert len(rows) == len(LATEX)
    for row in rows:
        bare = re.sub(r"\\(textbackslash|textasciitilde|textasciicircum|[&%$#_{}])", "", row[:-2]).replace(
            "{}", ""
        )
        assert bare.count("&") == 2
        assert not re.search(r"[\\%$#_{}~^]", bare)
        assert not re.match(r"\s*[\[*]", row)
    spreadsheet = list(csv.reader(io.StringIO(as_csv(hostile), newline="")))
    assert not [row for row in spreadsheet if row[0].startswith(("=", "+", "-", "@"))]


def test_a_title_of_several_lines_stays_a_comment() -> None:
    text = as_latex(table(title="one\n\\input{secret}"))
    assert [line[0] for line in text.splitlines()[:3]] == ["%", "%", "%"]
    assert "\n\\input" not in text


def test_pdflatex_takes_the_hostile_table(tmp_path: Path) -> None:
    compiler = shutil.which("pdflatex")
    if compiler is None:
        pytest.skip("needs pdfLaTeX: apt-get install -y texlive-latex-recommended")
    (tmp_path / "table.tex").write_text(as_latex(table(LATEX)), encoding="utf-8")
    (tmp_path / "all.tex").write_text(
        "\\documentclass{article}\\usepackage[T1]{fontenc}\\usepackage{booktabs}\n"
        "\\begin{document}\\input{table}\\end{document}\n"
    )
    done = subprocess.run(
        [compiler, "-interaction=nonstopmode", "-halt-on-error", "all.tex"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
