"""A headless Chromium for tests: the page after its scripts ran, its complaints, its requests."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

_QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-sync", "--disable-client-side-phishing-detection",
    "--disable-features=NetworkTimeServiceQuerying,OptimizationHints,MediaRouter,Translate",
    "--disable-background-networking", "--disable-component-update", "--disable-default-apps", "--no-pings",
    "--disable-domain-reliability", "--disable-extensions", "--enable-logging=stderr",
    "--window-size=1280,12000",
)  # fmt: skip
_PATIENCE = (20_000, 60_000, 240_000)
"""Milliseconds of the browser's own clock, which does not wait for other threads of it: if a machine is busy,
more are needed."""

_OWN = ("googleapis.com", "google.com", "gvt1.com")


@dataclass(frozen=True)
class Visit:
    """What became of a page: its document after all scripts, console messages, requests to the network."""

    document: str
    console: tuple[str, ...]
    requests: tuple[str, ...]


def chromium() -> str:
    """Path of the browser; skips the test where there is none."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("needs Chromium: apt-get update && apt-get install -y chromium")
    return found


def visit(page: Path | str, folder: Path, *options: str, shows: str = "", times: int = 1) -> Visit:
    """Opens a local file, or an address on the loopback; again, with more time, until it shows a text.

    Whether it shows it at last is for the caller to say: the last visit counts.
    """
    for budget in _PATIENCE:
        seen = _visit(page, folder, f"--virtual-time-budget={budget}", *options)
        if seen.document.count(shows) >= times:
            break
    return seen


def _visit(page: Path | str, folder: Path, *options: str) -> Visit:
    """One visit.

    Every request that leaves the machine meets a proxy that only takes its name.

    The browser's own calls to its maker are switched off or passed over: they are not the page's.
    """
    requests: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        threading.Thread(target=_note, args=(proxy, requests), daemon=True).start()
        done = subprocess.run(
            [
                chromium(), *_QUIET, f"--user-data-dir={folder}",
                f"--proxy-server=127.0.0.1:{proxy.getsockname()[1]}", *options, "--dump-dom",
                page.as_uri() if isinstance(page, Path) else page,
            ],
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
    console = tuple(line for line in done.stderr.splitlines() if ":CONSOLE" in line)
    return Visit(
        done.stdout, console, tuple(each for each in requests if not any(own in each for own in _OWN))
    )


def _note(proxy: socket.socket, requests: list[str]) -> None:
    while True:
        try:
            connection, _ = proxy.accept()
        except OSError:  # the test is over
            return
        with connection:
            requests.append(connection.recv(300).decode("latin-1").split("\r\n")[0])
