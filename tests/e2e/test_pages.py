"""What people see in a browser: a sweep's runs in MLflow, its studies in optuna-dashboard."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import chromium, visit
from mlflow_server import free_port
from small_data import SMALL, write_stripes

from trackers.connection import connect

WIDE = "--window-size=2400,1400"  # MLflow draws the columns that are in sight.


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[str]]]:
    """The home of a small sweep, and the addresses that `sweeps ui` prints."""
    chromium()
    folder = tmp_path_factory.mktemp("pages")
    write_stripes(folder / "stripes.npz")
    (folder / "small.yaml").write_text(SMALL.replace("gamma: [1, 2]", "gamma: [1, 2.5]"))
    home, python = folder / "home", [sys.executable, "-m", "sweeps"]
    run = [*python, "run", str(folder / "small.yaml"), "--home", str(home), "--executor", "inline"]
    subprocess.run(run, check=True, capture_output=True, timeout=240)
    command = [*python, "ui", "small", "--home", str(home), "--port", str(free_port())]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        lines = [server.stdout.readline() for _ in range(4)]
        yield home, [line.rpartition(" ")[2].strip() for line in lines[:3]]
    finally:
        server.terminate()
        server.communicate(timeout=60)


def test_mlflow_shows_what_is_compared(pages: tuple[Path, list[str]], tmp_path: Path) -> None:
    home, (runs, _, _) = pages
    shown = visit(runs, tmp_path / "browser", WIDE)
    for text in (
        "val/balanced_accuracy",
        "test/balanced_accuracy",
        "gamma",
        "sweep.state",
        "cefl(gamma=2.5) seed 0",
    ):
        assert text in shown.document
    assert not shown.requests, "nothing is asked of another host"
    experiment = connect(f"sqlite:///{home / 'mlflow.db'}").get_experiment_by_name("small")
    assert experiment is not None
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"


def test_mlflow_averages_over_the_seeds_of_an_arm(pages: tuple[Path, list[str]], tmp_path: Path) -> None:
    shown = visit(pages[1][1], tmp_path / "browser", WIDE)
    assert "Group: stripes-rho4-resnet8 cefl(gamma=1)" in shown.document


def test_the_dashboard_shows_the_studies(pages: tuple[Path, list[str]], tmp_path: Path) -> None:
    shown = visit(pages[1][2], tmp_path / "browser")
    assert "small/stripes-rho4-resnet8/cefl" in shown.document
    assert not shown.requests
