"""Every benchmark still fits the code that it measures: it is imported, and a tiny run gives its figures.

No test here looks at a time: what is fast enough is for the benchmarks to say, on a quiet machine.
"""

from __future__ import annotations

import importlib
import json
import math
import sys
from argparse import Namespace
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import packing
import pytest
from measuring import cores, run

BENCH = Path(__file__).parent
IMPORTED = (
    "augment", "checkpoints", "engine", "overhead", "packing", "peer", "plain_loop", "scale", "search",
    "tracking",
)  # fmt: skip
"""`cluster` needs more than a machine has, and `peer_sweep` imports Ray: the tiny run of `peer` runs it."""


@pytest.mark.parametrize("name", IMPORTED)
def test_a_benchmark_finds_everything_that_it_imports(name: str) -> None:
    assert (BENCH / f"{name}.py").exists()
    importlib.import_module(name)


@dataclass(frozen=True)
class Tried:
    """A tiny run: figures without a target, and those with one."""

    name: str
    titles: list[str]
    targets: list[str] = field(default_factory=list)
    arguments: tuple[str, ...] = ()


def packed() -> list[str]:
    first, *others = packing.on_cpu([1, 2], cores())
    both = [f"{way}: {what}" for way in others for what in ("images/s in all", "over one process")]
    return [f"{first}: images/s in all", *both]


def of_place(place: str) -> tuple[list[str], list[str]]:
    """Figures of tracking into one place, without a target and with one."""
    plain = [
        "processor time of the writer, of another core",
        "start, before the loop",
        "finish, after the loop",
    ]
    plain += [
        "2 runs of 10 x 12, merged, a run",
        "2 runs of 10 x 12, a call an epoch, a run",
        "merged is faster",
    ]
    aimed = ["added to a trial, by the clock", "driver's time in the tracker's calls"]
    aimed += ["the driver's loop is blocked at most", "a call of the loop, up to 5 runs waiting"]
    merged = "5 runs of 10 x 12, merged, a run"
    (aimed if place == "SQLite" else plain).append(merged)
    return [f"{place}: {each}" for each in plain], [f"{place}: {each}" for each in aimed]


EQUIVALENT = "p of the equivalence test, margin 1 point"
UNTRACKED = "a trial of 5 epochs without tracking"
SQLITE, SERVER = of_place("SQLite"), of_place("server")
WAYS = ("engine", "plain loop", "plain loop, channels-last")
ENGINE = [
    f"resnet8: {way}, {what}" for way in WAYS for what in ("training, images/s", "an epoch with evaluation")
]
ENGINE += [f"resnet8: engine over {way}" for way in (*WAYS[1:], "the faster plain loop")]

AUGMENT = [f"{way}, images/s" for way in ("cefl.imagenet", "torchvision, tensors", "torchvision, Pillow")]
AUGMENT += [f"faster than torchvision, {way}" for way in ("tensors", "Pillow")]
DRIVER = ("wall time", "processor time of the driver")
TRIED = [
    Tried("augment", AUGMENT),
    Tried("packing", packed(), arguments=("--device", "cpu")),
    Tried("engine", [*ENGINE, "resnet8: engine, 4 epochs with evaluation"]),
    Tried(
        "engine",
        [f"resnet8: {what}" for what in ("accuracy, engine", "accuracy, plain", EQUIVALENT)],
        arguments=("--equivalence", "2"),
    ),
    Tried("tracking", [UNTRACKED, *SQLITE[0], *SERVER[0]], SQLITE[1] + SERVER[1]),
    Tried(
        "overhead",
        [
            "wall time of the sweep", "end, after the last epoch: report, tracking", "training of one trial",
            "of which between first and last epoch", "processor time of the driver",
            "epochs slower than in 2 bare processes",
        ],
        [
            "start, until a first epoch begins", "beyond training and 15 s of start", "the same a trial",
            "the same a trial, beyond the true start",
        ],
    ),
    Tried(
        "peer",
        [f"{who}: {what}" for who in ("ours", "peer") for what in DRIVER]
        + ["driver's processor time of the peer over ours"],
        ["wall time of the peer over ours"],
    ),
]  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("tried", TRIED, ids=lambda tried: "-".join((tried.name, *tried.arguments)))
def test_a_tiny_run_gives_every_figure_and_judges_those_with_a_target(tried: Tried, tmp_path: Path) -> None:
    path = BENCH / f"{tried.name}.py"
    done = run(path, "--quick", "--json", *tried.arguments, timeout=900, cwd=tmp_path)
    check(tried, json.loads(done.stdout))
    assert done.stderr.splitlines()[-1].startswith(f"{tried.name}: ")


def check(tried: Tried, result: dict[str, Any]) -> None:
    figures = {figure["title"]: figure for figure in result["figures"]}
    assert len(figures) == len(result["figures"]), "no title twice"
    ours = {title for title in figures if "kornia" not in title}  # It is measured where it is installed.
    assert ours == {*tried.titles, *tried.targets}
    assert {title for title, figure in figures.items() if figure["met"] is not None} == set(tried.targets)
    for title, figure in figures.items():
        assert figure["n"] >= 1, title
        assert all(math.isfinite(figure[name]) for name in ("median", "min", "max")), title
    assert result["name"] == tried.name
    assert result["conditions"]["quick"] is True


@pytest.mark.fuller
def test_a_tiny_run_in_this_process_gives_its_figures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import augment
    import torch

    threads = torch.get_num_threads()
    monkeypatch.setattr(sys, "argv", ["augment.py", "--quick", "--json"])
    try:
        augment.main()
    finally:
        torch.set_num_threads(threads)
    check(TRIED[0], json.loads(capsys.readouterr().out))


@pytest.mark.fuller
def test_processes_train_at_the_same_time() -> None:
    options = Namespace(**packing.OPTIONS | packing.QUICK | {"data": "digits", "device": "cpu"})
    assert packing.together(options, packing.Way(2, 1), {}) > 0


@pytest.mark.fuller
def test_blocks_of_runs_come_in_pairs_and_every_call_of_the_loop_is_timed(tmp_path: Path) -> None:
    from bulk_runs import blocks, write_merged

    from trackers import connection

    database = connection.resolved(tmp_path / "bulk.db")
    connection.initialise(database)
    merged, each = blocks(database, 1, 2, 2)
    assert len(merged) == len(each) == 2
    assert min(*merged, *each) > 0
    took, calls = write_merged(database, "many", 3, 2)
    assert took > 0
    assert len(calls) == 1 + 3 * (1 + 2 * 2 + 1), "the sweep; and of every run its begin, its epochs, its end"
