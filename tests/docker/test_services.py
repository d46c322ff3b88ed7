"""The services of docker/compose.yaml, run by their own commands as processes, do what the stack needs."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from compose_file import DOCKER
from compose_stack import PASSWORDS, TOKEN, Stack
from postgres import MISSING, binaries
from small_data import write_small

from sweeps.home import Home
from sweeps.state import read_state

pytestmark = pytest.mark.fuller  # Starts every service of the stack.
METRICS = ("metrics", PASSWORDS["METRICS_PASSWORD"])
SWEEPS = ("sweeps", PASSWORDS["MLFLOW_PASSWORD"])


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Database, store, tracking server with its accounts, and dashboard."""
    if binaries() is None:
        pytest.skip(MISSING)
    folder = Path(tempfile.mkdtemp(prefix="stack-"))  # Short: sockets have paths of at most 107 bytes.
    folder.chmod(0o755)  # PostgreSQL runs as another user.
    started = Stack(folder)
    try:
        started.start("accounts", "optuna-dashboard")
        yield started
    finally:
        started.close()
        shutil.rmtree(folder, ignore_errors=True)


def asked(
    stack: Stack, service: str, path: str, account: tuple[str, str] | None = None, **headers: str
) -> tuple[int, str]:
    """Status and text of an answer."""
    request = urllib.request.Request(f"http://127.0.0.1:{stack.ports[service]}{path}", headers=headers)
    if account is not None:
        request.add_header("Authorization", f"Basic {base64.b64encode(':'.join(account).encode()).decode()}")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(errors="replace")


def client(stack: Stack, code: str, account: tuple[str, str] = SWEEPS) -> str:
    """What MLflow's client prints, as a process of its own with the account in its environment."""
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{stack.ports['mlflow']}",
        "MLFLOW_TRACKING_USERNAME": account[0],
        "MLFLOW_TRACKING_PASSWORD": account[1],
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    }
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True,
        check=False, cwd=stack.folder, timeout=120,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_every_health_check_says_so_and_sees_an_end(stack: Stack) -> None:
    for name in ("postgres", "store", "mlflow", "optuna-dashboard"):
        assert stack.is_healthy(name), name
    stack.stop("store")
    assert not stack.is_healthy("store")
    stack.start("store")
    assert stack.is_healthy("store")


def test_artifacts_go_through_the_tracking_server_into_the_store(stack: Stack) -> None:
    code = """
import mlflow, pathlib
experiment = mlflow.create_experiment("through")
with mlflow.start_run(experiment_id=experiment) as run:
    mlflow.log_metric("val/accuracy", 0.5)
    mlflow.log_text("weights", "model/weights.txt")
path = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="model/weights.txt")
metrics = mlflow.get_run(run.info.run_id).data.metrics
print(run.info.artifact_uri.split(":")[0], pathlib.Path(path).read_text(), metrics)
"""
    assert "mlflow-artifacts weights {'val/accuracy': 0.5}" in client(stack, code)
    assert any(key.endswith("/artifacts/model/weights.txt") for key in stored(stack, "mlflow"))


def test_the_tracking_server_asks_who_it_is_and_where(stack: Stack) -> None:
    search = "/api/2.0/mlflow/experiments/search?max_results=1"
    assert asked(stack, "mlflow", search)[0] == 401
    assert asked(stack, "mlflow", search, ("sweeps", "wrong"))[0] == 401
    assert asked(stack, "mlflow", search, ("admin", "password1234"))[0] == 401
    assert asked(stack, "mlflow", search, SWEEPS)[0] == 200
    assert asked(stack, "mlflow", search, SWEEPS, Host="elsewhere.example")[0] == 403


def test_metrics_are_for_the_account_of_prometheus(stack: Stack) -> None:
    status, text = asked(stack, "mlflow", "/metrics", METRICS)
    assert status == 200
    assert "mlflow_http_request_total" in text
    assert asked(stack, "mlflow", "/metrics", SWEEPS)[0] == 403
    assert asked(stack, "mlflow", "/metrics")[0] == 401


def test_the_account_of_the_sweeps_is_no_administrator(stack: Stack) -> None:
    assert asked(stack, "mlflow", "/api/2.0/mlflow/users/get?username=admin", SWEEPS)[0] == 403


