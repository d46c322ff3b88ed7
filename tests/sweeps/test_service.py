"""init, doctor, schema and ui, as a user runs them."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest
from mlflow_server import free_port
from PIL import Image


def sweeps(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sweeps", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=cwd)


def test_init_describes_a_folder_and_writes_a_specification_that_plans(tmp_path: Path) -> None:
    for label, count in {"daisy": 40, "rose": 12, "tulip": 6}.items():
        (tmp_path / "photos" / label).mkdir(parents=True)
        for index in range(count):
            Image.new("RGB", (20, 20), (index, 5 * count, 0)).save(
                tmp_path / "photos" / label / f"{index}.png"
            )
    done = sweeps("init", "folder:photos", "--home", "home", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "3 classes" in done.stdout
    assert "daisy" in done.stdout
    text = (tmp_path / "photos.yaml").read_text()
    assert "imbalance: [natural]" in text
    assert text.count("#") > 5, "it is commented"
    planned = sweeps("plan", "photos.yaml", "--home", "home", "--json", cwd=tmp_path)
    assert planned.returncode == 0, planned.stderr
    assert json.loads(planned.stdout)["trials"]["waiting"] == 22
    again = sweeps("init", "folder:photos", "--home", "home", cwd=tmp_path)
    assert again.returncode == 2
    assert "--force" in again.stderr


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("digit", "did you mean"),
        ("npz:missing.npz", "missing.npz"),
        ("folder:empty", "empty"),
    ],
)
def test_a_source_that_cannot_be_used_is_refused_without_a_traceback(
    tmp_path: Path, source: str, words: str
) -> None:
    (tmp_path / "empty").mkdir()
    done = sweeps("init", source, "--home", "home", cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("*.yaml"))


def test_the_schema_is_valid_and_names_every_block() -> None:
    schema = json.loads(sweeps("schema").stdout)
    assert {"name", "data", "losses", "study", "recipe", "resources", "validation"} <= schema[
        "properties"
    ].keys()


def test_the_doctor_finds_the_installation_sound(tmp_path: Path) -> None:
    done = sweeps("doctor", "--home", tmp_path / "home", "--json")
    assert done.returncode == 0, done.stdout
    found = {each["what"]: each for each in json.loads(done.stdout)}
    assert {"python", "torch", "ray", "mlflow", "home", "memory", "processor"} <= found.keys()
    assert all(set(each) == {"state", "what", "found", "next"} for each in found.values())


def test_the_doctor_says_what_to_do_about_a_server_that_does_not_answer(tmp_path: Path) -> None:
    done = sweeps("doctor", "--home", tmp_path / "home", "--uri", f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 7
    assert "PROBLEM" in done.stdout


def test_the_ui_serves_on_the_loopback_alone_and_refuses_a_foreign_host(home: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "sweeps", "ui", "--home", str(home), "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        assert line.strip().endswith(f"http://127.0.0.1:{port}")
        address = f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/search?max_results=1"
        with urllib.request.urlopen(address, timeout=20) as answer:
            assert answer.status == 200
        foreign = urllib.request.Request(address, headers={"Host": "evil.example"})
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(foreign, timeout=20)
        assert refused.value.code == 403
        refused.value.close()
        processes = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
        listening = {
            each.laddr.ip
            for process in processes
            for each in process.net_connections()
            if each.status == psutil.CONN_LISTEN and each.family == socket.AF_INET
        }
        assert listening == {"127.0.0.1"}
    finally:
        server.terminate()
        server.wait(timeout=60)
    _, alive = psutil.wait_procs(processes, timeout=20)
    assert not alive, "no process is left"
    assert server.stdout is not None
    server.stdout.close()
