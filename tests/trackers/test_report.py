"""The report as files, as words, and in a real browser."""

from __future__ import annotations

import csv
import html
import io
import re
import stat
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from browser import Visit, visit
from synthetic_trials import CLASSES, HOSTILE, cell_values, sweep, trial

from trackers.compare import Objective, best
from trackers.escaping import escaped, fenced
from trackers.markup import embedded, policy
from trackers.page import render
from trackers.plain_text import as_csv, as_markdown
from trackers.report import CellInfo, ReportData, write_report
from trackers.report_data import cell_reports
from trackers.table import TrialResult
from trackers.wording import percent, signed, verdict


def report(trials: list[TrialResult], classes: tuple[str, ...] = CLASSES, **changes: Any) -> ReportData:
    values: dict[str, Any] = {
        "sweep": "demo",
        "state": "done",
        "title": "Imbalanced CIFAR-10",
        "objective": Objective(),
        "trials": trials,
        "cells": [CellInfo(**each) for each in cell_values(trials, classes)],
        "spec_text": "name: demo\nloss: [cefl, focal]\n",
        "provenance": {"Versions": {"torch": "2.11.0"}, "Git": {"commit": "0123abc"}},
        "run_command": "sweeps run demo.yaml",
        "ui_command": "sweeps ui",
        "confirm_command": "sweeps confirm demo.yaml",
        "best_file": "best.yaml",
        "best_command": "sweeps run best.yaml",
        "created": "2026-01-02 03:04 UTC",
        "duration": "2 h 14 min",
    }
    return ReportData(**(values | changes))


@pytest.fixture(scope="module")
def trials() -> list[TrialResult]:
    return sweep()


@pytest.fixture(scope="module")
def page(trials: list[TrialResult]) -> str:
    return render(report(trials))


@pytest.fixture(scope="module")
def hostile() -> ReportData:
    """Every text that data, people or servers bring along tries to break out."""
    trials = [
        trial(
            **{**vars(each), "cell": HOSTILE[1], "reason": each.reason and HOSTILE[0], "origin": HOSTILE[2]}
        )
        for each in sweep(HOSTILE, imbalances=(100.0,), epochs=5, seeds=2)
    ]
    cells = [
        CellInfo(**{**each, "notes": HOSTILE, "train_only": HOSTILE}) for each in cell_values(trials, HOSTILE)
    ]
    return report(
        trials, cells=cells, sweep=HOSTILE[0], title=HOSTILE[1], spec_text=f"```\n{HOSTILE[0]}",
        provenance={HOSTILE[0]: {HOSTILE[1]: HOSTILE[5]}}, run_command=HOSTILE[0], best_file=HOSTILE[1],
    )  # fmt: skip


def visible(page: str) -> str:
    """The page's text without scripts and styles."""
    text = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def test_all_files_are_written_whole_and_nothing_else_stays(
    tmp_path: Path, trials: list[TrialResult]
) -> None:
    folder = tmp_path / "new" / "folder"
    written = write_report(folder, report(trials))
    assert [path.name for path in written][:3] == ["report.html", "results.csv", "report.md"]
    tables = {path.name for path in (folder / "tables").iterdir()}
    assert tables == {
        f"{name}.{ending}"
        for name in ("leaderboard", "per-class", "failed")
        for ending in ("md", "tex", "csv")
    }
    assert sorted(path for path in folder.rglob("*") if path.is_file()) == sorted(written)
    assert all(path.stat().st_mode & stat.S_IRGRP for path in written)
    before = [path.read_bytes() for path in written]
    assert [path.read_bytes() for path in write_report(folder, report(trials))] == before


def test_the_verdict_names_score_n_split_rule_and_baseline_and_claims_nothing(
    trials: list[TrialResult],
) -> None:
    data = report(trials)
    winner = best(trials, data.objective)[0]
    text = verdict(cell_reports(data)[0], data.objective)
    assert text == (
        f"{winner.summary.arm} has the highest balanced accuracy of 24 arms: {percent(winner.mean)} "
        "(n = 1 seed, validation split, last epoch of each trial). "
        f"Cross-entropy has {percent(winner.baseline)} (n = 3), "
        f"a difference of {signed(winner.difference)} points. "
        "The leading arm rests on fewer seeds than others, which have up to 3. "
        "A search score on the validation split, not confirmed."
    )