def test_the_store_refuses_whoever_has_no_key(stack: Stack) -> None:
    assert asked(stack, "store", "/")[0] == 403
    assert asked(stack, "store", "/mlflow?list-type=2")[0] == 403


def test_databases_belong_to_the_role_of_the_sweeps_and_to_nobody_else(stack: Stack) -> None:
    with database(stack, "postgres") as connection:
        rows = connection.execute(
            "SELECT datname, pg_get_userbyid(datdba), has_database_privilege('public', oid, 'CONNECT'),"
            " pg_encoding_to_char(encoding) FROM pg_database WHERE datname ~ '^(optuna|mlflow)'"
        ).fetchall()
        assert sorted(rows) == [
            (name, "sweeps", False, "UTF8") for name in ("mlflow", "mlflow_auth", "optuna")
        ]
        role = connection.execute("SELECT rolsuper, rolcreatedb FROM pg_roles WHERE rolname = 'sweeps'")
        assert role.fetchone() == (False, False)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(
            host="127.0.0.1", port=stack.ports["postgres"], dbname="optuna", user="sweeps", password="wrong"
        )


def test_prometheus_takes_the_metrics_of_the_tracking_server(stack: Stack) -> None:
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed: apt-get install prometheus")
    text = (DOCKER / "prometheus.yml").read_text()
    for old, new in {
        "/tmp/": f"{stack.folder}/",
        "mlflow:5000": f"127.0.0.1:{stack.ports['mlflow']}",
        "127.0.0.1:9090": f"127.0.0.1:{stack.ports['prometheus']}",
        "scrape_interval: 15s": "scrape_interval: 1s",
    }.items():
        assert old in text
        text = text.replace(old, new)
    (stack.folder / "prometheus.yml").write_text(text)
    stack.start("prometheus")
    states: dict[str, str] = {}
    for _ in range(60):
        answer = json.loads(asked(stack, "prometheus", "/api/v1/targets?state=active")[1])
        states = {target["scrapePool"]: target["health"] for target in answer["data"]["activeTargets"]}
        if states and "unknown" not in states.values():
            break
        time.sleep(0.5)
    assert states == {"mlflow": "up", "prometheus": "up"}  # Names of containers do not resolve here.


@pytest.mark.long
def test_a_specification_goes_through_the_whole_stack_by_the_command_of_the_job(stack: Stack) -> None:
    job, spec = stack.services["job"], write_small(stack.folder / "specs")
    assert job.command[-1] == "quickstart", "takes a specification, a shipped one by default"
    stack.services["job"] = replace(job, command=(*job.command[:-1], str(spec)))
    start_ray(stack)
    stack.start("job")  # It ends with the sweep.
    said = stack.log("job")
    assert said.count("complete: ") == 3, said
    assert "trained now    3 trials; sweep small is done" in said
    code = """
import mlflow
runs = mlflow.search_runs(experiment_names=["small"], output_format="list")
children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
whole = all("val/loss" in run.data.metrics for run in children)
print(len(runs), len(children), {run.info.status for run in runs}, whole)
"""
    assert client(stack, code).split("\n")[0] == "4 3 {'FINISHED'} True"
    kept = stored(stack, "mlflow")
    assert sum(key.endswith("/config.json") for key in kept) == 3, "artifacts, through the tracking server"
    assert sum(key.endswith("/report.html") for key in kept) == 1
    assert any(key.endswith("predictions.npz") for key in stored(stack, "sweeps")), "by the worker"
    with database(stack, "optuna") as connection:
        states = connection.execute("SELECT state, count(*) FROM trials GROUP BY state").fetchall()
    assert states == [("COMPLETE", 3)]
    told = stack.log("job") + stack.log("ray-head") + stack.log("ray-worker")
    assert not any(password in told for password in PASSWORDS.values())


def start_ray(stack: Stack) -> None:
    """Head and worker; the agent of the head, which starts jobs, comes up after the check of its health."""
    stack.start("ray-worker")
    for _ in range(120):
        with contextlib.suppress(OSError):
            if asked(stack, "head-agent", "/api/local_raylet_healthz")[0] == 200:
                break
        time.sleep(0.5)


