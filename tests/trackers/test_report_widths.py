"""The report on a telephone and on a desk, by day and by night, in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from confirmed_trials import confirmed_sweep, said_of
from emulated import emulated
from synthetic_trials import CLASSES, HOSTILE, cell_values, sweep, trial
from test_data_page import rendered as data_page
from test_report import report

from sweeps.loss_curves import loss_curves
from trackers.figure_files import all_plots
from trackers.report import CellInfo, ReportData, write_report
from trackers.shares import Importance
from trackers.side_by_side import files, side, side_by_side

QUESTIONS = {
    "page": "document.documentElement.scrollWidth",
    "drawn": """Array.from(document.querySelectorAll(".plot")).filter(
        (each) => each.querySelector(".main-svg").getBoundingClientRect().height > 50).length""",
    "outside": """Array.from(document.querySelectorAll(".plot .main-svg")).filter(
        (each) => each.getBoundingClientRect().right > document.documentElement.clientWidth).length""",
    "cut captions": """Array.from(document.querySelectorAll("caption > *")).filter(
        (each) => each.getBoundingClientRect().right > document.documentElement.clientWidth).length""",
    "ink": "getComputedStyle(document.querySelector('.gtitle, .xtick text')).fill",
    "page colour": "getComputedStyle(document.body).backgroundColor",
}

FITTING = ("page", "outside", "cut captions")


def everything() -> ReportData:
    """Every kind of figure that a cell has, with names that are long and hostile."""
    trials = sweep(HOSTILE, imbalances=(100.0, 10.0), epochs=3, seeds=2, asks=2)
    name = trials[0].cell
    trials += [
        trial(
            cell=name, loss="balanced_softmax_of_ones_own", params={"gamma": g / 4, "beta": g % 5}, score=0.5
        )
        for g in range(20)
    ]
    trials += confirmed_sweep()
    found = Importance(name, "balanced_softmax_of_ones_own", 20, 20, {"gamma": 0.7, "beta": 0.2}, 0.4)
    cells = [CellInfo(**each) for each in cell_values(trials, HOSTILE)]
    return report(
        trials, classes=CLASSES, cells=cells, losses_over_p=loss_curves(), importances=(found,),
        confirmations=said_of(trials),
    )  # fmt: skip


def test_every_figure_is_drawn_inside_a_page_of_any_width_without_complaint_or_request(
    tmp_path: Path,
) -> None:
    data = everything()
    page, figures = write_report(tmp_path / "report", data)[0], len(all_plots(data))
    with emulated(tmp_path / "profile") as browser:
        for width, dark in ((400, False), (1400, True)):
            seen = browser.look(page, width, dark, QUESTIONS)
            assert (seen.complaints, seen.requests) == ([], [])
            assert seen.answers["page"] == width, "nothing is wider than the page"
            assert seen.answers["drawn"] == figures
            assert seen.answers["outside"] == 0
            assert seen.answers["cut captions"] == 0
            assert seen.answers["page colour"] == ("rgb(21, 24, 29)" if dark else "rgb(255, 255, 255)")
            assert seen.answers["ink"] == ("rgb(164, 171, 181)" if dark else "rgb(91, 98, 109)")


def test_the_pages_of_data_and_of_a_comparison_fit_a_telephone_and_a_desk(tmp_path: Path) -> None:
    trials = [each for each in confirmed_sweep() if each.loss == "cross_entropy"]
    compared = side_by_side(side("one" * 20, trials, None), side("two", trials, None), "accuracy", "test")
    pages = {"data": data_page(title="photos " * 20), "compared": files(compared, "now")["comparison.html"]}
    with emulated(tmp_path / "profile") as browser:
        for name, content in pages.items():
            page = tmp_path / f"{name}.html"
            page.write_text(content)
            for width, dark in ((400, True), (1400, False)):
                seen = browser.look(page, width, dark, {name: QUESTIONS[name] for name in FITTING})
                assert (seen.complaints, seen.requests) == ([], [])
                assert seen.answers["page"] <= width
                assert (seen.answers["outside"], seen.answers["cut captions"]) == (0, 0)


def test_the_emulated_browser_notices_overflow_errors_and_requests(tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text(
        "<meta name='viewport' content='width=device-width'><div style='width:900px'>x</div>"
        "<img src='file:///no/such/image.png'><script>throw new Error('told')</script>"
    )
    with emulated(tmp_path / "profile") as browser:
        seen = browser.look(page, 400, False, {"page": "document.documentElement.scrollWidth"})
    assert seen.answers["page"] == pytest.approx(908, abs=10)
    assert any("told" in each for each in seen.complaints)
    assert seen.requests == ["file:///no/such/image.png"]
