"""MLflow lost, emptied, behind, doubled or away: a synchronisation says so and mends it."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from faulty import fault, write_spec
from forked import answer, ended, run_inline, start
from inspecting import assert_whole, ledger, runs


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, empty: Path) -> Path:
    """A home with two complete trials and one that failed, to copy."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copytree(empty, folder / "home")
    spec = write_spec(folder, which=(1, 2))
    fault(folder, 1, "raise", epoch=3)
    log = folder / "log.txt"
    assert ended(run_inline(log, spec, folder / "home")) == 3, log.read_text()
    return folder / "home"


def change(home: Path, *statements: str) -> None:
    with closing(sqlite3.connect(home / "mlflow.db")) as connected:
        for statement in statements:
            connected.execute(statement)
        connected.commit()


def synced(home: Path) -> Any:
    """What a synchronisation says; in a process of its own, since MLflow keeps databases open."""
    return answer(home.parent, "sync", "faulty", "--home", home)


HOLDING = (
    "experiment_tags", "tags", "params", "metrics", "latest_metrics", "input_tags", "inputs", "datasets",
    "runs",
)  # fmt: skip
WAYS = {
    "lost": (),
    "emptied": (
        *(f"DELETE FROM {table}" for table in HOLDING), "DELETE FROM experiments WHERE experiment_id > 0"
    ),
    "experiment deleted": (
        "UPDATE experiments SET lifecycle_stage = 'deleted' WHERE experiment_id > 0",
        "UPDATE runs SET lifecycle_stage = 'deleted'",
    ),
}  # fmt: skip
"""What happens to MLflow's database."""


@pytest.mark.parametrize(
    "way", ["lost", *(pytest.param(e, marks=pytest.mark.fuller) for e in list(WAYS)[1:])]
)
def test_a_database_that_is_lost_or_emptied_is_written_again_and_a_second_time_changes_nothing(
    trained: Path, way: str
) -> None:
    assert synced(trained)["seen"] == []
    before = assert_whole(trained, "faulty")
    if way == "lost":
        (trained / "mlflow.db").unlink()
    else:
        change(trained, *WAYS[way])
    found = synced(trained)
    assert {each["found"] for each in found["seen"]} == {"there is no run of it"}
    assert (len(found["seen"]), found["left"], found["problem"]) == (4, [], None)
    after = assert_whole(trained, "faulty")
    assert before.keys() == after.keys()
    assert all(before[ref]["steps"] == after[ref]["steps"] for ref in before)
    content = sorted(rows_of(trained))
    assert synced(trained)["seen"] == []
    assert sorted(rows_of(trained)) == content, "what is in line is not written again"


def rows_of(home: Path) -> list[str]:
    """Everything that the database holds of runs, as text."""
    tables = ("runs", "metrics", "params", "tags", "latest_metrics", "inputs", "experiments")
    with closing(sqlite3.connect(home / "mlflow.db")) as connected:
        return [f"{table} {row}" for table in tables for row in connected.execute(f"SELECT * FROM {table}")]


def test_holes_wrong_states_and_deleted_runs_are_told_and_mended(trained: Path) -> None:
    states = {f"{row.study}#{row.number}": row.state for row in ledger(trained, "faulty")}
    found = runs(trained / "mlflow.db", "faulty")
    one, other = [found[ref]["id"] for ref in found if states.get(ref) == "complete"]
    (failed,) = [found[ref]["id"] for ref in found if states.get(ref) == "failed"]
    change(
        trained,
        f"DELETE FROM metrics WHERE run_uuid = '{one}' AND step = 2",
        f"UPDATE runs SET status = 'RUNNING' WHERE run_uuid IN ('{failed}', '{found['sweep']['id']}')",
        f"UPDATE runs SET lifecycle_stage = 'deleted' WHERE run_uuid = '{other}'",
    )
    seen = synced(trained)
    assert sorted(each["found"] for each in seen["seen"]) == [
        "its run has 3 points of 4 epochs",
        "its run is RUNNING, not FAILED",
        "its run is RUNNING, though nothing drives it",
        "its run was deleted",
    ]
    assert seen["left"] == []
    assert assert_whole(trained, "faulty")[next(ref for ref in found if found[ref]["id"] == one)][
        "steps"
    ] == [1, 2, 3, 4]


def records(home: Path) -> Any:
    """What `doctor` says of the records of the sweep."""
    findings = answer(home.parent, "doctor", "--home", home)
    (found,) = [each for each in findings if each["what"] == "records of faulty"]
    return found


def test_a_complete_trial_without_its_folder_is_told_and_names_the_next_step(trained: Path) -> None:
    row = next(row for row in ledger(trained, "faulty") if row.state == "complete")
    result = trained / "trials" / row.attrs["key"] / "result.json"
    aside = result.rename(result.with_suffix(".aside"))
    try:
        log = trained.parent / "said.txt"
        assert ended(start(log, "sync", "faulty", "--home", trained)) == 0
        shown = log.read_text()
        assert "is complete, but has no result there" in shown
        assert "sweeps retry faulty" in shown
        found = records(trained)
        assert (found["state"], found["next"]) == ("note", "sweeps retry faulty")
    finally:
        aside.rename(result)


def test_doctor_tells_what_mlflow_lacks(trained: Path) -> None:
    assert records(trained)["state"] == "ok"
    found = runs(trained / "mlflow.db", "faulty")
    change(trained, f"UPDATE runs SET status = 'RUNNING' WHERE run_uuid = '{found['sweep']['id']}'")
    said = records(trained)
    assert (said["state"], said["next"]) == ("note", "sweeps sync faulty")
    assert "1 disagreement, such as sweep: its run is RUNNING, though nothing drives it" in said["found"]
    assert synced(trained)["left"] == []
