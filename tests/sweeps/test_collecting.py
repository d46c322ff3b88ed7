"""What a driver had before its loop is in no collection's way, and is collected afterwards as ever."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

from sweeps.collecting import sparing
from sweeps.display import TerminalDisplay
from sweeps.driver import run_sweep
from sweeps.home import Home
from sweeps.live import Live
from sweeps.options import Options
from sweeps.spec import load_spec


class Knot:
    """Refers to itself, so that only a collection frees it."""

    def __init__(self) -> None:
        self.itself = self


def test_what_was_there_before_is_passed_over_and_what_came_since_is_not() -> None:
    gc.collect()
    before = Knot()
    old = weakref.ref(before)
    with sparing():
        young = weakref.ref(Knot())
        del before
        gc.collect()
        assert young() is None
        assert old() is not None
        with sparing():
            pass
        assert gc.get_freeze_count() > 0, "the outer one holds"
    gc.collect()
    assert old() is None
    assert gc.get_freeze_count() == 0


class Noting(TerminalDisplay):
    """Notes at every epoch how many objects are left out."""

    def row(self, live: Live, row: Any) -> None:
        frozen.append(gc.get_freeze_count())


frozen: list[int] = []


def test_a_sweep_spares_its_loop_and_leaves_the_collector_as_it_was(small_spec: Path, home: Path) -> None:
    loaded = load_spec(str(small_spec))
    outcome = run_sweep(loaded, Home(home), Options(executor="inline"), Noting(loaded.spec))
    assert outcome.state == "done"
    assert len(frozen) == 6
    assert min(frozen) > 10_000
    assert gc.get_freeze_count() == 0
