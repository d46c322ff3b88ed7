"""What was written to MLflow reads back as the same table."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from mlflow_server import free_port

from trackers.errors import SweepNotFound, TrackingUnavailable
from trackers.readback import read_mlflow
from trackers.records import CONFUSION, STATUS, run_of
from trackers.table import TrialResult
from trackers.wanted import Artifact, Run
from trackers.writer import RunWriter

CLASSES = ("Tomato: late blight/3 (severe)", "..", "", "ブナシメジ")


def trial(sweep: str, number: int, **changes: Any) -> TrialResult:
    history = tuple(
        {
            "epoch": epoch,
            "timestamp": 1_700_000_000_000 + 1000 * epoch,
            "metrics": {"train/loss": 1 / epoch, "val/balanced_accuracy": epoch / 10, "seconds": 0.1},
        }
        for epoch in (1, 2, 3)
    )
    last = history[-1]["metrics"] | {f"test/recall/{name}": 1 / (2 + at) for at, name in enumerate(CLASSES)}
    history = (*history[:-1], history[-1] | {"metrics": last})
    whole = TrialResult(
        key=f"{number:012x}",
        study=f"{sweep}/digits 10/focal",
        number=number,
        state="complete",
        cell="digits 10",
        dataset="digits",
        imbalance=10.0,
        order="ascending",
        model="resnet8",
        depth=8,
        pretrained=False,
        loss="focal",
        params={"gamma": 0.1 + 0.2, "alpha": 0.75},
        seed=7,
        kind="ask",
        epochs=3,
        score=0.3,
        metrics=dict(last),
        seconds=1.25,
        history=history,
        confusion={"val": [[3, 1], [0, 2]], "test": [[30, 10], [5, 20]]},
        classes=CLASSES,
        train_counts=(1, 10, 100, 1000),
    )
    return replace(whole, **changes)


def write(uri: str, sweep: str, trials: list[TrialResult], folder: Path) -> dict[int, str]:
    """Write as a driver would; number of the trial to its run."""
    with RunWriter(uri, f"experiment of {sweep}", sweep) as writer:
        writer.open(Run("sweep", sweep, parent=True))
        for each in trials:
            ref = f"{each.study}#{each.number}"
            writer.open(run_of(replace(each, state="running", score=None, seconds=None), ref))
            for row in each.history:
                writer.log(ref, row)
            if each.state != "running":
                place = folder / str(each.number)
                place.mkdir()
                (place / CONFUSION).write_text(json.dumps(dict(each.confusion)), encoding="utf-8")
                files = [Artifact(place / CONFUSION)] if each.confusion else []
                writer.close(ref, STATUS[each.state], tags=run_of(each, ref).tags, artifacts=files)
        assert writer.flush(30), writer.problems
        return {int(each.ref.split("#")[1]): each.run_id for each in writer.drain() if "#" in each.ref}


def test_every_kind_of_trial_survives_the_round_trip(uri: str, tmp_path: Path) -> None:
    sweep = f"it's a sweep {uuid4().hex[:8]}"
    trials = [
        trial(sweep, 0),
        trial(sweep, 1, state="pruned", reason="worse than the rung", confusion={}, kind="point"),
        trial(sweep, 2, state="failed", reason="loss is not finite", score=None, metrics={}, history=()),
        trial(sweep, 3, state="running", score=None, seconds=None, confusion={}),
        trial(sweep, 4, imbalance=None, order=None, depth=None, origin="another sweep", pretrained=True),
    ]
    odd = {"epoch": 1, "timestamp": 5, "metrics": {"a": math.nan, "b": math.inf, "c": -math.inf}}
    trials.append(trial(sweep, 5, history=(odd,), metrics=odd["metrics"]))
    trials.append(trial(sweep, 6, classes=tuple(f"class {at} {'x' * 20}" for at in range(1000))))
    run_ids = write(uri, sweep, trials, tmp_path)
    expected = [replace(each, run_id=run_ids[each.number]) for each in trials]
    read = read_mlflow(uri, sweep)
    assert [each.number for each in read] == [each.number for each in expected]
    for before, after in zip(expected, read, strict=True):
        assert after.to_record() == before.to_record()
    assert read_mlflow(uri, sweep, experiment=f"experiment of {sweep}") == read


def test_without_history_only_the_last_epoch_is_read(uri: str, tmp_path: Path) -> None:
    sweep = f"sweep {uuid4().hex[:8]}"
    write(uri, sweep, [trial(sweep, 0)], tmp_path)
    (whole,) = read_mlflow(uri, sweep)
    (short,) = read_mlflow(uri, sweep, history=False, artifacts=False)
    assert short == replace(whole, history=whole.history[-1:], confusion={})


def test_what_is_not_there_is_named(local: str) -> None:
    with pytest.raises(SweepNotFound, match="'no such sweep'"):
        read_mlflow(local, "no such sweep")
    with pytest.raises(SweepNotFound, match="no experiment 'other'"):
        read_mlflow(local, "no such sweep", experiment="other")
    with pytest.raises(TrackingUnavailable, match=r"http://\*\*\*@127"):
        read_mlflow(f"http://user:secret@127.0.0.1:{free_port()}", "sweep")
