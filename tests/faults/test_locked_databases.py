"""Another process holds the databases of a home for a while: everybody waits for it, and nothing fails."""

from __future__ import annotations

import sqlite3
import time
from contextlib import ExitStack, closing
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
from faulty import write_spec
from forked import answer, context, ended, run_inline, until
from inspecting import assert_whole, ledger


def hold(databases: list[Path], seconds: float, held: Event) -> None:
    """Lock databases against readers and writers."""
    with ExitStack() as opened:
        for path in databases:
            connected = opened.enter_context(closing(sqlite3.connect(path, isolation_level=None, timeout=30)))
            connected.execute("BEGIN EXCLUSIVE")
        held.set()
        time.sleep(seconds)


@pytest.mark.parametrize("seconds", [3, *(pytest.param(each, marks=pytest.mark.long) for each in (8, 24))])
def test_a_sweep_waits_for_a_locked_ledger_and_goes_on(
    tmp_path: Path, home: Path, log: Path, seconds: int
) -> None:
    spec = write_spec(tmp_path, which=(1, 2), epochs=100)
    held = context().Event()
    holder = context().Process(
        target=hold, args=([home / "optuna.db", home / "mlflow.db"], seconds, held), daemon=True
    )
    driver = run_inline(log, spec, home)
    until(lambda: bool(list((home / "trials").glob("*/history.jsonl"))), driver, log)
    holder.start()
    assert held.wait(60)
    began = time.monotonic()
    asked = answer(tmp_path, "status", "faulty", "--home", home)
    assert asked["state"] in ("running", "done"), "who asks meanwhile waits, too"
    holder.join()
    assert holder.exitcode == 0
    assert ended(driver) == 0, log.read_text()
    assert time.monotonic() - began > seconds - 1
    assert [row.state for row in ledger(home, "faulty")] == ["complete"] * 3
    assert_whole(home, "faulty")
    print(f"both databases locked for {seconds} s: 0 trials lost, 0 doubled")
