"""Published figures stand beside the arms of the cells that they are of, and of no others."""

from __future__ import annotations

import pytest
from synthetic_trials import trial

from trackers.compare import Objective
from trackers.page import render
from trackers.plain_text import as_markdown
from trackers.published.figures import beside_published, published
from trackers.report import ReportData

HERE = {"order": "descending", "model": "resnet32", "depth": 32, "cell": "cifar10-rho100-descending-resnet32"}


def measured(loss: str, accuracy: float, seed: int, **params: float) -> dict[str, object]:
    return {**HERE, "loss": loss, "params": params, "seed": seed, "metrics": {"test/accuracy": accuracy}}


TRIALS = [
    trial(**measured("cross_entropy", 0.70, 0)),
    trial(**measured("cross_entropy", 0.72, 1)),
    trial(**measured("focal", 0.6, 0, gamma=1.0, alpha=1.0)),
    trial(**measured("focal", 0.5, 0, gamma=2.0, alpha=1.0)),
    trial(**{**measured("ldam_drw", 0.9, 0), "state": "failed"}),
    trial(**measured("cefl", 0.8, 0, gamma=1.0)),
]


def test_every_loss_has_one_figure_for_each_data_set() -> None:
    found = published()
    assert len(found) == 10
    assert {(each.imbalance, each.order, each.model) for each in found} == {(100.0, "descending", "resnet32")}
    assert {each.error for each in found if each.loss == "cross_entropy"} == {29.64, 61.68}
    assert {each.error for each in found if each.loss == "ldam_drw"} == {22.27, 57.53}


def test_arms_stand_beside_the_figure_of_their_loss() -> None:
    rows = beside_published(TRIALS)
    assert [(row.loss, row.published, row.arm, row.n) for row in rows] == [
        ("cross_entropy", 29.64, "cross_entropy", 2),
        ("focal", 28.44, "focal(alpha=1, gamma=1)", 1),
        ("focal", 28.44, "focal(alpha=1, gamma=2)", 1),
        ("cb_focal", 24.80, None, 0),
        ("ldam_drw", 22.27, None, 0),
        ("balanced_softmax", 22.46, None, 0),
    ]
    assert rows[0].error == pytest.approx(29.0)
    assert rows[3].error is None


@pytest.mark.parametrize(
    "changes", [{"order": "ascending"}, {"model": "resnet20"}, {"imbalance": 10.0}, {"dataset": "digits"}]
)
def test_other_cells_have_no_figures(changes: dict[str, object]) -> None:
    assert beside_published([trial(**{**measured("cross_entropy", 0.7, 0), **changes})]) == ()


def test_the_report_shows_them_in_both_forms_and_not_where_there_are_none() -> None:
    data = ReportData("s", "done", "Sweep s", Objective(), TRIALS, [])
    for text in (render(data), as_markdown(data)):
        assert "Published figures" in text
        assert "29.64" in text
        assert "29.00" in text
        assert "not compared" not in text
    other = ReportData("s", "done", "Sweep s", Objective(), [trial()], [])
    assert "Published figures" not in render(other) + as_markdown(other)
