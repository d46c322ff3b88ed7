"""The MLflow server that shows a sweep, on the loopback alone."""

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

from sweeps.errors import EnvironmentProblem, InputError
from sweeps.home import Home
from sweeps.plan import Plan
from sweeps.state import read_state, stored_spec
from trackers.connection import connect, masked

HOST = "127.0.0.1"
START_SECONDS = 90.0


def serve_ui(home: Home, name: str | None, port: int) -> int:
    """Serve the home's runs until interrupted; for a sweep with a server of its own, say where that is.

    Raises:
        InputError: If there is no such sweep, or nothing has been tracked yet.
        EnvironmentProblem: If the server does not start.
    """
    uri = home.mlflow_uri
    if name is not None:
        read_state(home, name)
        tracked = stored_spec(home, name).spec.tracking.uri
        if tracked is not None:
            print(f"sweep {name} is tracked by the server at {masked(tracked)}")
            return 0
    if not (home.root / "mlflow.db").exists():
        raise InputError(f"nothing has been tracked in {home.root} yet; `sweeps run quickstart` does")
    port = port or free_port()
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1",
        "--backend-store-uri", uri, "--default-artifact-root", str(home.artifacts),
        "--allowed-hosts", f"{HOST}:{port},localhost:{port}",
        "--cors-allowed-origins", f"http://{HOST}:{port},http://localhost:{port}",
    ]  # fmt: skip
    with (home.root / "ui.log").open("ab") as log:
        # A group of its own, so that ending it ends its workers too.
        server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            wait_until_healthy(server, port, home)
            address = f"http://{HOST}:{port}/#/experiments/{experiment(uri, home, name)}"
            print(f"{name or 'all sweeps'}: {address}\n(Ctrl-C ends the server)", flush=True)
            return server.wait()
        except KeyboardInterrupt:
            return 0
        finally:
            signal.signal(signal.SIGTERM, before)
            end_group(server)


def end_group(server: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started, by force after ten seconds."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(timeout=10)


def wait_until_healthy(server: subprocess.Popen[bytes], port: int, home: Home) -> None:
    """Wait for the server's first answer."""
    deadline = time.monotonic() + START_SECONDS
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # No proxy for the loopback.
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with direct.open(f"http://{HOST}:{port}/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise EnvironmentProblem(
        f"the MLflow server did not start on port {port}; is the port taken?"
        f" give another --port; its log: {home.root / 'ui.log'}"
    )


def experiment(uri: str, home: Home, name: str | None) -> str:
    """Id of the sweep's experiment, the default one without a sweep."""
    if name is None:
        return "0"
    found = connect(uri).get_experiment_by_name(stored_spec(home, name).spec.tracking.experiment or name)
    return found.experiment_id if found else "0"


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def ui_command(plan: Plan) -> str:
    """The command that shows a sweep's runs."""
    return f"sweeps ui {plan.name}"
