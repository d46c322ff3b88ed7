"""The ledger on PostgreSQL: by the same commands, and beside the sweeps of other homes."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import psycopg
import pytest
from optuna.storages import RDBStorage
from postgres import Postgres
from small_data import write_small
from sqlalchemy import NullPool

from sweeps.cli import main
from sweeps.home import Home
from sweeps.snapshot import read_ledger


@pytest.fixture(scope="module")
def ledger(postgres: Postgres) -> str:
    return postgres.new_database("studies")


@pytest.fixture
def shared(ledger: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The environment of whoever works with the ledger."""
    monkeypatch.setenv("SWEEPS_LEDGER_URL", ledger)
    return ledger


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "sweeps", *map(str, arguments)]


@dataclass
class Done:
    """How a command of this process ended."""

    returncode: int
    stdout: str
    stderr: str


def sweeps(*arguments: object) -> Done:
    """A command, run in this process, which has everything imported."""
    out, err, before, code = io.StringIO(), io.StringIO(), sys.argv, 0
    sys.argv = ["sweeps", *map(str, arguments)]
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.argv = before
    return Done(code, out.getvalue(), err.getvalue())


def told(*arguments: object) -> Any:
    done = sweeps(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def run(spec: Path, home: Path, *more: object) -> Done:
    return sweeps("run", spec, "--home", home, "--executor", "inline", *more)


def started(spec: Path, home: Path, name: str) -> subprocess.Popen[str]:
    """A driver in a process of its own."""
    arguments = command("run", spec, "--home", home, "--executor", "inline", "--name", name)
    return subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def until_it_trains(driver: subprocess.Popen[str], home: Path) -> None:
    deadline = time.monotonic() + 120
    while not list((home / "trials").glob("*/history.jsonl")):
        assert driver.poll() is None, driver.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_search_on_postgresql_is_that_on_a_file(
    small_spec: Path, tmp_path: Path, shared: str, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_spec.write_text(small_spec.read_text() + "study: {losses: cefl, asks: 4, grace: 1, prune: all}\n")
    home, plain = tmp_path / "home", tmp_path / "plain"
    done = run(small_spec, home, "--name", "searched")
    assert done.returncode == 0, done.stderr
    assert not (home / "optuna.db").exists()
    monkeypatch.delenv("SWEEPS_LEDGER_URL")
    assert run(small_spec, plain, "--name", "searched").returncode == 0

    def trials(url: str) -> list[tuple[Any, ...]]:
        left_out = {"run_id"}
        return [
            (row.study, row.number, row.state, row.value, row.attrs.keys() - left_out, row.attrs["params"])
            for row in read_ledger(url, "searched")
        ]

    assert trials(shared) == trials(Home(plain).optuna_url)
    storage = RDBStorage(shared, engine_kwargs={"poolclass": NullPool})
    (study, *_) = optuna.get_all_study_names(storage)
    for trial in optuna.load_study(study_name=study, storage=storage).trials:
        mine = next(
            row for row in read_ledger(shared, "searched") if row.attrs["key"] == trial.user_attrs["key"]
        )
        assert (mine.value, mine.attrs) == (trial.value, trial.user_attrs)
    told_files = "".join(path.read_text(errors="replace") for path in home.rglob("*.json"))
    assert postgres.password not in told_files + done.stdout + done.stderr, "no password is written down"
    remembered = json.loads((home / "home.json").read_text())
    assert remembered["ledger"] == f"postgresql://sweeps@127.0.0.1:{postgres.port}/studies"

    monkeypatch.setenv("PGPASSWORD", postgres.password)  # The home knows the rest.
    assert told("status", "searched", "--home", home)["trials"]["complete"] >= 3
    assert len(told("trials", "searched", "--home", home)) == 7
    assert told("gc", "--home", home)["items"] == []
    (found,) = [each for each in told("doctor", "--home", home) if each["what"] == "ledger"]
    assert found["state"] == "ok"
    (records,) = [each for each in told("doctor", "--home", home) if each["what"] == "records of searched"]
    assert "agree" in records["found"]
    monkeypatch.setenv("PGPASSWORD", "wrong")
    refused = sweeps("status", "searched", "--home", home)
    assert refused.returncode == 7
    assert "password" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_homes_share_databases_of_ledger_and_runs_and_do_not_meet(
    tmp_path: Path, shared: str, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    homes = [tmp_path / name for name in ("one", "two")]
    specs = [write_small(folder / "work") for folder in homes]
    names = ("first", "second")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", shared)
    refused = run(specs[0], homes[0], "--name", names[0])
    assert refused.returncode == 2
    assert "database for each" in refused.stderr, "Optuna and MLflow do not share one"
    uri = postgres.new_database("runs")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    running = [started(*each) for each in zip(specs, homes, names, strict=True)]
    said = [each.communicate(timeout=200)[1] for each in running]
    assert [each.returncode for each in running] == [0, 0], said
    for home, name in zip(homes, names, strict=True):
        assert [row.state for row in read_ledger(shared, name)] == ["complete"] * 3
        assert not (home / "mlflow.db").exists()
        assert list((home / "artifacts").rglob("config.json")), "not in the current folder"
        assert [each["name"] for each in told("list", "--home", home)] == [name]
        assert len(list((home / "trials").iterdir())) == 3, "each has trained its own"
        assert told("gc", "--home", home)["items"] == []
    with psycopg.connect(uri) as connection:
        query = "SELECT count(*) FROM runs WHERE status = 'FINISHED' AND name LIKE '%seed%'"
        assert connection.execute(query).fetchone() == (6,)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.setenv("PGPASSWORD", postgres.password)
    synced = subprocess.run(
        command("sync", "first", "--home", homes[0], "--json"), capture_output=True, text=True
    )
    assert synced.returncode == 0, synced.stderr
    assert json.loads(synced.stdout)["problem"] is None, "the home knows where"
    assert postgres.password not in synced.stdout + (homes[0] / "home.json").read_text()
    refused = run(specs[0], homes[0], "--name", "second")
    assert refused.returncode == 2
    assert str(homes[1]) in refused.stderr, "says whose it is"
    assert "--name" in refused.stderr
    assert not (homes[0] / "sweeps" / "second").exists()


def test_a_name_has_one_driver_and_a_killed_one_gives_it_back(tmp_path: Path, shared: str) -> None:
    home, other = tmp_path / "home", tmp_path / "other"
    spec = write_small(tmp_path / "work")
    spec.write_text(spec.read_text().replace("epochs: 2", "epochs: 4000"))
    driver = started(spec, home, "held")
    try:
        until_it_trains(driver, home)
        refused = run(spec, other, "--name", "held")
        assert refused.returncode == 6
        assert f"process {driver.pid} on" in refused.stderr
        lock = home / "locks" / "held.lock"
        lock.unlink()  # As on a file system where locks of one machine are not seen.
        lock.touch()
        assert told("status", "held", "--home", home)["state"] == "running"
        assert run(spec, home, "--name", "held").returncode == 6
        key = next((home / "trials").glob("*/history.jsonl")).parent.name
        monkey = Home.at(home)
        assert monkey.lease(key) is None, "its key is in training"
    finally:
        driver.kill()
        driver.communicate()
    lease = Home.at(home).lease(key)
    assert lease is not None
    lease.release()
    assert told("status", "held", "--home", home)["state"] == "interrupted"
    refused = run(spec, other, "--name", "held")
    assert refused.returncode == 2, "it still belongs to the first home"


def test_a_database_that_goes_away_ends_the_sweep_in_order_and_it_goes_on(
    tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWEEPS_LEDGER_URL", postgres.new_database("away"))
    home, spec = tmp_path / "home", write_small(tmp_path / "work")
    spec.write_text(spec.read_text().replace("epochs: 2", "epochs: 80"))
    driver = started(spec, home, "small")
    until_it_trains(driver, home)
    postgres.stop()
    try:
        said = driver.communicate(timeout=120)[1]
    finally:
        postgres.start()
    assert driver.returncode == 7, said
    assert "Traceback" not in said
    assert "does not answer" in said
    assert told("status", "small", "--home", home)["state"] == "interrupted"
    assert run(spec, home).returncode == 0
    assert [row.state for row in read_ledger(os.environ["SWEEPS_LEDGER_URL"], "small")] == ["complete"] * 3
