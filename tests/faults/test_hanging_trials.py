"""Trials in the driver's own process that hang or grow: each is tried again, then fails, and others go on."""

from __future__ import annotations

from pathlib import Path

from faulty import fault, write_spec
from forked import ended, run_inline
from inspecting import assert_whole, histories, ledger

from sweeps.snapshot import LedgerRow

UNDISTURBED, HANGS, HANGS_ONCE = range(3)


def test_a_trial_that_hangs_is_ended_with_the_reason_and_the_others_finish(
    tmp_path: Path, home: Path, log: Path
) -> None:
    which = (UNDISTURBED, HANGS, HANGS_ONCE)
    spec = write_spec(tmp_path, which=which, epochs=5, more="resources: {epoch_limit: 2}")
    fault(tmp_path, HANGS, "hang")
    fault(tmp_path, HANGS_ONCE, "hang", times=1)
    assert ended(run_inline(log, spec, home)) == 3, log.read_text()
    found = assert_whole(home, "faulty")
    rows = trials(home)
    assert {which: (row.state, row.attrs["attempt"]) for which, row in rows.items()} == {
        UNDISTURBED: ("complete", 1), HANGS: ("failed", 2), HANGS_ONCE: ("complete", 2)
    }  # fmt: skip
    assert rows[HANGS].attrs["reason"].startswith("it hangs: no epoch within 2 s (resources.epoch_limit")
    tags = found[f"{rows[HANGS].study}#{rows[HANGS].number}"]["tags"]
    assert "it hangs" in tags["sweep.reason"]
    numbers = histories(home)
    assert numbers[rows[HANGS_ONCE].attrs["key"]] == numbers[rows[UNDISTURBED].attrs["key"]], (
        "to the last bit"
    )
    assert [len(numbers[rows[which].attrs["key"]]) for which in (UNDISTURBED, HANGS)] == [5, 2]


def test_a_trial_that_grows_is_ended_with_the_reason_and_the_others_finish(
    tmp_path: Path, home: Path, log: Path
) -> None:
    leaks = 1  # No limit of time here: a machine under load takes its time over the memory.
    spec = write_spec(tmp_path, which=(UNDISTURBED, leaks), epochs=5, more="resources: {memory: 1GiB}")
    fault(tmp_path, leaks, "leak", epoch=0)
    assert ended(run_inline(log, spec, home)) == 3, log.read_text()
    assert_whole(home, "faulty")
    rows = trials(home)
    assert {which: (row.state, row.attrs["attempt"]) for which, row in rows.items()} == {
        UNDISTURBED: ("complete", 1), leaks: ("failed", 2)
    }  # fmt: skip
    assert "more than the 1.00 GiB of memory that resources.memory allows" in rows[leaks].attrs["reason"]
    numbers = histories(home)
    assert [len(numbers[rows[which].attrs["key"]]) for which in (UNDISTURBED, leaks)] == [5, 3]


def trials(home: Path) -> dict[float, LedgerRow]:
    return {row.attrs["params"]["which"]: row for row in ledger(home, "faulty") if row.attrs["params"]}
