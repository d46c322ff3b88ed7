"""What failed is told, stays failed, and runs again when asked: the same key, the same run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from commands import run, sweeps, told
from faulty import fault, write_spec
from inspecting import assert_whole, ledger

from sweeps.conductor import Conductor
from sweeps.home import Home
from sweeps.ledger import Ledger
from sweeps.state import stored_plan

INLINE = ("--executor", "inline")


@pytest.mark.parametrize(
    ("what", "said"), [("raise", "the loss is out of order"), ("exhaust", "can't allocate memory")]
)
def test_a_failed_trial_is_retried_in_its_own_run_and_counts_once(
    what: str, said: str, tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec, at = write_spec(tmp_path, which=(1, 2)), ("--home", home)
    fault(tmp_path, 1, what)
    assert run(spec, home) == 3, "the others went on"
    (row,) = [row for row in ledger(home, "faulty") if row.state == "failed"]
    assert said in row.attrs["reason"]
    assert row.attrs["attempt"] == 2, "the same error twice is final, however many attempts there are"
    failed = next(trial for trial in told(capsys, "trials", "faulty", *at) if trial["state"] == "failed")
    before = assert_whole(home, "faulty")
    assert run(spec, home) == 3, "what failed is not run again by itself"
    assert [row.state for row in ledger(home, "faulty")].count("failed") == 1
    fault(tmp_path, 1, what, times=0)
    assert sweeps("retry", "faulty", *at, *INLINE) == 0
    assert told(capsys, "status", "faulty", *at)["trials"] == {
        "total": 3, "waiting": 0, "running": 0, "complete": 3, "pruned": 0, "failed": 0
    }  # fmt: skip
    tries = [row for row in ledger(home, "faulty") if row.attrs["key"] == failed["key"]]
    assert [row.state for row in tries] == ["failed", "complete"]
    after = assert_whole(home, "faulty")
    assert {ref: run["id"] for ref, run in after.items()} == {ref: run["id"] for ref, run in before.items()}
    (again,) = [trial for trial in told(capsys, "trials", "faulty", *at) if trial["key"] == failed["key"]]
    assert again["run_id"] == failed["run_id"]


def test_a_retry_that_is_interrupted_or_fails_takes_no_result_from_the_rows_of_before(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = write_spec(tmp_path, epochs=3)
    fault(tmp_path, 1, "nan", epoch=2)  # In the last epoch, so that its history is whole.
    assert run(spec, home) == 3
    place = Home(home)
    plan, books = stored_plan(place, "faulty"), Ledger(place, "faulty")
    conductor = Conductor(plan, books, place, retry=True)
    started = conductor.next()
    assert started is not None
    conductor.stopping = True
    conductor.ended(started.ref)
    books.close()
    assert [row.state for row in ledger(home, "faulty")][-1] == "running"
    assert sweeps("retry", "faulty", "--home", home, *INLINE) == 3
    states = [row.state for row in ledger(home, "faulty")]
    assert sorted(states) == ["complete", "failed", "failed"]
    assert told(capsys, "status", "faulty", "--home", home)["trials"]["failed"] == 1
    found = assert_whole(home, "faulty")
    assert {run["tags"]["sweep.state"] for run in found.values()} == {"done", "complete", "diverged"}


def test_a_complete_trial_whose_folder_is_lost_is_trained_again_by_retry(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = write_spec(tmp_path)
    assert run(spec, home) == 0
    scores = {trial["key"]: trial["metrics"] for trial in told(capsys, "trials", "faulty", "--home", home)}
    lost = next(iter(scores))
    shutil.rmtree(home / "trials" / lost)
    assert sweeps("retry", "faulty", "--home", home, *INLINE) == 0
    again = {trial["key"]: trial["metrics"] for trial in told(capsys, "trials", "faulty", "--home", home)}
    assert again[lost]["test/balanced_accuracy"] == scores[lost]["test/balanced_accuracy"]
