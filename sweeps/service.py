"""The servers that show a sweep, on the loopback alone: MLflow for the runs, a dashboard for the studies."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from sweeps.dashboard import STUDIES
from sweeps.errors import EnvironmentProblem, InputError
from sweeps.home import Home
from sweeps.plan import Plan
from sweeps.state import read_state, stored_spec
from trackers import shared_view
from trackers.connection import check, connect
from trackers.errors import TrackingError
from trackers.masking import masked, open_address

HOST = "127.0.0.1"
START_SECONDS = 90.0
QUIET = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # Eight processes for jobs of language models.
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
LAST_PORT = 65535


@dataclass(frozen=True)
class Page:
    """A server to be started, and where people look at it.

    Attributes:
        health: What answers as soon as it serves.
        shows: What a person opens.
    """

    title: str
    command: list[str]
    health: str
    shows: str


def serve_ui(home: Home, name: str | None, port: int) -> int:
    """Serve runs and studies of a home until interrupted.

    Of a sweep with a tracking server of its own only the studies are served; its server's address is told.

    Raises:
        InputError: If there is no such sweep, or nothing has been tracked yet.
        EnvironmentProblem: If a server does not start.
    """
    pages = list(pages_of(home, name, port))
    if not pages:
        return 0
    with (home.root / "ui.log").open("ab") as log, ExitStack() as started:
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        started.callback(signal.signal, signal.SIGTERM, before)
        try:
            servers = []
            for page in pages:
                # A group of its own, so that ending it ends its workers too.
                server = subprocess.Popen(
                    page.command, stdout=log, stderr=log, start_new_session=True,
                    env={**os.environ, **QUIET, STUDIES: home.optuna_url},
                )  # fmt: skip
                started.callback(end_group, server)
                servers.append(server)
            for page, server in zip(pages, servers, strict=True):
                wait_until_healthy(server, page, home)
                print(f"{page.title}: {page.shows}", flush=True)
            print("(Ctrl-C ends them)", flush=True)
            return servers[0].wait()
        except KeyboardInterrupt:
            return 0


def pages_of(home: Home, name: str | None, port: int) -> Iterator[Page]:
    """The servers that a home needs: MLflow on ``port`` (0: a free one), the studies on the next."""
    tracked = home.tracking
    if name is not None:
        read_state(home, name)
        tracked = home.tracked_at(stored_spec(home, name).spec.tracking.uri)
    port = port or free_port()
    if tracked is not None:
        where = runs_page(tracked, tracked, home, name) if tracked.startswith("http") else tracked
        print(f"runs of {name or 'all sweeps'}: {masked(open_address(where))}", flush=True)
    elif not (home.root / "mlflow.db").exists():
        raise InputError(f"nothing has been tracked in {home.root} yet; `sweeps run quickstart` does")
    else:
        root, uri = f"http://{HOST}:{port}", home.mlflow_uri
        command = [
            sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1",
            "--backend-store-uri", uri, "--default-artifact-root", str(home.artifacts),
            "--allowed-hosts", f"{HOST}:{port},localhost:{port}",
            "--cors-allowed-origins", f"{root},http://localhost:{port}",
        ]  # fmt: skip
        yield Page(
            f"runs of {name or 'all sweeps'}", command, f"{root}/health", runs_page(root, uri, home, name)
        )
    if home.has_ledger:
        beside = free_port() if port + 1 > LAST_PORT or taken(port + 1) else port + 1
        root = f"http://{HOST}:{beside}"
        command = [sys.executable, "-m", "sweeps.dashboard", str(beside)]
        yield Page("studies", command, f"{root}/api/studies", f"{root}/dashboard")


def end_group(server: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started, by force after ten seconds."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(timeout=10)


def wait_until_healthy(server: subprocess.Popen[bytes], page: Page, home: Home) -> None:
    """Wait for the server's first answer."""
    deadline = time.monotonic() + START_SECONDS
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # No proxy for the loopback.
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with direct.open(page.health, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise EnvironmentProblem(
        f"the server of {page.title} did not start at {page.health}; is the port taken?"
        f" give another --port; its log: {home.root / 'ui.log'}"
    )


def runs_page(root: str, uri: str, home: Home, name: str | None) -> str:
    """Where MLflow's page shows the runs of a sweep, each by itself and as means over seeds."""
    if name is None:
        return root
    number = experiment(uri, home, name)
    seeds = shared_view.page(root, number, shared_view.SEEDS)
    return f"{shared_view.page(root, number)}\n  means over seeds: {seeds}"


def experiment(uri: str, home: Home, name: str | None) -> str:
    """Id of the sweep's experiment, the default one where there is none yet.

    Raises:
        EnvironmentProblem: If the server does not answer.
    """
    if name is None:
        return "0"
    try:
        check(uri)
    except TrackingError as error:
        raise EnvironmentProblem(str(error)) from None
    found = connect(uri).get_experiment_by_name(stored_spec(home, name).spec.tracking.experiment or name)
    return found.experiment_id if found else "0"


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def taken(port: int) -> bool:
    """Whether something listens on a port already."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def ui_command(plan: Plan) -> str:
    """The command that shows a sweep's runs."""
    return f"sweeps ui {plan.name}"
