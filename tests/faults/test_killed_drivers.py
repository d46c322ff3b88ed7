"""A driver that is killed at any moment loses nothing and doubles nothing: the same numbers come out."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from faulty import write_spec
from forked import ended, run_inline
from inspecting import assert_whole, histories, ledger
from killing import KillAtWrite

EPOCHS = 150
SEARCH = "study: {losses: cefl, gamma: [0, 5], asks: 8, grace: 30, reduction: 2}"


def spec_of(folder: Path, search: bool) -> Path:
    """Four trials of a linear model; or a study with its points, whose asks are stopped early."""
    folder.mkdir(exist_ok=True)
    spec = write_spec(folder, which=(1, 2, 3), epochs=EPOCHS, more=SEARCH if search else "")
    if search:
        text = spec.read_text()
        start = text.index('  - {loss: "')
        spec.write_text(text[:start] + "  - {loss: cefl, gamma: [1, 3]}\n" + text[text.index("recipe:") :])
    return spec


@pytest.fixture(
    scope="module", params=[False, pytest.param(True, marks=pytest.mark.fuller)], ids=["listed", "search"]
)
def undisturbed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, empty: Path
) -> tuple[Path, Path]:
    """A specification, and a home in which nothing was killed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    shutil.copytree(empty, folder / "home")
    spec = spec_of(folder, request.param)
    assert ended(run_inline(folder / "log.txt", spec, folder / "home")) == 0, (folder / "log.txt").read_text()
    assert_whole(folder / "home", "faulty")
    states = {row.state for row in ledger(folder / "home", "faulty")}
    assert states == ({"complete", "pruned"} if request.param else {"complete"})
    return spec, folder / "home"


def trials(home: Path) -> list[tuple[Any, ...]]:
    """What the ledger holds of every trial, but for its attempts."""
    return [
        (row.study, row.number, row.state, row.value, row.attrs["key"], row.attrs["params"])
        for row in ledger(home, "faulty")
    ]


def kill_at_random(draw: random.Random, log: Path, spec: Path, home: Path) -> bool:
    """Start a driver and kill it; whether it was killed before its end."""
    if draw.random() < 0.5:
        driver = run_inline(log, spec, home)
        time.sleep(draw.uniform(0.0, 1.5))
        assert driver.pid is not None
        if driver.is_alive():
            os.kill(driver.pid, signal.SIGKILL)
    else:
        after = draw.choice([0.0, draw.uniform(0.0, 0.02)])
        driver = run_inline(log, spec, home, before=KillAtWrite(draw.randrange(1, 120), after))
    code = ended(driver)
    assert code in (-signal.SIGKILL, -signal.SIGALRM, 0), log.read_text()
    return code != 0


def test_kills_at_random_moments_change_nothing(
    undisturbed: tuple[Path, Path], home: Path, log: Path, long: bool
) -> None:
    spec, whole = undisturbed
    draw = random.Random(20)
    wanted, killed = (20 if long else 6), 0
    for _ in range(2 * wanted):
        killed += kill_at_random(draw, log, spec, home)
        if killed == wanted:
            break
    assert killed >= wanted / 2, "it was to be killed on the way"
    assert ended(run_inline(log, spec, home)) == 0, log.read_text()
    assert_whole(home, "faulty")
    assert trials(home) == trials(whole), "the same trials drawn, stopped and scored"
    assert histories(home) == histories(whole), "the same to the last bit"
    print(f"{killed} kills, 0 lost, 0 doubled")


@pytest.mark.parametrize("undisturbed", [False], indirect=True)
def test_kills_while_a_new_home_is_made_change_nothing(
    undisturbed: tuple[Path, Path], tmp_path: Path, log: Path, long: bool
) -> None:
    spec, whole = undisturbed
    draw = random.Random(20)
    for number in range(4 if long else 1):
        home = tmp_path / f"new{number}"
        for _ in range(5 if long else 2):
            driver = run_inline(log, spec, home)
            time.sleep(draw.uniform(0.05, 1.0))
            assert driver.pid is not None
            os.kill(driver.pid, signal.SIGKILL)
            ended(driver)
        assert ended(run_inline(log, spec, home)) == 0, log.read_text()
        assert_whole(home, "faulty")
        assert histories(home) == histories(whole)
