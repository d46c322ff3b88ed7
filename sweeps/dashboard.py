"""optuna-dashboard on the studies of a home:   SWEEPS_STUDIES_URL=URL python -m sweeps.dashboard PORT

The address may hold a password, which everybody on this machine could read among the arguments.

To look at, not to change: the ledger has one writer, the driver, so everything but reading is refused. So is
a request by another name than this machine's, which a page elsewhere could send through a browser.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

STUDIES = "SWEEPS_STUDIES_URL"
HOST = "127.0.0.1"
READING = ("GET", "HEAD", "OPTIONS")

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def guarded(application: Application, hosts: Iterable[str]) -> Application:
    """The application for readers that call it by one of ``hosts``, each a name with its port."""
    allowed = frozenset(hosts)

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        origin = environ.get("HTTP_ORIGIN")
        foreign = origin is not None and origin.partition("://")[2] not in allowed
        if environ.get("HTTP_HOST") not in allowed or foreign:
            return refuse(start_response, "403 Forbidden", "only from this machine")
        if environ["REQUEST_METHOD"] not in READING:
            return refuse(
                start_response, "405 Method Not Allowed", "the ledger is written by `sweeps run` alone"
            )
        return application(environ, start_response)

    return answer


def refuse(start_response: Callable[..., Any], status: str, why: str) -> list[bytes]:
    """A short answer in plain text."""
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{why}\n".encode()]


class Server(ThreadingMixIn, WSGIServer):
    """One thread a request: a browser keeps several connections open."""

    daemon_threads = True


class Silent(WSGIRequestHandler):
    """No line a request."""

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


def main(url: str, port: int) -> None:
    """Serve the studies of a database on the loopback until the process ends."""
    from optuna.storages import RDBStorage
    from optuna_dashboard import wsgi

    studies: Any = wsgi(RDBStorage(url))
    application = guarded(studies, [f"{HOST}:{port}", f"localhost:{port}"])
    with make_server(HOST, port, application, server_class=Server, handler_class=Silent) as server:
        server.serve_forever()


if __name__ == "__main__":
    main(os.environ[STUDIES], int(sys.argv[1]))
