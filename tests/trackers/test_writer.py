"""The writer, against an SQLite database and a real server: the same contract for both."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tracked_runs import WAIT, row, rows_in, runs_of, values, writing

from trackers import connection
from trackers.errors import TrackingError
from trackers.wanted import Artifact, Dataset, Run
from trackers.writer import RunWriter

CLASSES = ["Tomato: blight/3 (severe)", "..", "", "a//b", "ブナシメジ", "é" * 300, "a(b", "a)b", "\udce9"]


def test_a_run_is_opened_logged_and_closed(uri: str, sweep: str, tmp_path: Path) -> None:
    weights = tmp_path / "weights.txt"
    weights.write_text("1 2 3")
    with writing(uri, sweep) as writer:
        writer.open(Run("sweep", sweep, parent=True))
        data = Dataset("digits", "d" * 64, "npz:/data/digits.npz")
        writer.open(
            Run(
                "t1",
                "cefl seed=1",
                params={"gamma": 2.0, "depth": None, "text": "x" * 7000, "odd (name)": 1},
                tags={"sweep.key": "abc", "sweep.state": "running", "long": "y" * 9000},
                dataset=data,
                start_ms=1000,
            )
        )
        for epoch in (1, 2, 3):
            writer.log("t1", row(epoch))
        files = [Artifact(weights, "m")]
        writer.close("t1", "FINISHED", tags={"sweep.state": "complete"}, end_time_ms=9000, artifacts=files)
        assert writer.flush(WAIT)
        assert writer.incomplete == []
        assert writer.problems == {}
        news = {each.ref: each for each in writer.drain()}
        assert (news["t1"].complete, news["sweep"].complete) == (True, False)
        assert writer.drain() == []

    found = runs_of(uri, sweep)
    run, parent = found["t1"], found["sweep"]
    assert run.info.run_id == news["t1"].run_id
    assert (run.info.status, run.info.start_time, run.info.end_time) == ("FINISHED", 1000, 9000)
    assert run.info.run_name == "cefl seed=1"
    assert run.data.params["gamma"] == "2.0"
    assert "depth" not in run.data.params
    assert len(run.data.params["text"]) == 6000
    assert run.data.tags["sweep.state"] == "complete"
    assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert parent.data.tags["sweep.role"] == "sweep"
    assert parent.info.status == "RUNNING"
    assert [step for step, _, _ in values(uri, run, "train/loss")] == [1, 2, 3]
    assert values(uri, run, "train/loss")[0][1] == row(1)["timestamp"]
    client = connection.connect(uri)
    assert [each.path for each in client.list_artifacts(run.info.run_id, "m")] == ["m/weights.txt"]
    (used,) = client.get_run(run.info.run_id).inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == ("digits", "d" * 36)
    assert [(tag.key, tag.value) for tag in used.tags] == [("mlflow.data.context", "training")]


def test_a_second_writer_finds_the_runs_and_adds_no_point_twice(uri: str, sweep: str, database: Path) -> None:
    def write(epochs: int, known: str | None = None) -> str:
        with writing(uri, sweep) as writer:
            writer.open(Run("sweep", sweep, parent=True))
            writer.open(Run("t1", "one", {"seed": 1}, {"sweep.key": "abc"}, run_id=known))
            for epoch in range(1, epochs + 1):
                writer.log("t1", row(epoch))
                writer.log("t1", row(epoch))
            assert writer.flush(WAIT)
            return {each.ref: each.run_id for each in writer.drain()}["t1"]

    first = write(3)
    assert write(3) == first
    assert write(5) == first
    assert write(5, known=first) == first
    assert write(5, known="f" * 32) == first  # an id of another server
    run = runs_of(uri, sweep)["t1"]
    assert rows_in(database, run) == 10
    assert [step for step, _, _ in values(uri, run, "train/loss")] == [1, 2, 3, 4, 5]


def test_a_killed_run_that_goes_on_is_the_same_run_with_its_history(uri: str, sweep: str) -> None:
    with writing(uri, sweep) as writer:
        writer.open(Run("t1", "one", tags={"sweep.state": "running"}))
        writer.log("t1", row(1))
        writer.close("t1", "KILLED", tags={"sweep.state": "interrupted", "note": "stopped"})
        assert writer.flush(WAIT)
    killed = runs_of(uri, sweep)["t1"]
    assert killed.info.status == "KILLED"
    with writing(uri, sweep) as writer:
        writer.open(Run("t1", "one", tags={"sweep.state": "running", "note": None}))
        assert writer.flush(WAIT)
        assert runs_of(uri, sweep)["t1"].info.status == "RUNNING"
        writer.log("t1", row(1))
        writer.log("t1", row(2))
        writer.close("t1", "FINISHED", tags={"sweep.state": "complete"})
        writer.open(Run("t2", "two"))
        writer.close("t2", "FAILED")
        assert writer.flush(WAIT)
        assert {each.ref: each.complete for each in writer.drain()} == {"t1": True, "t2": True}
        writer.open(Run("t1", "one"))
        assert writer.flush(WAIT)
        assert [(each.ref, each.complete) for each in writer.drain()] == [("t1", False)]
        writer.close("t1", "FINISHED")
        assert writer.flush(WAIT)
    found = runs_of(uri, sweep)
    assert found["t1"].info.run_id == killed.info.run_id
    assert (found["t1"].info.status, found["t2"].info.status) == ("FINISHED", "FAILED")
    assert [step for step, _, _ in values(uri, found["t1"], "train/loss")] == [1, 2]
    assert found["t1"].data.tags["sweep.state"] == "complete"
    assert "note" not in found["t1"].data.tags


def test_a_run_that_was_just_written_rests_unless_it_ends_or_is_flushed(
    uri: str, sweep: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trackers.writer.SHARE", 1e-6)
    monkeypatch.setattr("trackers.writer.LONGEST_REST", 10 * WAIT)

    def steps() -> list[int]:
        return [step for step, _, _ in values(uri, runs_of(uri, sweep)["t1"], "train/loss")]

    with writing(uri, sweep) as writer:
        writer.open(Run("t1", "one"))
        writer.log("t1", row(1))
        assert writer.flush(WAIT)
        writer.log("t1", row(2))
        time.sleep(0.1)
        writer.log("t1", row(3))
        assert writer.incomplete == ["t1"]
        assert steps() == [1]
        assert writer.flush(WAIT)
        assert steps() == [1, 2, 3]
        writer.log("t1", row(4))
        writer.close("t1", "FINISHED")
        deadline = time.monotonic() + WAIT
        while writer.incomplete and time.monotonic() < deadline:
            time.sleep(0.01)
        assert steps() == [1, 2, 3, 4]


def test_closing_again_without_an_end_keeps_the_end(uri: str, sweep: str) -> None:
    ends = []
    for _ in range(2):
        with writing(uri, sweep) as writer:
            writer.open(Run("t1", "one"))
            writer.close("t1", "FINISHED")
            assert writer.flush(WAIT)
        ends.append(runs_of(uri, sweep)["t1"].info.end_time)
    assert ends[0] == ends[1]


def test_odd_class_names_nan_and_infinity_do_no_harm(uri: str, sweep: str) -> None:
    metrics = {f"test/recall/{name}": float(index) for index, name in enumerate(CLASSES)}
    metrics |= {"train/loss": float("nan"), "val/loss": float("inf"), "val/accuracy": 0.5}
    with writing(uri, sweep) as writer:
        writer.open(Run("t1", "one"))
        writer.log("t1", row(1, **metrics))
        assert writer.flush(WAIT)
    run = runs_of(uri, sweep)["t1"]
    assert len(run.data.metrics) == len(metrics)
    assert run.data.metrics["val/accuracy"] == 0.5
    assert run.data.metrics["test/recall/ブナシメジ"] == 4.0


def test_more_than_a_thousand_metrics_take_several_calls(uri: str, sweep: str, database: Path) -> None:
    writer = RunWriter(uri, f"experiment of {sweep}", sweep)
    writer.open(Run("t1", "one"))
    for epoch in range(1, 251):
        writer.log("t1", row(epoch, **{f"val/{name}": epoch / 7 for name in "abcdefghij"}))
    writer.start()
    assert writer.flush(WAIT)
    writer.stop()
    assert rows_in(database, runs_of(uri, sweep)["t1"]) == 2500


def test_what_is_refused_is_named_and_the_rest_is_written(uri: str, sweep: str, tmp_path: Path) -> None:
    with writing(uri, sweep) as writer:
        writer.open(Run("good", "good"))
        writer.open(Run("past", "before 1970"))
        writer.open(Run("text", "no number"))
        writer.open(Run("file", "no file"))
        writer.log("past", {**row(1), "timestamp": -5})
        writer.log("text", row(1, a="many", b=1.0))  # type: ignore[arg-type]
        writer.log("good", row(1))
        for ref in ("past", "text", "good"):
            writer.close(ref, "FINISHED")
        writer.close("file", "FINISHED", artifacts=[Artifact(tmp_path / "gone.txt")])
        assert not writer.flush(WAIT)
        assert sorted(writer.incomplete) == ["file", "past", "text"]
        assert "timestamp" in writer.problems["past"]
        assert "'a' of epoch 1 is 'many', not a number" in writer.problems["text"]
        assert "gone.txt" in writer.problems["file"]
        (tmp_path / "gone.txt").write_text("here")
        assert not writer.flush(WAIT)
        assert sorted(writer.incomplete) == ["past", "text"]
    found = runs_of(uri, sweep)
    assert {run.info.status for run in found.values()} == {"FINISHED"}
    assert found["text"].data.metrics == {"b": 1.0}


def test_what_is_no_number_is_told_once_however_often_its_epoch_is_tried(
    uri: str, sweep: str, tmp_path: Path
) -> None:
    with writing(uri, sweep) as writer:
        writer.open(Run("both", "no number, no file"))
        writer.log("both", row(1, a="many", b=1.0))  # type: ignore[arg-type]
        writer.close("both", "FINISHED", artifacts=[Artifact(tmp_path / "gone.txt")])
        for _ in range(2):
            assert not writer.flush(WAIT)
            assert writer.problems["both"].count("not a number") == 1
        (tmp_path / "gone.txt").write_text("here")
        assert not writer.flush(WAIT)
        assert writer.problems["both"] == "metric 'a' of epoch 1 is 'many', not a number"


def test_a_parameter_keeps_its_first_value_and_the_run_says_so(uri: str, sweep: str) -> None:
    for gamma in (1.0, 2.0):
        with writing(uri, sweep) as writer:
            writer.open(Run("t1", "one", {"gamma": gamma, f"new {gamma:g}": 1}))
            writer.log("t1", row(int(gamma)))
            writer.close("t1", "FINISHED")
            assert writer.flush(WAIT) == (gamma == 1.0)
            problem = writer.problems
    assert "gamma is '1.0', not '2.0'" in problem["t1"]
    run = runs_of(uri, sweep)["t1"]
    assert {"new 1", "new 2"} <= set(run.data.params)
    assert len(values(uri, run, "train/loss")) == 2


def test_deleted_runs_and_experiments_are_restored(uri: str, sweep: str) -> None:
    client = connection.connect(uri)
    for _ in range(2):
        with writing(uri, sweep) as writer:
            writer.open(Run("t1", "one"))
            writer.open(Run("t2", "two"))
            writer.log("t1", row(1))
            assert writer.flush(WAIT), writer.problems
        run = runs_of(uri, sweep)["t1"]
        client.delete_run(run.info.run_id)
        client.delete_experiment(run.info.experiment_id)
    client.restore_experiment(run.info.experiment_id)
    assert runs_of(uri, sweep, deleted=True)["t1"].info.run_id == run.info.run_id


def test_empty_doubles_of_a_run_are_cleared_away(uri: str, sweep: str) -> None:
    with writing(uri, sweep) as writer:
        writer.open(Run("t1", "one"))
        writer.log("t1", row(1))
        assert writer.flush(WAIT)
    run = runs_of(uri, sweep)["t1"]
    client = connection.connect(uri)
    tags = {name: run.data.tags[name] for name in ("sweep.name", "sweep.ref")}
    double = client.create_run(run.info.experiment_id, tags=tags)
    with writing(uri, sweep) as writer:
        writer.open(Run("t1", "one"))
        assert writer.flush(WAIT)
    assert runs_of(uri, sweep)["t1"].info.run_id == run.info.run_id
    assert client.get_run(double.info.run_id).info.lifecycle_stage == "deleted"


def test_a_run_that_is_to_be_alone_stays_and_others_of_its_identity_go(uri: str, sweep: str) -> None:
    with writing(uri, sweep) as writer:
        writer.open(Run("t1", "one"))
        writer.log("t1", row(1))
        assert writer.flush(WAIT)
    run, client = runs_of(uri, sweep)["t1"], connection.connect(uri)
    tags = {name: run.data.tags[name] for name in ("sweep.name", "sweep.ref")}
    double = client.create_run(client.create_experiment(f"elsewhere {sweep}"), tags=tags)
    client.log_metric(double.info.run_id, "train/loss", 1.0, step=1)
    with writing(uri, sweep) as writer:
        writer.open(Run("t1", "one", run_id=run.info.run_id, alone=True))
        assert writer.flush(WAIT)
    assert runs_of(uri, sweep)["t1"].info.run_id == run.info.run_id
    assert client.get_run(double.info.run_id).info.lifecycle_stage == "deleted"


def test_a_run_with_wrong_points_is_written_anew_once(uri: str, sweep: str) -> None:
    with writing(uri, sweep) as writer:
        writer.open(Run("t1", "one"))
        writer.log("t1", row(1, a=1.0))
        writer.close("t1", "FINISHED")
        assert writer.flush(WAIT)
    wrong = runs_of(uri, sweep)["t1"].info.run_id
    with writing(uri, sweep) as writer:
        writer.open(Run("t1", "one", run_id=wrong, anew=True))
        writer.log("t1", row(1, a=2.0))
        for note in "12":
            writer.close("t1", "FINISHED", tags={"note": note})
            assert writer.flush(WAIT)
    run = runs_of(uri, sweep)["t1"]
    assert run.info.run_id != wrong
    assert [value for _, _, value in values(uri, run, "a")] == [2.0]
    experiments = [run.info.experiment_id]
    found = list(connection.search(connection.connect(uri), experiments, sweep, deleted=True))
    assert {each.info.run_id for each in found} == {wrong, run.info.run_id}, "and once"


def test_the_artifacts_of_a_local_database_lie_beside_it(local: str, sweep: str, tmp_path: Path) -> None:
    for folder, expected in ((None, tmp_path / "artifacts"), (tmp_path / "my store", tmp_path / "my store")):
        (tmp_path / "x.txt").write_text("x")
        with RunWriter(local, f"experiment {folder}", sweep, folder) as writer:
            writer.open(Run(f"t {folder}", "one"))
            writer.close(f"t {folder}", "FINISHED", artifacts=[Artifact(tmp_path / "x.txt", "files")])
            assert writer.flush(WAIT)
        assert len(list(expected.glob("*/artifacts/files/x.txt"))) == 1


def test_misuse_is_named(local: str) -> None:
    writer = RunWriter(local, "experiment", "sweep")
    with pytest.raises(TrackingError, match="never opened"):
        writer.log("t1", row(1))
    with pytest.raises(TrackingError, match="FINISHED, KILLED, FAILED"):
        writer.close("t1", "COMPLETE")
    with pytest.raises(TrackingError, match="sqlite:///PATH"):
        RunWriter("./mlruns", "experiment", "sweep")
