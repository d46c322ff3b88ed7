"""A real MLflow server in a forked process, and a proxy before it that delays, cuts, breaks and refuses."""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.process import BaseProcess
from pathlib import Path

from forked import context
from mlflow_server import free_port

HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "host", "server", "date"}


def serve(folder: str, port: int) -> None:
    """Be the application of ``mlflow server``, as its worker is: the same variables, the same uvicorn."""
    log = os.open(f"{folder}/server.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    from mlflow.server import constants

    os.environ |= {
        constants.BACKEND_STORE_URI_ENV_VAR: f"sqlite:///{folder}/mlflow.db",
        constants.REGISTRY_STORE_URI_ENV_VAR: f"sqlite:///{folder}/mlflow.db",
        constants.ARTIFACT_ROOT_ENV_VAR: "mlflow-artifacts:/",
        constants.SERVE_ARTIFACTS_ENV_VAR: "true",
        constants.ARTIFACTS_DESTINATION_ENV_VAR: f"{folder}/artifacts",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    import uvicorn

    uvicorn.run("mlflow.server.fastapi_app:app", host="127.0.0.1", port=port, log_level="warning")


@dataclass
class ForkedServer:
    """An MLflow server on a port of its own; it is killed and started again."""

    folder: Path
    port: int = 0
    process: BaseProcess | None = field(default=None, repr=False)

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def database(self) -> Path:
        return self.folder / "mlflow.db"

    def start(self) -> None:
        self.port = self.port or free_port()
        self.process = context().Process(target=serve, args=(str(self.folder), self.port), daemon=True)
        self.process.start()
        deadline = time.monotonic() + 120
        while not self._healthy():
            assert self.process.is_alive(), (self.folder / "server.log").read_text()
            assert time.monotonic() < deadline, (self.folder / "server.log").read_text()
            time.sleep(0.05)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.join()

    def _healthy(self) -> bool:
        try:
            asked = f"{self.uri}/api/2.0/mlflow/experiments/get?experiment_id=0"  # It opens its database.
            with urllib.request.urlopen(asked, timeout=30) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


@dataclass
class Fault:
    """What a proxy does to requests.

    Args:
        do: ``kill`` the server and cut the connection; ``cut`` it without a word; ``deafen``: pass a request
            on, and cut before the answer; ``slow``: pass it on, and answer late; ``break``: answer 500;
            ``refuse``: answer 400, as MLflow does to a value that it does not take.
        times: To how many requests it is done, before the next fault; ``None``: to all, for ever.
        after: How many pass before.
        seconds: How late a slow answer is, or how long a killed server is away.
        only: Text in the body of the requests that it is done to.
    """

    do: str
    times: int | None = None
    after: int = 3
    seconds: float = 0.0
    only: bytes = b""


class Proxy:
    """Stands before a server, on a port of its own.

    Attributes:
        faults: What it does, one after the other; then everything passes.
        met: Requests that a fault was done to.
        began: When the first one was, as `time.time` says.
    """

    def __init__(self, server: ForkedServer) -> None:
        self.server, self.faults, self.met, self.began = server, [Fault("pass", 0)], 0, 0.0
        self._passed = self._done = 0
        self._lock, self._over = threading.Lock(), threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(self))
        self._http.daemon_threads = True
        self._restart: threading.Thread | None = None
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}).start()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def mend(self) -> None:
        """Pass everything on."""
        with self._lock:
            self.faults = []

    def close(self) -> None:
        self._over.set()
        self._http.shutdown()
        self._http.server_close()
        if self._restart is not None:
            self._restart.join()

    def wait(self, seconds: float) -> None:
        """As long as a late answer takes, or until the proxy is closed."""
        self._over.wait(seconds)

    def meets(self, body: bytes) -> Fault | None:
        """The fault that is done to a request, ``None`` if it passes."""
        with self._lock:
            while self.faults and self._done == self.faults[0].times:
                del self.faults[0]
                self._passed = self._done = 0
            if not self.faults or self._passed < self.faults[0].after or self.faults[0].only not in body:
                self._passed += 1
                return None
            self._done += 1
            self.met += 1
            self.began = self.began or time.time()
            if self.faults[0].do == "kill":
                self.server.kill()
                self._restart = threading.Timer(self.faults[0].seconds, self.server.start)
                self._restart.start()
            return self.faults[0]


def handler_of(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    """What answers the requests of a proxy."""

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            fault = proxy.meets(body)
            do = fault.do if fault else "pass"
            if do == "break":
                return self.reply(500, {}, b"the server is out of order")
            if do == "refuse":
                said = {"error_code": "INVALID_PARAMETER_VALUE", "message": "this value is not taken"}
                return self.reply(400, {"Content-Type": "application/json"}, json.dumps(said).encode())
            if do not in ("kill", "cut"):
                try:
                    status, headers, content = self.pass_on(body)
                except OSError:  # The server behind is not there.
                    return self.close()
                if fault and do == "slow":
                    proxy.wait(fault.seconds)
                if do != "deafen":
                    return self.reply(status, headers, content)
            return self.close()

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

        def pass_on(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
            connected = http.client.HTTPConnection("127.0.0.1", proxy.server.port, timeout=60)
            try:
                headers = {n: v for n, v in self.headers.items() if n.lower() not in HOP_BY_HOP}
                connected.request(self.command, self.path, body or None, headers)
                answer = connected.getresponse()
                content = answer.read()
            finally:
                connected.close()
            kept = {n: v for n, v in answer.getheaders() if n.lower() not in HOP_BY_HOP}
            return answer.status, kept, content

        def reply(self, status: int, headers: dict[str, str], content: bytes) -> None:
            try:
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)
            except OSError:  # Whoever asked has not waited.
                pass

        def close(self) -> None:
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    return Handler
