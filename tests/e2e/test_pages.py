"""``sweeps ui``: runs in MLflow, studies in optuna-dashboard, shown in a browser and to nobody elsewhere."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from browser import visit
from commands import run
from listening import listening
from mlflow_server import free_port
from small_data import SMALL, write_stripes

from trackers.connection import connect

WIDE = "--window-size=2400,1400"  # MLflow draws the columns that are in sight.


@dataclass(frozen=True)
class Served:
    """The home of a small sweep, the addresses that `sweeps ui` prints, and its process."""

    home: Path
    addresses: tuple[str, str, str]
    process: psutil.Process


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, empty: Path) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("pages")
    write_stripes(folder / "stripes.npz")
    spec, home = folder / "small.yaml", shutil.copytree(empty, folder / "home")
    spec.write_text(SMALL.replace("gamma: [1, 2]", "gamma: [1, 2.5]"))
    assert run(spec, home) == 0
    command = [sys.executable, "-m", "sweeps", "ui", "small", "--home", str(home), "--port", str(free_port())]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    family = [psutil.Process(server.pid)]
    try:
        assert server.stdout is not None
        lines = [server.stdout.readline() for _ in range(4)]
        runs, arms, studies = (line.rpartition(" ")[2].strip() for line in lines[:3])
        yield Served(home, (runs, arms, studies), family[0])
        family += family[0].children(recursive=True)
    finally:
        server.terminate()
        server.communicate(timeout=60)
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive, "no process is left"


def test_it_serves_on_the_loopback_alone_and_refuses_a_foreign_host(served: Served) -> None:
    server = served.addresses[0].partition("#")[0].rstrip("/")
    assert server.startswith("http://127.0.0.1:")
    address = f"{server}/api/2.0/mlflow/experiments/search?max_results=1"
    with urllib.request.urlopen(address, timeout=20) as answer:
        assert answer.status == 200
    foreign = urllib.request.Request(address, headers={"Host": "evil.example"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(foreign, timeout=20)
    assert refused.value.code == 403
    refused.value.close()
    assert listening(served.process.pid).keys() == {"127.0.0.1"}


def test_a_page_elsewhere_changes_nothing_in_mlflow_and_reads_nothing(served: Served) -> None:
    server = served.addresses[0].partition("#")[0].rstrip("/")

    def asked(path: str, origin: str, body: dict[str, str] | None = None) -> tuple[int, str | None]:
        """Status, and whose pages the browser shows the answer to."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Origin": origin, "Content-Type": "application/json"}
        request = urllib.request.Request(f"{server}/api/2.0/mlflow/{path}", data, headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.headers["Access-Control-Allow-Origin"]
        except urllib.error.HTTPError as error:
            error.close()
            return error.code, error.headers["Access-Control-Allow-Origin"]

    reading, writing = "experiments/search?max_results=1", "experiments/create"
    assert asked(writing, "http://evil.example", {"name": "evil"}) == (403, None)
    assert asked(reading, "http://evil.example")[1] is None
    assert asked(reading, server) == (200, server)
    assert asked(writing, server, {"name": "own"}) == (200, server)
    client = connect(f"sqlite:///{served.home / 'mlflow.db'}")
    assert client.get_experiment_by_name("evil") is None
    assert client.get_experiment_by_name("own") is not None


def test_mlflow_shows_what_is_compared(served: Served, tmp_path: Path) -> None:
    shown = visit(served.addresses[0], tmp_path / "browser", WIDE, shows="cefl(gamma=2.5) seed 0")
    for text in (
        "val/balanced_accuracy",
        "test/balanced_accuracy",
        "gamma",
        "sweep.state",
        "cefl(gamma=2.5) seed 0",
    ):
        assert text in shown.document
    assert not shown.requests, "nothing is asked of another host"
    experiment = connect(f"sqlite:///{served.home / 'mlflow.db'}").get_experiment_by_name("small")
    assert experiment is not None
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"


def test_mlflow_averages_over_the_seeds_of_an_arm(served: Served, tmp_path: Path) -> None:
    shown = visit(served.addresses[1], tmp_path / "browser", WIDE, shows="Group: ")
    assert "Group: stripes-rho4-resnet8 cefl(gamma=1)" in shown.document


def test_the_dashboard_shows_the_studies(served: Served, tmp_path: Path) -> None:
    shown = visit(served.addresses[2], tmp_path / "browser", shows="small/stripes-rho4-resnet8/cefl")
    assert "small/stripes-rho4-resnet8/cefl" in shown.document
    assert not shown.requests
