"""Canaries in every place that holds secrets: a real sweep leaves none of them anywhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow_server import Server, free_port

from sweeps.cli import main
from sweeps.spec.loading import load_text
from trackers import connection
from trackers.masking import open_address, without_secrets

CANARY = "canary-4f1d"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": f"{CANARY}-aws-id",
    "AWS_SECRET_ACCESS_KEY": f"{CANARY}-aws",
    "AZURE_STORAGE_ACCESS_KEY": f"{CANARY}-azure",
    "MLFLOW_TRACKING_PASSWORD": f"{CANARY}-mlflow",
    "MLFLOW_TRACKING_TOKEN": f"{CANARY}-token",
    "HF_TOKEN": f"{CANARY}-hub",
    "WANDB_API_KEY": f"{CANARY}-wandb",
    "PGPASSWORD": f"{CANARY}-postgres",
    "OWN_DATABASE": f"postgresql://me:{CANARY}-database@127.0.0.1:1/x",
}
QUOTING = """
import os
from torch.nn.functional import cross_entropy

def leaky(logits, targets):
    if len(logits) > 4:  # Not when it is tried.
        raise RuntimeError(f"cannot open {os.environ['OWN_DATABASE']} with {os.environ['HF_TOKEN']}")
    return cross_entropy(logits, targets)
"""


def process(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sweeps", *map(str, arguments)]
    environment = {**os.environ, **ENVIRONMENT}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=cwd, env=environment)


def sweeps(*arguments: object) -> int:
    """Exit code of a command in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["sweeps", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
    return int(end.value.code or 0)


def leaks(*places: Path) -> list[str]:
    """Files below ``places`` that hold a canary, with what is around it."""
    found = []
    for path in (each for place in places for each in place.rglob("*") if each.is_file()):
        content = path.read_bytes()
        at = content.find(CANARY.encode())
        if at >= 0:
            found.append(f"{path}: {content[max(0, at - 60) : at + 60]!r}")
    return found


@pytest.fixture
def work(small_spec: Path) -> Path:
    """A repository whose remote has a token, with a sweep of a loss that quotes its environment."""
    folder = small_spec.parent
    (folder / "own_leaky.py").write_text(QUOTING)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    remote = f"https://{CANARY}-git@example.org/x.git"
    subprocess.run(["git", "remote", "add", "origin", remote], cwd=folder, check=True)
    text = small_spec.read_text().replace("losses:", "losses:\n  - own_leaky:leaky")
    small_spec.write_text(text.replace("gamma: [1, 2]", "gamma: 1"))
    return folder


def test_a_sweep_and_all_that_looks_at_it_leave_no_secret_anywhere(
    work: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, long: bool
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(work)
    home, spec = work / "home", work / "small.yaml"
    uri = f"http://me:{CANARY}-uri@127.0.0.1:{free_port()}"
    spec.write_text(f"{spec.read_text()}tracking: {{uri: '{uri}/?token={CANARY}-query'}}\n")
    run = ("run", spec, "--home", home, "--executor", "inline")
    if long:
        assert sweeps(*run) == 7, "there is no tracker"
    assert sweeps(*run, "--offline") == 5, "nor later"
    looking = [
        ("doctor", "--uri", uri),
        ("trials", "small", "--json"),
        ("sync", "small"),
        ("report", "small"),
    ]
    for verb in looking if long else looking[:2]:
        sweeps(*verb, "--home", home)
    out, err = capfd.readouterr()
    assert "cannot open" in out + err, "the loss was tried and told its error"
    assert CANARY not in out + err
    kept = (home / "sweeps" / "small" / "spec.yaml").read_text()
    assert "tracking: {uri: 'http://127.0.0.1:" in kept, "the address itself stays"
    assert leaks(home) == []


def test_an_exception_that_nobody_foresaw_is_told_without_secrets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", ENVIRONMENT["HF_TOKEN"])

    def broken() -> None:
        raise LookupError(f"http://me:{CANARY}@host refused {os.environ['HF_TOKEN']}")

    monkeypatch.setattr("sweeps.doctor.python", broken)
    assert sweeps("doctor") == 1
    told = capsys.readouterr().err
    assert "LookupError: http://***@host refused ***" in told
    assert CANARY not in told


def test_a_sweep_on_ray_with_a_real_server_leaves_none_either(
    work: Path, tmp_path_factory: pytest.TempPathFactory, long: bool
) -> None:
    if not long:
        pytest.skip("--long: a Ray and an MLflow server of its own")
    home, spec, logs = work / "home", work / "small.yaml", work / "logs"
    server = Server(tmp_path_factory.mktemp("server"))
    connection.initialise(connection.resolved(server.database))
    # What Ray logs goes with it: a look at it before that.
    (work / "sitecustomize.py").write_text(
        "import shutil\nfrom sweeps.executors import private_ray\n"
        f"private_ray.remove_folder = lambda folder: shutil.copytree(folder, {str(logs)!r}, symlinks=True,"
        " ignore=shutil.ignore_patterns('sockets'))\n"
    )
    try:
        server.start()
        address = server.uri.replace("//", f"//me:{CANARY}-uri@")
        spec.write_text(f"{spec.read_text()}tracking: {{uri: '{address}'}}\n")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", str(work))
            done = process("run", spec, "--home", home, cwd=work)
        told = [done, process("best", "small", "--home", home, cwd=work)]
    finally:
        server.kill()
    assert done.returncode == 3, done.stderr
    assert list(logs.rglob("gcs_server.out")), "Ray's logs were looked at"
    assert leaks(home, logs, server.database.parent) == []
    for each in told:
        assert CANARY not in each.stdout + each.stderr, each.args


@pytest.mark.parametrize(
    ("address", "shared"),
    [
        ("http://me:secret@host:5000/x", "http://host:5000/x"),
        ("https://token@host", "https://host"),
        ("postgresql+psycopg://me:p@ss:w/rd@host:5432/db", "postgresql+psycopg://me@host:5432/db"),
        ("mysql://host/db?user=me&password=secret&ssl=1", "mysql://host/db?user=me&password=&ssl=1"),
        ("http://host:5000", "http://host:5000"),
        ("sqlite:////home/me/mlflow.db", "sqlite:////home/me/mlflow.db"),
    ],
)
def test_an_address_is_shared_without_what_opens_it(address: str, shared: str) -> None:
    assert open_address(address) == shared
    text = f"name: x\ntracking: {{uri: '{address}'}}\nlosses: [cefl]\ndata: digits\ndepth: 8\n"
    loaded = load_text(text, "x.yaml", Path())
    assert loaded.spec.tracking.uri == address, "this run uses it as it is"
    assert loaded.shareable == text.replace(address, shared)


def test_secrets_of_the_environment_are_left_out_of_tracebacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_1234567890")
    monkeypatch.setenv("SHORT_TOKEN", "cefl")
    text = "Traceback: max(values, key=len) failed with hf_1234567890 at ftp://me:pass@host for cefl"
    expected = "Traceback: max(values, key=len) failed with *** at ftp://***@host for cefl"
    assert without_secrets(text) == expected
