"""One trial looked at closely, and a home cleared of what nothing refers to."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from commands import run, sweeps, told
from faulty import fault, write_spec
from forked import ended, run_inline, start, until
from inspecting import ledger

from sweeps.home import Home


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, empty: Path) -> Path:
    """A home with cross-entropy, a loss that is as good, and one that failed."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copytree(empty, folder / "home")
    spec = write_spec(folder, which=(1, 2))
    fault(folder, 2, "raise", epoch=3)
    assert run(spec, folder / "home") == 3
    return folder / "home"


def test_logs_show_epochs_and_traceback_of_the_trial_whose_key_begins_so(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = next(row for row in ledger(trained, "faulty") if row.state == "failed")
    key, name = row.attrs["key"], f"{row.study}#{row.number}"
    for text in (key[:6], name):
        capsys.readouterr()
        assert sweeps("logs", text, "--home", trained) == 0
        shown = capsys.readouterr().out
        assert "RuntimeError: the loss is out of order" in shown
        assert f"{trained}/trials/{key}" in shown
        assert [line.split()[0] for line in shown.splitlines()[-3:]] == ["1", "2", "3"]
    found = told(capsys, "logs", key, "--home", trained)
    assert (found["state"], found["attempt"], found["sweep"]) == ("failed", 2, "faulty")
    assert [epoch["epoch"] for epoch in found["history"]] == [1, 2, 3]
    assert found["run_id"]


def test_logs_of_no_trial_or_of_several_say_so(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweeps("logs", "xyz", "--home", trained) == 2
    assert "sweeps trials NAME" in capsys.readouterr().err
    assert sweeps("logs", "", "--home", trained) == 2
    assert "give more of its key" in capsys.readouterr().err


def test_logs_follow_a_trial_until_it_has_ended(tmp_path: Path, home: Path, log: Path) -> None:
    spec, said = write_spec(tmp_path, epochs=400), tmp_path / "said.txt"
    driver = run_inline(log, spec, home)
    until(lambda: bool(ledger(home, "faulty")), driver, log)
    key = ledger(home, "faulty")[0].attrs["key"]
    follower = start(said, "logs", key, "--home", home, "--follow")
    assert ended(follower) == 0, said.read_text()
    assert [line.split()[0] for line in said.read_text().splitlines()[-400:]] == [
        str(epoch) for epoch in range(1, 401)
    ]
    assert ended(driver) == 0, log.read_text()


def test_gc_shows_what_nothing_refers_to_and_removes_it_when_told(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(capsys, "gc", "--home", trained) == {"items": [], "bytes": 0, "removed": False}
    keys = {row.state: row.attrs["key"] for row in ledger(trained, "faulty")}
    before = {path for path in trained.rglob("*") if path.is_file() and path.parent.name != "locks"}
    stray = trained / "trials" / "0123456789ab"
    stray.mkdir()
    (stray / "history.jsonl").write_text("{}\n")
    done = trained / "trials" / keys["failed"]
    (done / f"checkpoint-000001-{'0' * 64}.pt").write_bytes(b"12345")
    (done / "weights.safetensors").write_bytes(b"123")
    spare = shutil.copytree(next((trained / "data").glob("*/meta.json")).parent, trained / "data" / "spare")
    meta = json.loads((spare / "meta.json").read_text())
    (spare / "meta.json").write_text(json.dumps({**meta, "digest": "0" * 64}))
    found = told(capsys, "gc", "--home", trained)
    assert {item["kind"]: Path(item["path"]).name for item in found["items"]} == {
        "trial": "0123456789ab",
        "checkpoint": f"checkpoint-000001-{'0' * 64}.pt",
        "weights": "weights.safetensors",
        "data": "spare",
    }
    assert not found["removed"]
    assert sweeps("gc", "--home", trained) == 0, "without a terminal nothing is removed"
    assert stray.exists()
    with Home(trained).driving("faulty"):
        assert sweeps("gc", "--yes", "--home", trained) == 6, "not while a sweep runs"
    assert stray.exists()
    assert sweeps("gc", "--yes", "--home", trained) == 0
    after = {path for path in trained.rglob("*") if path.is_file() and path.parent.name != "locks"}
    assert after == before, "what is referred to stays"


def test_gc_without_a_ledger_takes_nothing_for_garbage(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "home").mkdir()
    shutil.copytree(trained / "trials", tmp_path / "home" / "trials")
    assert sweeps("gc", "--yes", "--home", tmp_path / "home") == 2
    assert "ledger" in capsys.readouterr().err
    assert any((tmp_path / "home" / "trials").iterdir())
