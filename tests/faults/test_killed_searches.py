"""A search whose driver is killed around every decision draws and stops the same trials as without a kill."""

from __future__ import annotations

import random
import shutil
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from faulty import write_spec
from forked import ended, run_inline
from inspecting import assert_whole, histories, ledger
from killing import KillAtCall

STUDY = "study: {losses: cefl, gamma: [0, 5], asks: 9, grace: 8, reduction: 2, pruner: PRUNER}"
MOMENTS = [
    KillAtCall(method, count, after)
    for method, counts in {
        "start": (1, 2), "ask": (1, 2), "report": (1, 3), "note": (1, 2), "prune": (1,), "complete": (1, 2)
    }.items()
    for count in counts
    for after in (False, True)
]  # fmt: skip


def search(folder: Path, pruner: str) -> Path:
    """Two points and nine asks of one study, on one slot."""
    folder.mkdir(exist_ok=True)
    spec = write_spec(folder, epochs=40, more=STUDY.replace("PRUNER", pruner))
    text = spec.read_text()
    start = text.index('  - {loss: "')
    spec.write_text(text[:start] + "  - {loss: cefl, gamma: [1, 3]}\n" + text[text.index("recipe:") :])
    return spec


def rungs(home: Path) -> list[tuple[int, int, float]]:
    """What the pruner compares: trial, epoch, value."""
    query = "SELECT trial_id, step, intermediate_value FROM trial_intermediate_values ORDER BY 1, 2"
    with closing(sqlite3.connect(home / "optuna.db")) as connected:
        return list(connected.execute(query))


def trials(home: Path) -> list[tuple[Any, ...]]:
    """What the ledger holds of every trial, in the order of their start."""
    return [
        (row.trial_id, row.study, row.number, row.state, row.value, row.attrs)
        for row in ledger(home, "faulty")
    ]


@pytest.mark.fuller
@pytest.mark.parametrize("pruner", ["halving", pytest.param("hyperband", marks=pytest.mark.long)])
def test_the_same_trials_are_drawn_and_stopped_at_the_same_epochs(
    tmp_path: Path, empty: Path, pruner: str, long: bool
) -> None:
    whole, home, log = tmp_path / "whole", tmp_path / "home", tmp_path / "log.txt"
    for each in (whole, home):
        shutil.copytree(empty, each)
    spec = search(tmp_path, pruner)
    assert ended(run_inline(log, spec, whole)) == 0, log.read_text()
    assert {row.state for row in ledger(whole, "faulty")} == {"complete", "pruned"}
    killed = 0
    for moment in random.Random(5).sample(MOMENTS, len(MOMENTS) if long else 4):
        code = ended(run_inline(log, spec, home, before=moment))
        assert code in (-signal.SIGKILL, 0), log.read_text()
        killed += code != 0
    assert killed >= 4
    assert ended(run_inline(log, spec, home)) == 0, log.read_text()
    assert_whole(home, "faulty")
    assert trials(home) == trials(whole), "the same parameters, states, values and reasons"
    assert rungs(home) == rungs(whole)
    assert histories(home) == histories(whole), "as many epochs, and the same to the last bit"
    pruned = [row for row in ledger(home, "faulty") if row.state == "pruned"]
    print(f"{killed} kills, {len(pruned)} trials stopped early, 0 lost, 0 doubled")