@pytest.mark.long
def test_a_head_that_is_told_to_end_ends_the_sweep_of_a_job_in_order_within_its_grace_period(
    stack: Stack,
) -> None:
    job, spec, home = stack.services["job"], write_small(stack.folder / "ending"), stack.folder / "home"
    text = spec.read_text().replace("name: small", "name: ending")
    spec.write_text(text.replace("epochs: 2", "epochs: 3000"))
    stack.services["job"] = replace(job, command=(*job.command[:-1], str(spec), "--no-wait"))
    start_ray(stack)
    stack.processes.pop("job", None)
    before = set(home.glob("trials/*/history.jsonl"))
    stack.start("job")
    for _ in range(240):
        if set(home.glob("trials/*/history.jsonl")) - before:
            break
        time.sleep(0.5)
    assert read_state(Home(home), "ending").state == "running"
    begin = time.monotonic()
    stack.stop("ray-head")  # With the patience of Docker.
    print(f"the head took {time.monotonic() - begin:.1f} s")
    assert json.loads((home / "sweeps" / "ending" / "state.json").read_text())["state"] == "interrupted"
    last = json.loads((home / "sweeps" / "ending" / "log.jsonl").read_text().splitlines()[-1])
    assert (last["event"], last["state"], last["exit_code"]) == ("sweep ended", "interrupted", 143)
    with database(stack, "mlflow") as connection:
        states = connection.execute(
            "SELECT DISTINCT status FROM runs JOIN experiments USING (experiment_id)"
            " WHERE experiments.name = 'ending'"
        ).fetchall()
    assert states == [("KILLED",)], "MLflow was told, too"
    stack.stop("ray-worker")


def test_ray_answers_whoever_has_the_token(stack: Stack) -> None:
    stack.start("ray-worker")
    assert stack.is_healthy("ray-head")
    assert stack.is_healthy("ray-worker")
    assert asked(stack, "ray-head", "/api/jobs/")[0] == 401
    assert asked(stack, "ray-head", "/api/jobs/", Authorization="Bearer wrong")[0] == 403
    assert asked(stack, "ray-head", "/api/jobs/", Authorization=f"Bearer {TOKEN}")[0] == 200
    for name in ("head-metrics", "worker-metrics"):
        assert "ray_" in asked(stack, name, "/metrics")[1]
    stack.stop("ray-worker")  # Within the 30 seconds of Compose and of Kubernetes.
    assert not stack.is_healthy("ray-worker")


def test_the_database_ends_in_order_and_the_others_come_back(stack: Stack) -> None:
    assert stack.stop("postgres") == 0
    assert not stack.is_healthy("postgres")
    stack.start("postgres")
    assert asked(stack, "mlflow", "/api/2.0/mlflow/experiments/search?max_results=1", SWEEPS)[0] == 200


def test_a_second_preparation_keeps_what_is_there_and_sets_passwords_anew(stack: Stack) -> None:
    for name in ("prepare", "accounts"):
        stack.processes.pop(name)
    before = stack.services["accounts"]
    changed = {**before.environment, "MLFLOW_PASSWORD": "an0therpassword"}
    stack.services["accounts"] = replace(before, environment=changed)
    stack.start("accounts")
    search = "/api/2.0/mlflow/experiments/search?max_results=100"
    status, text = asked(stack, "mlflow", search, ("sweeps", "an0therpassword"))
    assert status == 200
    assert "through" in text


def database(stack: Stack, name: str) -> psycopg.Connection[Any]:
    """A database of the stack, as its administrator."""
    return psycopg.connect(
        host="127.0.0.1", port=stack.ports["postgres"], dbname=name, user="postgres",
        password=PASSWORDS["POSTGRES_PASSWORD"],
    )  # fmt: skip


def stored(stack: Stack, bucket: str) -> list[str]:
    """Names of all objects in a bucket of the store."""
    import boto3

    environment = stack.services["mlflow"].environment
    store = boto3.client(
        "s3", endpoint_url=environment["AWS_ENDPOINT_URL"], region_name="us-east-1",
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )  # fmt: skip
    try:
        assert {each["Name"] for each in store.list_buckets()["Buckets"]} == {"mlflow", "sweeps"}
        return [each["Key"] for each in store.list_objects_v2(Bucket=bucket).get("Contents", [])]
    finally:
        store.close()