def test_the_page_says_that_nothing_is_confirmed_and_what_to_do(page: str) -> None:
    text = visible(page)
    assert "no two arms are called different" in text
    assert "at least five seeds that the search did not use" in text
    assert "sweeps confirm demo.yaml" in text
    assert not re.search(r"significant|beats|better than cross-entropy[^,]", text)


def test_a_choice_on_the_test_set_is_warned_of_in_words(trials: list[TrialResult], page: str) -> None:
    assert "Warning" not in visible(page)
    data = report(trials, objective=Objective(split="test"))
    for text in (visible(render(data)), as_markdown(data)):
        assert "The choice was made on the test set." in text
        assert "optimistic" in text


def test_a_cell_without_a_result_and_one_without_trials_are_told(trials: list[TrialResult]) -> None:
    failed = trial(cell="broken", state="failed", score=None, reason="out of memory")
    planned = CellInfo("planned", "cifar10")
    data = report([*trials, failed], cells=[planned], state="running")
    text = visible(render(data))
    assert "No trial is complete (1 failed), so there is no best arm." in text
    assert "No trial has started." in text
    assert "out of memory" in text
    assert "still running" in text
    assert [cell.info.name for cell in cell_reports(data)][::3] == ["planned", "broken"]


def test_a_sweep_without_any_trial_has_a_page() -> None:
    assert "No trial has started." in visible(render(report([], cells=[CellInfo("planned", "cifar10")])))
    assert "No cell has a complete trial." in visible(render(report([], cells=[])))


@pytest.mark.parametrize(
    ("difference", "text"), [(0.0234, "+2.3"), (-0.0234, "\N{MINUS SIGN}2.3"), (0.0004, "0.0"), (None, "–")]
)
def test_differences_carry_a_sign_unless_they_round_to_zero(difference: float | None, text: str) -> None:
    assert signed(difference) == text


def test_the_page_is_one_file_that_asks_for_nothing(page: str) -> None:
    assert page.count("plotly.js v") == 1
    assert not re.search(r"<(link|iframe|object|embed|img)\b", page.split("<script", 1)[0])
    rest = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"https?://|@import|url\(", rest)


def test_the_policy_allows_the_inline_scripts_by_hash_and_nothing_from_elsewhere(page: str) -> None:
    scripts = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    content = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    assert content is not None
    assert html.unescape(content[1]) == policy(scripts)
    assert "default-src 'none'" in content[1].replace("&#39;", "'")
    assert "unsafe-eval" not in content[1]


def test_tables_have_headers_with_a_scope_and_figures_a_text(page: str) -> None:
    assert not re.search(
        r"<th(?![^>]*scope=)[ >]", page.split('<script type="application/json" id="templates"')[0]
    )
    assert len(re.findall(r'role="img" aria-label="[^"]+"', page)) == page.count('class="plot"') == 24


