"""Every way in which ledger, histories and MLflow can disagree: `doctor` names it, a command mends it."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from faulty import fault, write_spec
from forked import answer, ended, run_inline, start
from inspecting import assert_whole, ledger, runs

TRIALS, EPOCHS = 13, 4
STRANGE = "0123456789ab"
TABLES = ("runs", "tags", "params", "metrics", "latest_metrics")


@dataclass(frozen=True)
class Kind:
    """One disagreement.

    Args:
        make: Brings it about, of one trial: given the home, the trial's key and its run.
        said: What is to be said of it.
        mended: By which command; ``None``: it stays, and is no fault of this home.
    """

    make: Callable[[Path, str, str], None]
    said: str
    mended: str | None = "sync"


def changed(*statements: str) -> Callable[[Path, str, str], None]:
    """Change MLflow's database; ``$`` stands for the run."""

    def make(home: Path, key: str, run: str) -> None:
        with closing(sqlite3.connect(home / "mlflow.db", timeout=30)) as connected:
            for statement in statements:
                connected.execute(statement.replace("$", f"'{run}'"))
            connected.commit()

    return make


def copied(new: str, ref: str = "value") -> Callable[[Path, str, str], None]:
    """A second run with everything that the first one has; under another ``ref``, if one is given."""

    def make(home: Path, key: str, run: str) -> None:
        with closing(sqlite3.connect(home / "mlflow.db", timeout=30)) as connected:
            for table in TABLES:
                columns = [row[1] for row in connected.execute(f"PRAGMA table_info({table})")]
                chosen = [f"'{new}'" if each == "run_uuid" else f'"{each}"' for each in columns]
                names = ", ".join(f'"{each}"' for each in columns)
                connected.execute(
                    f"INSERT INTO {table} ({names}) SELECT {', '.join(chosen)} FROM {table}"
                    f" WHERE run_uuid = '{run}'"
                )
            connected.execute(f"UPDATE tags SET value = {ref} WHERE run_uuid = '{new}' AND key = 'sweep.ref'")
            connected.commit()

    return make


def lines_kept(*kept: int) -> Callable[[Path, str, str], None]:
    """A history with these of its lines alone."""

    def make(home: Path, key: str, run: str) -> None:
        path = home / "trials" / key / "history.jsonl"
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(lines[each] for each in kept))

    return make


def without_result(home: Path, key: str, run: str) -> None:
    (home / "trials" / key / "result.json").unlink()


def without_folder(home: Path, key: str, run: str) -> None:
    shutil.rmtree(home / "trials" / key)


