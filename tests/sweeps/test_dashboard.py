"""The dashboard of the studies: readers of this machine alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna_dashboard import wsgi

from sweeps.dashboard import Application, guarded


@pytest.fixture
def dashboard(tmp_path: Path) -> Application:
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 'optuna.db'}")
    optuna.create_study(storage=storage, study_name="sweep/cell/cefl")
    application: Any = wsgi(storage)
    return guarded(application, ["127.0.0.1:1", "localhost:1"])


def ask(dashboard: Application, method: str = "GET", **headers: str) -> tuple[str, bytes]:
    status: list[str] = []
    environ = {
        "REQUEST_METHOD": method, "PATH_INFO": "/api/studies" + ("/1" if method == "DELETE" else ""),
        "QUERY_STRING": "", "SERVER_NAME": "x", "SERVER_PORT": "1", "wsgi.url_scheme": "http",
        "HTTP_HOST": "127.0.0.1:1", **headers,
    }  # fmt: skip
    body = b"".join(dashboard(environ, lambda line, headers, error=None: status.append(line)))
    return status[0], body


def test_studies_are_shown_to_this_machine(dashboard: Application) -> None:
    for host in ("127.0.0.1:1", "localhost:1"):
        status, body = ask(dashboard, HTTP_HOST=host, HTTP_ORIGIN=f"http://{host}")
        assert status.startswith("200")
        assert [study["study_name"] for study in json.loads(body)["study_summaries"]] == ["sweep/cell/cefl"]


def test_nobody_changes_the_ledger_through_it(dashboard: Application) -> None:
    for method in ("DELETE", "POST", "PUT", "PATCH"):
        status, body = ask(dashboard, method)
        assert status.startswith("405")
        assert b"sweeps run" in body
    assert b"sweep/cell/cefl" in ask(dashboard)[1]


@pytest.mark.parametrize("header", [{"HTTP_HOST": "evil.example:1"}, {"HTTP_ORIGIN": "http://evil.example"}])
def test_a_foreign_host_or_origin_is_refused(dashboard: Application, header: dict[str, str]) -> None:
    status, body = ask(dashboard, **header)
    assert status.startswith("403")
    assert b"study" not in body
