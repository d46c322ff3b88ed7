"""The tidy table."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import pytest

from trackers.table import TrialResult, arm_label, frame

JSON_KEYS = [
    "key", "study", "number", "state", "dataset", "imbalance", "order", "model", "depth", "pretrained",
    "loss", "params", "seed", "epochs", "run_id", "metrics",
]  # fmt: skip


def trial(**changes: object) -> TrialResult:
    fields: dict[str, object] = {
        "key": "0123456789ab",
        "study": "demo/digits-10/cefl",
        "number": 3,
        "state": "complete",
        "cell": "digits-10",
        "dataset": "digits",
        "imbalance": 10.0,
        "order": "ascending",
        "model": "resnet8",
        "depth": 8,
        "pretrained": False,
        "loss": "cefl",
        "params": {"gamma": 2.0},
        "seed": 1,
        "kind": "point",
        "epochs": 2,
        "metrics": {"val/balanced_accuracy": 0.75, "seconds": 3.5},
        "seconds": 7.0,
        "score": 0.75,
    }
    return TrialResult(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("loss", "params", "label"),
    [
        ("cross_entropy", {}, "cross_entropy"),
        ("cefl", {"gamma": 2.0}, "cefl(gamma=2)"),
        ("focal", {"gamma": 2.0, "alpha": 0.75}, "focal(alpha=0.75, gamma=2)"),
    ],
)
def test_an_arm_is_named_by_its_loss_and_its_sorted_parameters(
    loss: str, params: dict[str, float], label: str
) -> None:
    assert arm_label(loss, params) == label
    assert trial(loss=loss, params=params).arm == label


def test_the_json_of_a_trial_has_the_promised_keys_in_order_and_no_nan() -> None:
    shown = trial(metrics={"train/loss": math.nan, "val/loss": math.inf, "val/accuracy": 0.5}).as_json()
    assert list(shown) == JSON_KEYS
    assert shown["metrics"] == {"train/loss": None, "val/loss": None, "val/accuracy": 0.5}
    assert shown["params"] == {"gamma": 2.0}
    json.dumps(shown, allow_nan=False)


def test_a_trial_survives_its_record_as_json() -> None:
    before = trial(
        history=({"epoch": 1, "timestamp": 5, "metrics": {"train/loss": 1.5}},),
        confusion={"val": [[3, 1], [0, 2]]},
        classes=("a", "b"),
        train_counts=(10, 100),
    )
    record = json.loads(json.dumps(before.to_record()))
    assert TrialResult.from_record(record) == before
    assert TrialResult.from_record({**record, "from a later version": 1}) == before


def test_a_frame_has_one_row_a_trial_and_a_metric_cannot_hide_a_field() -> None:
    table = frame([trial(), trial(number=4, loss="focal", params={"alpha": 0.5}, metrics={})])
    assert list(table["number"]) == [3, 4]
    assert list(table["arm"]) == ["cefl(gamma=2)", "focal(alpha=0.5)"]
    assert list(table["seconds"]) == [7.0, 7.0]
    assert table["metrics.seconds"][0] == 3.5
    assert math.isnan(table["metrics.seconds"][1])
    assert table["params.gamma"][0] == 2.0
    assert math.isnan(table["params.gamma"][1])
    assert math.isnan(table["params.alpha"][0])


def test_an_empty_frame_still_has_its_columns() -> None:
    table = frame([])
    assert len(table) == 0
    assert {"key", "cell", "arm", "seed", "score", "state"} <= set(table.columns)


def test_the_writer_and_the_table_import_neither_mlflow_nor_pandas() -> None:
    code = (
        "import sys, trackers.table, trackers.writer, trackers.runs, trackers.readback, trackers.records\n"
        "print([name for name in ('mlflow', 'pandas', 'numpy', 'torch') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
