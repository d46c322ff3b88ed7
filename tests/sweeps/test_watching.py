"""Which trials are given up: those that say nothing any more, and those that take too much memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from sweeps.memory import machine_memory, own_memory
from sweeps.watching import MemoryLimit, Silence

SECOND = [{"metrics": {"seconds": 1.0}}]
LONG = [{"metrics": {"seconds": 100.0}}]


def listening(silence: Silence, seconds: int) -> None:
    """Let a driver that looks every second do so."""
    begin = silence.last or 0.0
    for second in range(seconds + 1):
        silence.listen(begin + second)


def test_a_limit_that_is_set_holds_for_every_epoch_and_the_first_may_take_the_start_longer() -> None:
    silence = Silence(10.0)
    silence.begun("a")
    listening(silence, 130)
    assert silence.reason("a", "cell") is None
    listening(silence, 1)
    assert "no epoch within 130 s (resources.epoch_limit" in (silence.reason("a", "cell") or "")
    silence.heard("a", "cell", SECOND)
    listening(silence, 10)
    assert silence.reason("a", "cell") is None
    listening(silence, 1)
    assert "no epoch within 10 s" in (silence.reason("a", "cell") or "")
    silence.over("a")
    assert silence.reason("a", "cell") is None


def test_without_one_it_follows_from_the_longest_epoch_of_the_cell() -> None:
    silence = Silence(None)
    for ref in ("a", "b"):
        silence.begun(ref)
    assert silence.allowed("a", "cell") > 6 * 3600, "nothing is known yet"
    silence.heard("a", "cell", SECOND)
    assert silence.allowed("a", "cell") == 600, "never less"
    assert silence.allowed("b", "cell") == 720, "also for a trial that has no epoch yet"
    silence.heard("b", "cell", LONG)
    assert silence.allowed("a", "cell") == 3000
    silence.heard("b", "cell", SECOND)
    assert silence.allowed("a", "cell") == 3000
    assert silence.allowed("a", "another") == 6 * 3600


def test_a_driver_that_had_to_wait_itself_does_not_take_its_silence_for_theirs() -> None:
    silence = Silence(10.0)
    silence.begun("a")
    silence.heard("a", "cell", SECOND)
    silence.listen(0.0)
    silence.listen(100.0)
    assert silence.reason("a", "cell") is None
    listening(silence, 9)
    assert silence.reason("a", "cell") is not None, "but what it listens to counts"


def test_a_limit_counts_what_came_on_top() -> None:
    now = own_memory()
    assert 2**24 < now < psutil.virtual_memory().total
    assert MemoryLimit(2**20).exceeded() == (
        "it took more than the 0.00 GiB of memory that resources.memory allows"
    )
    assert MemoryLimit(2**26, base=now).exceeded() is None
    assert MemoryLimit(None).exceeded() is None, "one trial may have all there is"


def test_a_machine_that_is_short_of_memory_ends_those_above_their_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = own_memory()
    monkeypatch.setattr("sweeps.watching.machine_memory", lambda: (2 * own, own // 20))
    assert "and 4 trials share it" in (MemoryLimit(None, 4).exceeded() or "")
    assert MemoryLimit(None, 1).exceeded() is None, "it has not more than its share"
    monkeypatch.setattr("sweeps.watching.machine_memory", lambda: (2 * own, own))
    assert MemoryLimit(None, 4).exceeded() is None, "there is enough"


@pytest.mark.parametrize(
    ("folder", "limit", "used", "stat"),
    [
        ("", "memory.max", "memory.current", "inactive_file"),
        ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ],
)
def test_a_container_has_what_its_control_group_allows(
    tmp_path: Path, folder: str, limit: str, used: str, stat: str
) -> None:
    there = tmp_path / folder
    there.mkdir(exist_ok=True)
    (there / limit).write_text(f"{2**24}\n")
    (there / used).write_text(f"{2**23 + 2**20}\n")
    (there / "memory.stat").write_text(f"anon 5\n{stat} {2**20}\n")
    assert machine_memory(tmp_path) == (2**24, 2**23)


def test_without_a_container_the_machine_counts(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("max\n")
    assert machine_memory(tmp_path)[0] == psutil.virtual_memory().total


GROWING = """
import time
from sweeps.memory import own_memory
from sweeps.watching import MemoryLimit, bounded_memory

with bounded_memory(MemoryLimit(2**26, base=own_memory()), lambda reason: print(reason, flush=True)):
    pass
print("began", flush=True)
with bounded_memory(MemoryLimit(2**26, base=own_memory()), lambda reason: print(reason, flush=True)):
    held = bytearray(b"1" * 2**27)
    time.sleep(60)
"""


def test_a_process_that_takes_too_much_says_so_and_ends() -> None:
    done = subprocess.run([sys.executable, "-c", GROWING], capture_output=True, text=True, timeout=50)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "began", "it took more than the 0.06 GiB of memory that resources.memory allows"
    ]  # fmt: skip
