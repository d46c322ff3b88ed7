"""A sweep that runs out of time ends in order, and what diverges is never ranked."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import run, told
from faulty import fault, write_spec
from inspecting import assert_whole, histories, ledger


def test_when_the_hours_are_used_up_what_runs_is_finished_and_nothing_starts(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    budget = "budget: {hours: 0.0003}"  # 1.1 s, of trials that last longer.
    spec = write_spec(tmp_path, which=(1, 2), epochs=15, more=budget)
    for which in (1, 2):
        fault(tmp_path, which, "slow", epoch=0)
    assert run(spec, home) == 0
    assert "hours: it ran for" in capsys.readouterr().out
    status = told(capsys, "status", "faulty", "--home", home)
    assert status["state"] == "budget"
    assert "hours: it ran for" in status["reason"]
    begun = status["trials"]["complete"]
    assert 0 < begun < 3
    assert (status["trials"]["waiting"], status["trials"]["running"]) == (3 - begun, 0)
    assert [len(rows) for rows in histories(home).values()] == [15] * begun, "what ran was finished"
    assert_whole(home, "faulty")
    assert run(spec, home) == 0
    again = told(capsys, "status", "faulty", "--home", home)["trials"]["complete"]
    assert again == begun, "the time of all runs counts together"
    spec.write_text(spec.read_text().replace("hours: 0.0003", "hours: 1"))
    assert run(spec, home) == 0
    assert told(capsys, "status", "faulty", "--home", home)["state"] == "done"
    assert_whole(home, "faulty")
    assert [len(rows) for rows in histories(home).values()] == [15] * 3


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_what_diverges_fails_is_tagged_and_never_wins(
    value: str, tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = write_spec(tmp_path)
    fault(tmp_path, 1, value)
    assert run(spec, home) == 3
    assert f"sweeps confirm faulty --home {home}\n" in capsys.readouterr().out, "as it can be typed"
    found = assert_whole(home, "faulty")
    row = next(row for row in ledger(home, "faulty") if row.state == "failed")
    assert row.value is None
    assert row.attrs["attempt"] == 1, "it would diverge again"
    tracked = found[f"{row.study}#{row.number}"]
    assert (tracked["status"], tracked["tags"]["sweep.state"]) == ("FAILED", "diverged")
    assert [best["loss"] for best in told(capsys, "best", "faulty", "--home", home)] == ["cross_entropy"]


def test_where_all_diverge_there_is_no_winner(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = write_spec(tmp_path, which=(1, 2))
    spec.write_text(spec.read_text().replace("  - cross_entropy\n", ""))
    for which, value in ((1, "nan"), (2, "inf")):
        fault(tmp_path, which, value, epoch=which)
    assert run(spec, home) == 4
    said = capsys.readouterr().out
    assert "no trial is complete: nothing can be compared yet" in said
    assert "best.yaml" not in said, "there is none"
    assert told(capsys, "best", "faulty", "--home", home) == []
    assert told(capsys, "status", "faulty", "--home", home)["state"] == "failed"
    found = assert_whole(home, "faulty")
    assert {ended["tags"]["sweep.state"] for ended in found.values()} == {"failed", "diverged"}
