"""What the benchmarks share, and that the cheapest of them still fits the code that it measures."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

BENCH = Path(__file__).parent / "bench"


@pytest.fixture(autouse=True)
def _benchmarks_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCH))


def test_a_figure_tells_median_spread_and_whether_it_meets_its_target(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from measuring import Bench

    monkeypatch.setattr(sys, "argv", ["demo.py", "--json", "--size", "7"])
    bench = Bench("demo", "What it measures.", options={"size": 3})
    assert bench.options.size == 7
    assert bench.add("fast enough", [0.1, 0.3, 0.2], "s", at_most=0.25) == 0.2
    bench.add("too slow", [0.1, 0.3, 0.3], "s", at_most=0.25)
    bench.add("not faster", [2.9], "x", at_least=3)
    bench.add("as it is", [1.0], "s")
    bench.add("one fault", [0, 0, 3], "", at_most=0, worst=True)
    bench.add("no fault", [0, 0, 0], "", at_most=0, worst=True)
    bench.add("once too few", [2, 9, 9], "", at_least=3, worst=True)
    bench.finish()
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert [figure["met"] for figure in result["figures"]] == [True, False, False, None, False, True, False]
    assert [figure["judged"] for figure in result["figures"]] == ["median"] * 4 + ["worst"] * 3
    first = result["figures"][0]
    assert (first["median"], first["min"], first["max"], first["n"]) == (0.2, 0.1, 0.3, 3)
    assert {"processor", "cores", "torch", "commit", "load at the end"} <= set(result["conditions"])
    assert "missed: too slow; not faster; one fault; once too few" in err


def test_a_command_that_fails_says_why_and_one_that_takes_too_long_is_killed_with_its_children() -> None:
    from measuring import run

    with pytest.raises(RuntimeError, match="exit code 3\nout of paper"):
        run("-c", "import sys; print('out of paper', file=sys.stderr); sys.exit(3)")
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(77)'])"
    with pytest.raises(subprocess.TimeoutExpired):
        run("-c", child, timeout=0.7)
    deadline = time.monotonic() + 10
    while any("time.sleep(77)" in " ".join(each.cmdline()) for each in psutil.Process().children(True)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_made_home_is_one_that_the_project_reads(tmp_path: Path) -> None:
    from made_home import NAME, make_home
    from scale import conductor, ledger_seconds

    from sweeps.overview import sweep_status
    from sweeps.results import read_results
    from sweeps.state import stored_plan

    home, spec = make_home(tmp_path, trials=10, epochs=2)
    counts = sweep_status(home, NAME)["trials"]
    assert counts["complete"] == counts["total"] == 15
    trials = read_results(home, stored_plan(home, NAME))
    assert {len(trial.history) for trial in trials} == {2}
    assert all(trial.score is not None and trial.confusion for trial in trials)
    conductor(home, spec)
    seconds = ledger_seconds(home, 1)
    assert len(seconds) == 3
    assert all(each[0] > 0 for each in seconds.values())