WRONG = "value = 0.125 WHERE run_uuid = $ AND key = 'val/accuracy' AND step = 4"
KINDS = {
    "missing": Kind(
        changed(*(f"DELETE FROM {table} WHERE run_uuid = $" for table in TABLES)), "there is no run of it"
    ),
    "doubled": Kind(copied("d" * 32), "there are 2 runs of it"),
    "running": Kind(
        changed("UPDATE runs SET status = 'RUNNING' WHERE run_uuid = $"), "its run is RUNNING, not FINISHED"
    ),
    "wrong status": Kind(
        changed("UPDATE runs SET status = 'KILLED' WHERE run_uuid = $"), "its run is KILLED, not FINISHED"
    ),
    "hole": Kind(
        changed("DELETE FROM metrics WHERE run_uuid = $ AND step = 2"), "its run has 3 points of 4 epochs"
    ),
    "behind": Kind(
        changed(
            "DELETE FROM metrics WHERE run_uuid = $ AND step > 1",
            "DELETE FROM latest_metrics WHERE run_uuid = $",
            "INSERT INTO latest_metrics SELECT key, value, timestamp, step, is_nan, run_uuid FROM metrics"
            " WHERE run_uuid = $",
        ),
        "its run has 1 of 4 epochs",
    ),
    "metric missing": Kind(
        changed(
            "DELETE FROM metrics WHERE run_uuid = $ AND key = 'val/accuracy'",
            "DELETE FROM latest_metrics WHERE run_uuid = $ AND key = 'val/accuracy'",
        ),
        "its run has not all of val/accuracy",
    ),
    "other value": Kind(
        changed(f"UPDATE metrics SET {WRONG}", f"UPDATE latest_metrics SET {WRONG}"),
        "its run has other values of val/accuracy than its history",
    ),
    "point twice": Kind(
        changed(
            "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan)"
            " SELECT key, value, timestamp + 1, run_uuid, step, is_nan FROM metrics"
            " WHERE run_uuid = $ AND key = 'train/loss' AND step = 3"
        ),
        "its run has 5 points of 4 epochs",
    ),
    "deleted": Kind(
        changed("UPDATE runs SET lifecycle_stage = 'deleted' WHERE run_uuid = $"), "its run was deleted"
    ),
    "of no trial": Kind(
        copied("e" * 32, "'faulty/elsewhere#1'"), f"run {'e' * 32} is of no trial of this sweep", None
    ),
    "no result": Kind(without_result, "is complete, but has no result there", "retry"),
    "history with a hole": Kind(lines_kept(0, 1, 3), "its history has the epochs [1, 2, 4]", "retry"),
    "history cut short": Kind(lines_kept(0, 1), "its history has 2 of 4 epochs", "retry"),
    "folder lost": Kind(without_folder, "is complete, but has no result there", "retry"),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, empty: Path) -> Path:
    """A home with complete trials and one that failed, to copy."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copytree(empty, folder / "home")
    spec = write_spec(folder, which=range(1, len(KINDS) + 1), epochs=EPOCHS)
    fault(folder, 1, "raise", epoch=3)
    log = folder / "log.txt"
    assert ended(run_inline(log, spec, folder / "home")) == 3, log.read_text()
    return folder / "home"


def said_by_doctor(home: Path) -> dict[str, Any]:
    """The lines of `doctor`, by what they are of."""
    return {each["what"]: each for each in answer(home.parent, "doctor", "--home", home)}


def complete(home: Path) -> list[tuple[str, str]]:
    """Ref and key of every complete trial."""
    return [
        (f"{row.study}#{row.attrs.get('first', row.number)}", row.attrs["key"])
        for row in ledger(home, "faulty")
        if row.state == "complete"
    ]


def make(home: Path, names: list[str]) -> dict[str, str]:
    """One disagreement of each kind, each of a trial of its own; what is to be said, by kind."""
    found = runs(home / "mlflow.db", "faulty")
    for name, (ref, key) in zip(names, complete(home), strict=False):
        KINDS[name].make(home, key, found[ref]["id"])
    return {name: KINDS[name].said for name in names}


def check(home: Path, names: list[str]) -> None:
    """Every disagreement is named, mended by the command that is named, and nothing is lost or doubled."""
    wanted = make(home, names)
    before = said_by_doctor(home)["records of faulty"]
    assert before["state"] == "note"
    assert f"{home}" not in before["found"]
    seen = answer(home.parent, "sync", "faulty", "--home", home)
    texts = [each["found"] for each in seen["seen"]]
    for name, text in wanted.items():
        assert text in texts, name
    left = {
        each["found"] for each in seen["left"] if "epochs" not in each["found"] or "history" in each["found"]
    }
    assert left == {KINDS[name].said for name in names if KINDS[name].mended != "sync"}
    assert seen["problem"] is None
    mended_by = {KINDS[name].mended for name in names}
    assert ("sweeps sync faulty" in before["next"]) == ("sync" in mended_by)
    assert ("sweeps retry faulty" in before["next"]) == ("retry" in mended_by)
    assert ("delete in MLflow" in before["next"]) == (None in mended_by)
    if "retry" in mended_by:
        log = home.parent / "retry.txt"
        process = start(log, "retry", "faulty", "--home", home, "--executor", "inline")
        assert ended(process) in (0, 3), log.read_text()
        left = {each["found"] for each in answer(home.parent, "sync", "faulty", "--home", home)["left"]}
    assert left == {KINDS[name].said for name in names if KINDS[name].mended is None}
    changed("DELETE FROM runs WHERE run_uuid = 'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee'")(home, "", "")
    after = assert_whole(home, "faulty")
    print(f"{len(names)} disagreements, {len(after) - 1} trials, 0 lost, 0 doubled")
    assert said_by_doctor(home)["records of faulty"]["state"] == "ok"


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    """A copy of what was trained; MLflow's database has absolute paths of artifacts of the first one."""
    shutil.copytree(trained, tmp_path / "home")
    return tmp_path / "home"


def test_all_at_once_are_named_and_mended(copy: Path) -> None:
    check(copy, list(KINDS))


@pytest.mark.long
@pytest.mark.parametrize("name", KINDS)
def test_each_alone_is_named_and_mended(copy: Path, name: str) -> None:
    check(copy, [name])


def test_trials_without_a_ledger_are_named_with_what_to_do(copy: Path) -> None:
    (ref, key), *_ = complete(copy)
    stray = copy / "trials" / STRANGE
    shutil.copytree(copy / "trials" / key, stray)
    half = copy / "trials" / STRANGE[::-1]
    half.mkdir()
    shutil.copy(stray / "history.jsonl", half)
    result = json.loads((stray / "result.json").read_text())
    (stray / "result.json").write_text(json.dumps({**result, "key": STRANGE}))
    failed = next(row for row in ledger(copy, "faulty") if row.state == "failed")
    shutil.copy(stray / "result.json", copy / "trials" / failed.attrs["key"])
    said = said_by_doctor(copy)
    assert said["trials"]["found"].startswith("2 folders of no sweep, such as ")
    assert said["trials"]["next"] == "sweeps gc"
    records = said["records of faulty"]
    assert "2 disagreements" in records["found"]
    assert "sweeps retry faulty" in records["next"]
    seen = answer(copy.parent, "sync", "faulty", "--home", copy)
    assert {each["found"] for each in seen["left"]} == {
        "there is a result of this sweep, but no trial in its ledger",
        "failed, but has a result there since",
    }
