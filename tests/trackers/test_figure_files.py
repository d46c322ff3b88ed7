"""Figures as files: pages that a browser draws, JSON that Plotly reads, one library for all."""

from __future__ import annotations

from pathlib import Path

import plotly.io
import pytest
from browser import visit
from confirmed_trials import confirmed_sweep, said_of
from synthetic_trials import sweep
from test_report import report

from sweeps.loss_curves import loss_curves
from trackers.figure_files import KINDS, LIBRARY, all_plots, chosen, figure_files, kind_of
from trackers.plots import Plot
from trackers.report import write_files
from trackers.shares import Importance


@pytest.fixture(scope="module")
def plots() -> list[tuple[str, Plot]]:
    trials = [*sweep(epochs=3, seeds=2, asks=1), *confirmed_sweep()]
    found = Importance(trials[0].cell, "focal", 20, 20, {"gamma": 0.7, "alpha": 0.2}, 0.4)
    said = said_of(trials)
    return all_plots(report(trials, losses_over_p=loss_curves(), confirmations=said, importances=(found,)))


def test_every_figure_has_a_page_and_a_json_that_plotly_reads(plots: list[tuple[str, Plot]]) -> None:
    files = figure_files(plots)
    names = [plot.id for _, plot in plots]
    assert len(set(names)) == len(names)
    assert set(files) == {f"{name}.{end}" for name in names for end in ("html", "json")} | {
        "index.html",
        LIBRARY,
    }
    for name in names:
        figure = plotly.io.from_json(files[f"{name}.json"])
        assert len(figure.data)
        assert figure.layout.template.layout.font.color
        assert files["index.html"].count(f'href="{name}.html"') == 1


def test_every_kind_of_figure_is_there_and_can_be_chosen(plots: list[tuple[str, Plot]]) -> None:
    found = {kind_of(plot) for _, plot in plots}
    assert found == set(KINDS) - {"depth"}
    assert {kind_of(plot) for _, plot in chosen(plots, ["gamma", "losses"])} == {"gamma", "losses"}
    assert chosen(plots, []) == plots


def test_the_six_figures_of_the_losses_are_those_of_the_paper() -> None:
    by_loss, focal, *_, weights = loss_curves()
    assert [curve.label for curve in by_loss.curves] == ["Cross-entropy", "Focal loss", "CEFL", "CEFL2"]
    assert [curve.label for curve in focal.curves] == [
        f"gamma {gamma}" for gamma in ("0", "0.5", "1", "2", "5")
    ]
    middle = min(range(len(weights.p)), key=lambda index: abs(weights.p[index] - 0.5))
    assert [curve.values[middle] for curve in weights.curves] == pytest.approx([0.5, 0.5], abs=0.01)


def test_a_browser_draws_a_figure_from_the_disk_without_complaint(
    tmp_path: Path, plots: list[tuple[str, Plot]]
) -> None:
    write_files(tmp_path / "figures", figure_files(chosen(plots, ["average"])))
    seen = visit(tmp_path / "figures" / "average-1.html", tmp_path / "profile", shows='data-drawn="yes"')
    assert (*seen.console, *seen.requests) == ()
    assert 'data-drawn="yes"' in seen.document
    assert 'class="main-svg"' in seen.document
