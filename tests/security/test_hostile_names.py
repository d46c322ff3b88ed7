"""Names from data command nothing: no terminal, page, spreadsheet, Markdown or LaTeX does what they say."""

from __future__ import annotations

import csv
import html
import io
import json
import re
import sys
import unicodedata
from pathlib import Path

import pytest
from browser import visit
from PIL import Image
from synthetic_trials import HOSTILE, cell_values, sweep
from test_report import report

from sweeps.cli import fail, main
from sweeps.cli.app import print_json, print_table
from trackers.data_page import DataPage, Distribution, render_data
from trackers.escaping import escaped, harmless, legible
from trackers.page import render
from trackers.plain_text import as_csv, as_markdown
from trackers.report_data import CellInfo, ReportData
from trackers.tables import Column, Table, files_of

NAMES = (
    *HOSTILE[:8],
    "\x1b[2J\x1b]0;owned\x07clear",
    "photo\u202egnp.exe",
    "\x9b31mred",
    "zero\u200bwidth\ufeff",
    "\"><svg/onload=document.title='owned'>",
    "`code` **bold** ![i](http://x.example/i.png) <!-- c -->",
    r"\input{/etc/passwd} $x_1^2$ %&#~ ^^M",
    "\uff1d1+1",
    "{{7*7}} {% raw %}",
)
UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069\ufeff]")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d")


def hostile_report() -> ReportData:
    trials = sweep(NAMES, imbalances=(100.0,), epochs=3, seeds=1, asks=2)
    cells = [CellInfo(**{**each, "notes": NAMES, "train_only": NAMES}) for each in cell_values(trials, NAMES)]
    return report(
        trials, cells=cells, sweep=NAMES[8], title=NAMES[9], spec_text=NAMES[10], run_command=NAMES[8]
    )


def data_page() -> str:
    counts = tuple(range(len(NAMES), 0, -1))
    shown = Distribution(NAMES[9], counts, (), counts, NAMES)
    return render_data(DataPage(NAMES[8], {NAMES[9]: NAMES[10]}, NAMES, NAMES, [shown], b"", NAMES[11]))


def test_text_is_legible_and_means_the_same() -> None:
    assert legible("\x1b[2J \u202e \x9b \ud800") == r"\x1b[2J \u202e \x9b \ud800"
    kept = "tomato 番茄\u3000病気 می\u200cخواهم 👩\u200d👧 é\n\tnext"
    assert legible(kept) == kept


def test_a_terminal_is_never_commanded(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", "n"), [(name, 1) for name in NAMES], None)
    print_json({name: NAMES for name in NAMES})
    with pytest.raises(SystemExit):
        fail(" ".join(NAMES), 2)
    told, errors = capsys.readouterr()
    assert not UNSEEN.findall(told + errors)
    assert json.loads(told[told.index("{\n") :]) == {name: list(NAMES) for name in NAMES}, "the same values"


def test_folders_with_such_names_become_classes_that_are_legible_everywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [name.replace("/", "|") for name in NAMES if name != "."]
    for number, name in enumerate(names):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(6):
            Image.new("L", (8, 8), (40 * index + number) % 256).save(
                tmp_path / "photos" / name / f"{index}.png"
            )
    monkeypatch.setattr(sys, "argv", ["sweeps", "data", "prepare", "folder:photos", "--home", "home"])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    told, errors = capsys.readouterr()
    assert not UNSEEN.findall(told + errors)
    meta = json.loads(next((tmp_path / "home" / "data").glob("*/meta.json")).read_text())
    assert len(meta["classes"]) == len(names)
    categories = {unicodedata.category(letter) for name in meta["classes"] for letter in name}
    assert not categories & {"Cc", "Cf", "Cs"}


def test_tables_are_files_in_which_nothing_runs() -> None:
    columns = (Column("class"), Column("=formula()"), Column("n", number=True))
    table = Table("t", NAMES[8], columns, tuple((name, name, 1) for name in NAMES), note=NAMES[9])
    files = {**files_of([table]), "trials.csv": as_csv(sweep(NAMES, imbalances=(10.0,), epochs=1, seeds=1))}
    for name, text in files.items():
        assert not UNSEEN.findall(text), name
        if name.endswith(".csv"):
            cells = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
            assert not [
                cell for cell in cells if cell.startswith(FORMULA) and not re.fullmatch(r"-?[\d.e-]+", cell)
            ]
    body = files["t.tex"].split(r"\midrule")[1]
    commands = set(re.findall(r"\\[A-Za-z]+", body))
    assert commands <= {
        r"\space",
        r"\textbackslash",
        r"\textasciitilde",
        r"\textasciicircum",
        r"\bottomrule",
        r"\end",
    }
    assert r"\$x\_1" in body


def test_markdown_of_a_report_shows_names_as_text() -> None:
    text = as_markdown(hostile_report())
    assert not UNSEEN.findall(text)
    prose = re.sub(r"^(`{3,})\w*\n.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert not re.search(r"(?<!\\)\[[^\]]*(?<!\\)\]\(|<(?!https)[a-z!/]", prose)
    assert escaped("`a`|[b](c)") == r"\`a\`\|\[b\](c)"
    assert harmless("\uff1d1") == "'\uff1d1"


INJECTED = (
    "<script>document.documentElement.dataset.owned = 'inline'</script>"
    "<script src='data:text/javascript,document.documentElement.dataset.owned=1'></script>"
    "<img src='x:' onerror=\"document.documentElement.dataset.owned = 'handler'\">"
    "<svg onload=\"document.documentElement.dataset.owned = 'svg'\"></svg>"
    "<iframe srcdoc='<script>parent.document.documentElement.dataset.owned = 1</script>'></iframe>"
    "<base href='http://x.example/'><form action='http://x.example/'><input></form>"
)


@pytest.mark.parametrize("kind", ["report", "data"])
def test_a_browser_runs_nothing_of_names_nor_what_somebody_put_into_the_page(
    tmp_path: Path, kind: str, long: bool
) -> None:
    if kind == "data" and not long:
        pytest.skip("--long: the page of a data set is looked at, too")
    page = render(hostile_report()) if kind == "report" else data_page()
    assert not UNSEEN.findall(page.split('id="templates"')[0])
    path = tmp_path / "page.html"
    path.write_text(page.replace("<main", f"{INJECTED}<main", 1), encoding="utf-8")
    assert INJECTED in path.read_text(encoding="utf-8")
    seen = visit(path, tmp_path / "profile", shows='data-drawn="yes"')
    assert "data-owned" not in seen.document.split("<body", 1)[0]
    assert "<title>owned" not in seen.document
    assert any("Content Security Policy" in line for line in seen.console), "the policy spoke"
    assert seen.document.count('data-drawn="yes"') >= 1, "its own script runs"
    assert seen.requests == ()


def test_without_the_policy_what_was_put_into_a_page_would_run(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(f"<!doctype html><html><body>{html.unescape(INJECTED)}</body></html>", encoding="utf-8")
    assert "data-owned" in visit(path, tmp_path / "profile").document.split("<body", 1)[0]
