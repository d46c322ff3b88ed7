"""Trials that are killed, hang, grow, raise or diverge on Ray: each is tried again or fails, others go on."""

from __future__ import annotations

from pathlib import Path

import pytest
from faulty import fault, write_spec
from forked import ended, start
from inspecting import assert_whole, histories, ledger
from standing import Environment

pytestmark = pytest.mark.fuller  # A Ray of its own, and a process for every fault.

RESOURCES = "resources: {gpus: 0, epoch_limit: 4, memory: 1.2GiB, attempts: 3}"
EPOCHS = 4
KILLED_IN = range(EPOCHS)  # Numbers of losses whose process is killed once, in that epoch.
UNDISTURBED, KILLED_ALWAYS, HANGS, GROWS, DIVERGES, RAISES, EXHAUSTS, HANGS_ONCE, GROWS_ONCE = range(10, 19)


def test_each_fault_ends_that_trial_as_it_should_and_no_other(
    tmp_path: Path, home: Path, log: Path, long: bool
) -> None:
    which = [UNDISTURBED, *KILLED_IN, KILLED_ALWAYS, HANGS, GROWS, DIVERGES, RAISES, EXHAUSTS]
    spec = write_spec(tmp_path, [*which, *([HANGS_ONCE, GROWS_ONCE] if long else [])], EPOCHS, RESOURCES)
    for epoch in KILLED_IN:
        fault(tmp_path, epoch, "kill", epoch=epoch, times=1)
    fault(tmp_path, KILLED_ALWAYS, "kill")
    fault(tmp_path, HANGS, "hang")
    fault(tmp_path, DIVERGES, "inf")
    fault(tmp_path, GROWS, "grow", epoch=0)  # A first epoch has two minutes: room to grow.
    fault(tmp_path, RAISES, "raise")
    fault(tmp_path, EXHAUSTS, "exhaust")
    fault(tmp_path, HANGS_ONCE, "hang", times=1)
    fault(tmp_path, GROWS_ONCE, "grow", epoch=0, times=1)
    awake = Environment({"RAY_worker_niceness": "0"})  # A busy machine would starve the workers.
    assert ended(start(log, "run", spec, "--home", home, before=awake), 540) == 3, log.read_text()
    found = assert_whole(home, "faulty")
    rows = {row.attrs["params"]["which"]: row for row in ledger(home, "faulty") if row.attrs["params"]}
    expected = {
        **dict.fromkeys(KILLED_IN, ("complete", 2)),
        UNDISTURBED: ("complete", 1), KILLED_ALWAYS: ("failed", 3), HANGS: ("failed", 2),
        GROWS: ("failed", 2), DIVERGES: ("failed", 1), RAISES: ("failed", 2), EXHAUSTS: ("failed", 2),
        HANGS_ONCE: ("complete", 2), GROWS_ONCE: ("complete", 2),
    }  # fmt: skip
    assert {number: (row.state, row.attrs["attempt"]) for number, row in rows.items()} == {
        number: expected[number] for number in rows
    }
    reasons = {
        KILLED_ALWAYS: "its process died, attempt 3, last heard of at epoch ",
        HANGS: "it hangs: no epoch within 4 s",
        GROWS: "it took more than the 1.20 GiB of memory that resources.memory allows",
        DIVERGES: "diverged: loss or metric is not finite",
        RAISES: "RuntimeError: the loss is out of order",
        EXHAUSTS: "can't allocate memory",
    }
    for number, reason in reasons.items():
        assert reason in rows[number].attrs["reason"]
        assert reason in log.read_text(), "and it is said at once, in a line"
    said = [line for line in log.read_text().splitlines() if "raylet" in line or "Traceback" in line]
    assert not said, "Ray and Tune are silent"
    tags = {number: found[f"{row.study}#{row.number}"]["tags"] for number, row in rows.items()}
    assert {tags[epoch]["sweep.attempt"] for epoch in KILLED_IN} == {"2"}, "the same run"
    assert tags[DIVERGES]["sweep.state"] == "diverged"
    assert "hangs" in tags[HANGS]["sweep.reason"]
    numbers = histories(home)
    for row in rows.values():
        if row.state == "complete":
            assert numbers[row.attrs["key"]] == numbers[rows[UNDISTURBED].attrs["key"]], "to the last bit"
    faults = sum(row.attrs["attempt"] - 1 for row in rows.values()) + len(reasons)
    print(f"{faults} faults, 0 lost, 0 doubled")
