"""The figures of the search in a cell as a whole: its trials as lines, and what their scores go back to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from trackers import wording
from trackers.parallel import ParallelView, parallel_view
from trackers.parallel_figure import parallel_coordinates
from trackers.plots import Plot, figure_in_page
from trackers.report_data import CellReport, ReportData
from trackers.share_figures import importance_bars, variation_bars
from trackers.shares import LEAST_FREEDOM, Importance, VariationView, variation_view


def search_plots(number: int, cell: CellReport, data: ReportData) -> Iterable[Plot]:
    """Trials across all that they differ in, and the shares of losses and parameters, where there are any."""
    where = f"{wording.metric_name(data.objective)}, {wording.split_name(data.objective)}"
    mine = [each for each in data.importances if each.cell == cell.info.name]
    shown = [each for each in mine if each.shares]
    lines = parallel_view(cell.trials)
    if lines is not None:
        caption = _lines_caption(lines, where) + ("" if shown else _unsaid(mine))
        names = ", ".join(axis.name for axis in lines.axes)
        yield figure_in_page(
            f"parallel-{number}", "Trials as lines", parallel_coordinates(lines), caption,
            f"{wording.counted(len(lines.lines), 'trial')} as lines across {names}",
        )  # fmt: skip
    variation = variation_view(cell.arms)
    if variation is not None:
        yield figure_in_page(
            f"variation-{number}", "What the variation goes back to", variation_bars(variation),
            _variation_caption(variation, where),
            f"Shares of the variation of {where}: {_in_words(variation)}",
        )  # fmt: skip
    if shown:
        said = "; ".join(
            f"{each.loss}: " + ", ".join(f"{name} {share:.0%}" for name, share in each.shares.items())
            for each in shown
        )
        yield figure_in_page(
            f"importance-{number}", "Importance of the parameters", importance_bars(shown),
            _importance_caption(mine), f"Importance of the parameters, {said}",
        )  # fmt: skip


def _lines_caption(view: ParallelView, where: str) -> str:
    caption = (
        f"Each line is a trial of the search, from its loss down to its score ({where}): the higher it "
        "ranks, the wider and the more magenta."
    )
    if view.stopped:
        caption += (
            f" {wording.counted(view.stopped, 'trial')} stopped early: with the score at which it was "
            "compared last, not that of a whole training."
        )
    if view.left_out:
        caption += (
            f" Drawn are {len(view.lines)} trials, evenly over the ranks; {view.left_out:,} more are in "
            "results.csv."
        )
    return caption + (f" Not drawn: {', '.join(view.params_left_out)}." if view.params_left_out else "")


def _variation_caption(view: VariationView, where: str) -> str:
    caption = (
        f"Analysis of variance of {where}: which share of the squared differences between trials lies "
        "between losses, between the parameters of a loss, and between seeds at the same parameters. What "
        "chance alone would give is taken off the first two (epsilon squared). The shares are of what was "
        "tried: a wider range of gamma has a larger one. They name no winner. Arms with two seeds or more "
        f"count, and rows with at least {LEAST_FREEDOM} repetitions; with few of them a share is rough."
    )
    left_out = f" Left out: {wording.counted(view.left_out, 'arm')} with one seed." if view.left_out else ""
    return caption + left_out


def _importance_caption(mine: Sequence[Importance]) -> str:
    caption = (
        "Only of losses of which two parameters or more differ. A forest of trees is fitted to the complete "
        "trials of the study; a bar shows how much of the forest's variation over the range tried each "
        "parameter explains by itself (fANOVA), and what only their interplay does. "
        "\N{LEFT DOUBLE QUOTATION MARK}Predicts\N{RIGHT DOUBLE QUOTATION MARK} is the share of the variation "
        "of scores at parameters that a forest had not seen: where it is low, so is the weight of the bar."
    )
    return caption + _unsaid(mine)


def _unsaid(mine: Sequence[Importance]) -> str:
    few = [f"{each.loss} ({each.n} at {each.settings} settings)" for each in mine if each.predicted is None]
    blind = [each.loss for each in mine if each.predicted is not None and not each.shares]
    sentences = []
    if few:
        sentences.append(
            f"Too few complete trials to tell the importance of the parameters of {', '.join(few)}."
        )
    if blind:
        sentences.append(
            f"The parameters of {', '.join(blind)} do not predict the scores of settings that were left out, "
            "so none is called important."
        )
    return "".join(f" {sentence}" for sentence in sentences)


def _in_words(view: VariationView) -> str:
    """For those who cannot see the bars."""
    return "; ".join(
        f"{row.of}: " + ", ".join(f"{name} {share:.0%}" for name, share in row.parts.items())
        for row in view.rows
    )
