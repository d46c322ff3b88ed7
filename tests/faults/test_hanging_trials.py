"""Trials in the driver's own process that hang or grow: each is tried again, then fails, and others go on."""

from __future__ import annotations

from pathlib import Path

from faulty import fault, write_spec
from forked import ended, run_inline
from inspecting import assert_whole, histories, ledger

RESOURCES = "resources: {epoch_limit: 1, memory: 1GiB}"
UNDISTURBED, HANGS, HANGS_ONCE, LEAKS = range(4)


def test_a_trial_that_hangs_or_grows_is_ended_with_the_reason_and_the_others_finish(
    tmp_path: Path, home: Path, log: Path
) -> None:
    spec = write_spec(tmp_path, which=(UNDISTURBED, HANGS, HANGS_ONCE, LEAKS), epochs=5, more=RESOURCES)
    fault(tmp_path, HANGS, "hang")
    fault(tmp_path, HANGS_ONCE, "hang", times=1)
    fault(tmp_path, LEAKS, "leak", epoch=0)
    assert ended(run_inline(log, spec, home)) == 3, log.read_text()
    found = assert_whole(home, "faulty")
    rows = {row.attrs["params"]["which"]: row for row in ledger(home, "faulty") if row.attrs["params"]}
    assert {which: (row.state, row.attrs["attempt"]) for which, row in rows.items()} == {
        UNDISTURBED: ("complete", 1), HANGS: ("failed", 2), HANGS_ONCE: ("complete", 2), LEAKS: ("failed", 2)
    }  # fmt: skip
    assert rows[HANGS].attrs["reason"].startswith("it hangs: no epoch within 1 s (resources.epoch_limit")
    assert "more than the 1.00 GiB of memory that resources.memory allows" in rows[LEAKS].attrs["reason"]
    tags = found[f"{rows[HANGS].study}#{rows[HANGS].number}"]["tags"]
    assert "it hangs" in tags["sweep.reason"]
    numbers = histories(home)
    assert numbers[rows[HANGS_ONCE].attrs["key"]] == numbers[rows[UNDISTURBED].attrs["key"]], (
        "to the last bit"
    )
    assert [len(numbers[rows[which].attrs["key"]]) for which in (UNDISTURBED, HANGS, LEAKS)] == [5, 2, 3]
