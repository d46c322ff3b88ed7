"""Histories on a disk that has damaged them: told, never taken for what they are not, and mended."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import run, sweeps, told
from simulated_training import DriverDied, Simulated, conductor_of, planned, row_of

from sweeps.errors import DamagedFile
from sweeps.history import History, folder_fault, read_history, read_result, whole_result
from sweeps.home import Home
from sweeps.library import Silent
from sweeps.live import Live
from sweeps.logbook import Logbook

SCORES = (0.5, 0.6, 0.7, 0.8)


def written(folder: Path, epochs: int = 4) -> Path:
    """A history of so many epochs."""
    history = History(folder)
    assert all(history.add(row_of(SCORES[epoch - 1], epoch)) for epoch in range(1, epochs + 1))
    return history.path


def damage(path: Path, line: int) -> bytes:
    """Change bytes in a line of a file, and say what it was before."""
    content = path.read_bytes()
    lines = content.split(b"\n")
    lines[line - 1] = b"\xff\0" + lines[line - 1][2:]
    path.write_bytes(b"\n".join(lines))
    return content


WRONG = ["{", "[]", '{"epoch": 1}', '{"epoch": 1, "timestamp": 1, "metrics": {"a": "b"}}', "[" * 9000, ""]


@pytest.mark.parametrize("line", WRONG)
def test_a_line_that_was_not_written_is_told_with_file_line_and_next_step(tmp_path: Path, line: str) -> None:
    path = written(tmp_path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], line, lines[3], ""]))
    with pytest.raises(DamagedFile, match=r"history\.jsonl:3: is damaged; `sweeps retry mine`"):
        read_history(tmp_path, "mine")
    for state in ("complete", "failed", "running"):
        assert folder_fault(tmp_path, state) == "its history is damaged in line 3"


@pytest.mark.parametrize("line", [1, 3, 4])
def test_who_goes_on_after_damage_has_every_epoch_once_and_the_damaged_file_aside(
    tmp_path: Path, line: int
) -> None:
    path = written(tmp_path)
    before = damage(path, line)
    damaged = path.read_bytes()
    history = History(tmp_path)
    assert path.read_bytes() == damaged, "who only looks changes nothing"
    assert history.damage == line
    added = [history.add(row_of(SCORES[epoch - 1], epoch)) for epoch in range(1, 5)]
    assert added == [epoch >= line for epoch in range(1, 5)]
    assert path.read_bytes() == before
    assert [each.read_bytes() for each in tmp_path.glob(".*.damaged.tmp")] == [damaged]
    assert History(tmp_path).damage is None


def test_a_hole_is_filled_by_who_goes_on(tmp_path: Path) -> None:
    path = written(tmp_path)
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], lines[2], lines[3]]))
    history = History(tmp_path)
    assert [row["epoch"] for row in history.rows] == [1]
    assert [history.add(row_of(SCORES[epoch - 1], epoch)) for epoch in range(1, 5)] == [
        False,
        True,
        True,
        True,
    ]
    assert path.read_bytes() == whole


def test_a_torn_last_line_is_no_damage_and_gives_way_to_the_next_row(tmp_path: Path) -> None:
    path = written(tmp_path, 2)
    with path.open("ab") as file:
        file.write(b'{"epoch": 3, "ti')
    assert [row["epoch"] for row in read_history(tmp_path)] == [1, 2]
    history = History(tmp_path)
    assert history.damage is None
    assert history.add(row_of(SCORES[2], 3))
    assert [row["epoch"] for row in read_history(tmp_path)] == [1, 2, 3]
    assert not list(tmp_path.glob(".*.tmp"))


@pytest.mark.parametrize("content", ["{", "[]", '{"state": "complete"}'])
def test_a_damaged_result_is_none(tmp_path: Path, content: str) -> None:
    written(tmp_path)
    (tmp_path / "result.json").write_text(content)
    assert read_result(tmp_path) is whole_result(tmp_path) is None
    assert folder_fault(tmp_path, "complete") == "is complete, but has no result there"


class Hearing(Silent):
    """Notes what trials warn of."""

    def __init__(self, notes: list[str]) -> None:
        self.notes = notes

    def warned(self, live: Live, text: str) -> None:
        self.notes.append(text)


SPEC = """
name: damaged
data: {source: "npz:stripes.npz", imbalance: 4}
validation: {unused: 5}
depth: 8
losses: [cross_entropy]
recipe: {preset: digits, epochs: 4, batch_size: 16, precision: float32}
resources: {gpus: 0}
budget: {epochs: 4}
"""


def test_an_interrupted_trial_with_a_damaged_history_goes_on_and_loses_and_doubles_nothing(
    home: Path, stripes: Path
) -> None:
    place = Home(home)
    plan = planned(place, SPEC, stripes.parent)

    def curve(config: object, epoch: int) -> float:
        return SCORES[epoch - 1]

    first = conductor_of(place, plan)
    with pytest.raises(DriverDied):
        Simulated(curve, rows=3).run(first)
    first.ledger.close()
    (path,) = (home / "trials").glob("*/history.jsonl")
    damage(path, 2)
    second, notes = conductor_of(place, plan), []
    book = Logbook("damaged", home / "log.jsonl")
    second.watchers = (Hearing(notes), book)
    Simulated(curve).run(second)
    book.close()
    _, warned, ended = map(json.loads, (home / "log.jsonl").read_text().splitlines())
    assert (warned["event"], warned["level"], warned["text"]) == ("trial warned", "WARNING", notes[0])
    assert warned["cell"] == ended["cell"]
    assert warned["trial"] == ended["trial"] == path.parent.name
    assert [row["epoch"] for row in read_history(path.parent)] == [1, 2, 3, 4]
    assert [row.value for row in second.ledger.rows()] == [SCORES[3]]
    assert [row.attrs["warning"] in notes[0] for row in second.ledger.rows()] == [True]
    assert f"{path}:2: is damaged" in notes[0]
    assert second.account.epochs == 4, "each is charged once"
    assert whole_result(path.parent) is not None
    second.ledger.close()


def test_a_damaged_trial_serves_no_other_sweep(home: Path, stripes: Path) -> None:
    place = Home(home)
    for name, trained in (("damaged", 1), ("second", 1), ("third", 0)):
        conductor = conductor_of(place, planned(place, SPEC.replace("damaged", name), stripes.parent))
        simulated = Simulated(lambda config, epoch: SCORES[epoch - 1])
        simulated.run(conductor)
        assert len(simulated.order) == trained
        assert [row.value for row in conductor.ledger.rows()] == [SCORES[3]]
        conductor.ledger.close()
        (path,) = (home / "trials").glob("*/history.jsonl")
        assert whole_result(path.parent) is not None
        if name == "damaged":
            damage(path, 3)


def test_a_sweep_with_a_damaged_history_is_shown_named_and_mended_by_retry(
    small_spec: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(small_spec, home) == 0
    at = ("--home", home)
    before = {each["key"]: each for each in told(capsys, "trials", "small", *at)}
    (best,) = told(capsys, "best", "small", *at)
    key = next(
        key
        for key, each in before.items()
        if (each["loss"], each["params"]) == (best["loss"], best["params"])
    )
    path = home / "trials" / key / "history.jsonl"
    damage(path, 1)
    message = f"{path}:1: is damaged; `sweeps retry small` trains this trial again"
    capsys.readouterr()
    assert sweeps("report", "small", *at) == 0
    assert message in capsys.readouterr().err
    assert message in (home / "sweeps" / "small" / "report" / "report.md").read_text().replace("\\", "")
    assert told(capsys, "status", "small", *at)["trials"]["complete"] == 3
    assert told(capsys, "best", "small", *at) == [best], "its result is whole"
    after = {each["key"]: each for each in told(capsys, "trials", "small", *at)}
    assert after[key]["metrics"] == before[key]["metrics"]
    assert sweeps("logs", key, *at) == 2
    assert message in capsys.readouterr().err
    assert sweeps("retry", "small", *at, "--executor", "inline") == 0
    assert [row["epoch"] for row in read_history(path.parent)] == [1, 2]
    assert told(capsys, "best", "small", *at) == [best]
