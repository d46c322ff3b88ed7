"""A headless Chromium that shows pages as a telephone or a desk would, driven over a pair of pipes.

A window of Chromium is at least 500 px wide; the width of a telephone has to be emulated, which its protocol
does, and ``--remote-debugging-pipe`` speaks that without a port: JSON, each message ended by a NUL.
"""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from browser import chromium

_QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
          "--disable-background-networking", "--disable-component-update")  # fmt: skip
_PATIENCE = 60.0
_HEIGHT = "document.body.offsetHeight"
_OPEN_ALL = 'document.querySelectorAll("details").forEach((each) => { each.open = true; })'
_DRAWN = """new Promise((resolve) => {
  const places = Array.from(document.querySelectorAll("[data-plot]")), from = Date.now();
  const look = () => places.every((each) => each.querySelector(".main-svg")) || Date.now() - from > 40000
    ? requestAnimationFrame(resolve) : setTimeout(look, 20);
  look();
})"""


@dataclass
class Look:
    """What became of a page: the answer to every question, complaints, and addresses that it asked for."""

    answers: dict[str, Any] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


class Emulated:
    """One browser; `look` opens a page of a file in it."""

    def __init__(self, read: int, write: int) -> None:
        self._read, self._write, self._number = read, write, 0
        self._rest, self._events = b"", []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def look(
        self, page: Path, width: int, dark: bool, questions: dict[str, str], picture: Path | None = None
    ) -> Look:
        """Opens a page, has all its figures drawn, and asks.

        Args:
            width: Of the emulated screen, in px.
            questions: Name to an expression of JavaScript whose value is JSON.
            picture: Where a PNG of the whole page goes.
        """
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])
        self._size(width, 1000)
        self._events.clear()
        self._call("Page.navigate", url=page.as_uri())
        self._until("Page.loadEventFired")
        self._ask(_OPEN_ALL)
        self._size(width, int(self._ask(_HEIGHT)))  # figures wait until they come near the window
        self._ask(_DRAWN)
        answers = {name: self._ask(question) for name, question in questions.items()}
        if picture is not None:
            self._size(width, int(self._ask(_HEIGHT)))
            picture.write_bytes(base64.b64decode(self._call("Page.captureScreenshot")["data"]))
        return Look(answers, *self._heard(page))

    def _heard(self, page: Path) -> tuple[list[str], list[str]]:
        complaints, requests = [], []
        for name, said in self._events:
            if name in ("Runtime.exceptionThrown", "Log.entryAdded"):
                complaints.append(json.dumps(said))
            elif name == "Runtime.consoleAPICalled" and said["type"] in ("error", "warning"):
                complaints.append(json.dumps(said["args"]))
            elif name == "Network.requestWillBeSent":
                address = said["request"]["url"]
                if address != page.as_uri() and not address.startswith(("data:", "blob:")):
                    requests.append(address)
        return complaints, requests

    def _size(self, width: int, height: int) -> None:
        self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
            mobile=width < 600,
        )  # fmt: skip

    def _ask(self, expression: str) -> Any:
        said = self._call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if hasattr(self, "_session"):
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            said = self._next()
            if said.get("id") == self._number:
                assert "error" not in said, said
                return dict(said["result"])

    def _until(self, event: str) -> None:
        while not any(name == event for name, _ in self._events):
            self._next()

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._read], [], [], _PATIENCE)
            assert ready, f"the browser has said nothing for {_PATIENCE:g} s"
            more = os.read(self._read, 1 << 16)
            assert more, "the browser has ended"
            self._rest += more
        whole, _, self._rest = self._rest.partition(b"\0")
        said: dict[str, Any] = json.loads(whole)
        if "method" in said:
            self._events.append((said["method"], said["params"]))
        return said


@contextmanager
def emulated(folder: Path) -> Iterator[Emulated]:
    """A browser with a profile of its own in ``folder``; skips the test where there is none."""
    command = [chromium(), *_QUIET, f"--user-data-dir={folder}", "--remote-debugging-pipe"]
    from_us, write = os.pipe()
    read, to_us = os.pipe()
    shell = ["bash", "-c", f'exec "$@" 3<&{from_us} 4>&{to_us}', "bash"]
    with subprocess.Popen(
        [*shell, *command], pass_fds=(from_us, to_us), stderr=subprocess.DEVNULL
    ) as process:
        os.close(from_us)
        os.close(to_us)
        try:
            yield Emulated(read, write)
        finally:
            os.close(write)  # the browser ends with its pipe
            os.close(read)
            process.terminate()
