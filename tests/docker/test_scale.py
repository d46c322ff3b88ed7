"""The arithmetic for a large cluster in docker/README.md follows from the figures of the small one."""

from __future__ import annotations

import re

import pytest
from compose_file import DOCKER

SCALE = (DOCKER / "README.md").read_text(encoding="utf-8").split("\n## Scale\n")[1].split("\n## ")[0]
ROW_MS, POINT_KB, HOME_ROW_KB = 0.5, 0.4, 2
TRIALS, EPOCHS, GPUS, SECONDS, POINTS = 100_000, 100, 1_000, 1_800, 11 + 3 + 4


def told(pattern: str) -> float:
    """The one figure at a place of the text."""
    (found,) = re.findall(pattern, SCALE)
    return float(found.replace(",", ""))


def test_what_grows_with_the_epochs_is_what_the_arithmetic_takes() -> None:
    assert told(r"driver took about ([\d.]+) ms\nmore a row") == ROW_MS
    assert told(r"database ([\d.]+) kB more a point") == POINT_KB
    assert told(r"the home ([\d.]+) kB more a row") == HOME_ROW_KB
    assert told(r"\*\*([\d,]+) trials of") == TRIALS
    assert told(r"trials of ([\d,]+) epochs on [\d,]+ GPUs\*\*") == EPOCHS
    assert told(r"epochs on ([\d,]+) GPUs\*\*") == GPUS


def test_the_driver_of_the_large_cluster_follows_from_that_of_the_small_one() -> None:
    alone = told(r"a trial \| driver ([\d.]+) ms") - 10 * ROW_MS
    rate = GPUS / SECONDS
    assert told(r"without its ten rows ([\d.]+) ms") == alone
    assert told(r"0\.56 x ([\d.]+) ms \+ 56 x 0\.5 ms") == alone
    assert told(r"56 x 0\.5 ms = ([\d.]+) of a core") == pytest.approx(
        (rate * alone + rate * EPOCHS * ROW_MS) / 1000, abs=0.005
    )
    full = GPUS * (alone + EPOCHS * ROW_MS) / 1000
    assert told(r"1,000 x \(([\d.]+) ms \+ 100 x 0\.5 ms\)") == alone
    assert told(r"\) = ([\d.]+) s, about") == full
    assert told(r"about ([\d.]+) minutes") == pytest.approx(full / 60, abs=0.1)
    start = GPUS * alone / 1000
    assert told(r"1,000 x ([\d.]+) ms = [\d.]+ s at most") == alone
    assert told(r"ms = ([\d.]+) s at most") == start
    assert told(r"waits: ([\d.]+)% of the first half hour") == round(100 * start / SECONDS)


def test_the_databases_of_the_large_cluster_follow_from_those_of_the_small_one() -> None:
    size, spent = told(r"ledger ([\d.]+) kB; MLflow"), told(r"PostgreSQL ([\d.]+) ms, store")
    assert told(r"100,000 x ([\d.]+) kB = [\d.]+ GB; 0") == size
    assert told(r"kB = ([\d.]+) GB; 0") == pytest.approx(TRIALS * size / 1e6, abs=0.005)
    assert told(r"0\.56 x ([\d.]+) ms = [\d.]+ ms of a processor") == spent
    assert told(r"ms = ([\d.]+) ms of a processor a second") == round(GPUS / SECONDS * spent)
    (small,) = re.findall(r"`plan` ([\d.]+) s, `status` ([\d.]+) s, `best` ([\d.]+) s", SCALE)
    (large,) = re.findall(r"10,000 trials is ([\d.]+) s, ([\d.]+) s and ([\d.]+) s", SCALE)
    assert [float(each) for each in large] == pytest.approx([10 * float(each) for each in small])
    server, points = told(r"driver [\d.]+ ms, MLflow ([\d.]+) ms"), told(r"of them ([\d.]+) points")
    assert (told(r"at most ([\d.]+) ms / "), told(r"ms / ([\d.]+) = ")) == (server, points)
    each = told(r"ms / [\d.]+ = ([\d.]+) ms of a processor each")
    assert each == pytest.approx(server / points, abs=0.05)
    a_second = GPUS / SECONDS * EPOCHS * POINTS
    assert told(r"56 x 18 = ([\d,]+) points a second") == pytest.approx(a_second, rel=0.02)
    assert told(r"each: ([\d.]+) of a core, all") == pytest.approx(a_second * each / 1000, abs=0.05)
    assert told(r"x 0\.4 kB = ([\d.]+) GB") == TRIALS * EPOCHS * POINTS * POINT_KB / 1e6
    assert told(r"x 2 kB = ([\d.]+) GB") == TRIALS * EPOCHS * HOME_ROW_KB / 1e6