class _Tags(HTMLParser):
    """Counts of elements, and of attributes that run code."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.handlers: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.handlers += [
            name
            for name, value in attributes
            if name.startswith("on") or ("javascript:" in (value or "") and not name.startswith("data-"))
        ]


def test_hostile_names_add_no_element_and_no_handler(hostile: ReportData) -> None:
    tags = _Tags()
    tags.feed(render(hostile))
    assert tags.handlers == []
    assert "img" not in tags.tags
    figures = tags.tags.count("figure")
    assert tags.tags.count("script") == figures + 3


def test_embedded_json_cannot_end_its_element() -> None:
    text = embedded({"</script>": "<!-- & \u2028"})
    assert not re.search(r"[<>&\u2028]", text)


def test_results_hold_a_row_a_trial_in_full_precision(trials: list[TrialResult]) -> None:
    table = pd.read_csv(io.StringIO(as_csv(trials)))
    assert len(table) == len(trials)
    assert list(table["key"].astype(str)) == [each.key for each in trials]
    assert list(table["params.gamma"].dropna()) == [each.params["gamma"] for each in trials if each.params]
    assert list(table["score"].dropna()) == [each.score for each in trials if each.score is not None]
    assert list(table["depth"].unique()) == [20]


def test_text_that_a_spreadsheet_would_run_is_quoted_and_numbers_are_not() -> None:
    texts = ["=cmd()", "+1", "-2+3", "@SUM(1)", "\t=1", "\r=1", "plain"]
    text = as_csv([trial(reason=each, score=-0.5) for each in texts])
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["reason"] for row in rows] == [*(f"'{text}" for text in texts[:-1]), "plain"]
    assert {row["score"] for row in rows} == {"-0.5"}


def test_markdown_shows_hostile_names_as_text(hostile: ReportData) -> None:
    text = as_markdown(hostile)
    prose = re.sub(r"^(`{3,})\w*\n.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert "<" not in prose
    assert "[x](" not in prose
    widths = {
        line.replace("\\|", "").count("|") for line in prose.splitlines() if re.match(r"\| +1 \|", line)
    }
    assert widths == {8}


def test_markdown_escapes_and_fences() -> None:
    assert escaped("a|b_c _d_ *e* <f>\ng") == r"a\|b_c \_d\_ \*e\* &lt;f&gt; g"
    assert escaped("# no heading") == r"\# no heading"
    assert fenced("a\n````\nb", "sh").startswith("`````sh\n")


def test_ten_thousand_trials_make_a_page_that_is_still_small() -> None:
    rows = tuple(
        {"epoch": epoch, "metrics": {"train/loss": 1.0, "val/accuracy": 0.5}} for epoch in range(1, 21)
    )
    many = [
        trial(
            cell=f"cell {cell}",
            loss="cefl",
            params={"gamma": gamma / 100},
            score=0.5 + gamma / 1e5,
            history=rows,
        )
        for cell in range(10)
        for gamma in range(1000)
    ]
    text = render(report(many, cells=[]))
    assert len(text) < 7_000_000
    assert "950 more arms are in results.csv" in text


def complaints(seen: Visit) -> list[str]:
    return [line for line in (*seen.console, *seen.requests) if line]


def test_the_browser_of_these_tests_notices_requests_errors_and_violations(tmp_path: Path) -> None:
    bad = """<meta http-equiv="Content-Security-Policy" content="script-src 'none'"><script>1</script>"""
    path = tmp_path / "bad.html"
    path.write_text(f'{bad}<img src="http://example.org/image.png">', encoding="utf-8")
    seen = visit(path, tmp_path / "profile")
    assert any("example.org" in each for each in seen.requests)
    assert any("Content Security Policy" in each for each in seen.console)


def test_a_browser_draws_every_figure_without_complaint_network_or_hostile_code(
    tmp_path: Path, hostile: ReportData
) -> None:
    path = write_report(tmp_path / "report", hostile)[0]
    seen = visit(path, tmp_path / "profile", shows='data-drawn="yes"', times=11)
    assert complaints(seen) == []
    places = re.findall(r'<div class="plot[^"]*" id="([^"]+)"[^>]*>', seen.document)
    assert len(places) == 11
    assert seen.document.count('data-drawn="yes"') == 11
    assert seen.document.count('class="main-svg"') >= 9
    assert "&lt;/script&gt;&lt;script" in seen.document  # a tick label, as text
    assert not re.search(r"<a [^>]*javascript:|<img[^>]*onerror", seen.document)


def test_a_click_on_a_heading_sorts_and_dark_mode_draws_light_text(tmp_path: Path) -> None:
    page = render(report(sweep(imbalances=(100.0,), epochs=5)))
    click = "const mean = document.querySelectorAll('details th button')[2]; mean.click(); mean.click();"
    scripts = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    allowed = html.escape(policy([*scripts, click]))
    page = re.sub(r'(Content-Security-Policy" content=)"[^"]+"', rf'\1"{allowed}"', page, count=1)
    path = tmp_path / "report.html"
    path.write_text(page.replace("</body>", f"<script>{click}</script></body>"), encoding="utf-8")
    seen = visit(path, tmp_path / "profile", "--force-dark-mode", shows='data-drawn="yes"')
    assert complaints(seen) == []
    board = seen.document.split("Leaderboard of", 1)[1].split("</table>", 1)[0]
    means = [float(value) for value in re.findall(r'</th>\s*<td class="number" data-value="([^"]+)"', board)]
    assert len(means) == 24
    assert means == sorted(means)
    assert 'aria-sort="ascending"' in board
    assert "fill: rgb(230, 232, 235)" in seen.document
