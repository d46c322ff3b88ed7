"""The commands of docker/README.md that back up and restore do so: on real databases and folders."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from compose_file import DOCKER
from compose_stack import PASSWORDS, Stack
from postgres import MISSING, binaries

pytestmark = pytest.mark.fuller  # Starts two database servers.

DATABASES = ("optuna", "mlflow", "mlflow_auth")
STAND_IN = """
import os, shutil, sys
from pathlib import Path

volumes, (verb, *rest) = Path(os.environ["VOLUMES"]), sys.argv[1:]
if verb == "run":
    mounts = [rest[i + 1].split(":") for i, each in enumerate(rest) if each == "-v"]
    command = rest[rest.index("debian:bookworm-slim") + 1 :]
    for name, inside, *_ in mounts:
        outside = name if "/" in name else str(volumes / name.removeprefix("cefl-sweeps_"))
        command = [outside + e[len(inside) :] if e.startswith(inside) else e for e in command]
    os.execvp(command[0], command)
elif verb == "volume":
    for name in rest[2:]:
        shutil.rmtree(volumes / name.removeprefix("cefl-sweeps_"), ignore_errors=True)
elif rest[:3] == ["exec", "-T", "postgres"]:
    os.execvp(rest[3], rest[3:])
elif rest[0] == "create":
    for name in ("store", "home"):
        (volumes / name).mkdir()
elif rest[0] not in ("stop", "start", "up", "down"):
    sys.exit(f"what is {rest}?")
"""
"""Docker, where containers and volumes are processes and folders of this machine."""


def lines(before: str) -> list[str]:
    """The commands of the first block behind a text."""
    section = (DOCKER / "README.md").read_text(encoding="utf-8").split("\n## Backups\n")[1]
    block = re.search(r"```console\n(.*?)```", section.split(before)[1], re.DOTALL)
    assert block is not None
    return re.findall(r"^\$ (.*)", block[1], re.MULTILINE)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short: sockets have paths of at most 107 bytes; and of all: PostgreSQL runs as another user."""
    folder = Path(tempfile.mkdtemp(prefix="backup-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def database(stack: Stack, name: str, user: str = "postgres") -> psycopg.Connection[Any]:
    variable = "POSTGRES_PASSWORD" if user == "postgres" else "DATABASE_PASSWORD"
    return psycopg.connect(
        host="127.0.0.1", port=stack.ports["postgres"], dbname=name, user=user, password=PASSWORDS[variable]
    )


def started(folder: Path) -> Stack:
    folder.mkdir(mode=0o755)
    stack = Stack(folder)
    stack.start("postgres")
    return stack


def typed(commands: list[str], stack: Stack, folder: Path, check: bool = True) -> str:
    """Run commands as somebody types them, who is asked for no password: there is no terminal."""
    (folder / "bin").mkdir(exist_ok=True)
    docker = folder / "bin" / "docker"
    docker.write_text(f"#!{sys.executable}\n{STAND_IN}")
    docker.chmod(0o755)
    service = stack.services["postgres"]
    environment = stack.environment(service) | {
        "PGHOST": str(stack.folder / "postgres"),  # The socket, as in the container.
        "PGPORT": str(stack.ports["postgres"]),
        "VOLUMES": str(folder / "volumes"),
    }
    environment["PATH"] = f"{folder / 'bin'}{os.pathsep}{environment['PATH']}"
    told = ""
    for command in commands:
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command], cwd=folder, env=environment, start_new_session=True,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        told += done.stderr
        assert done.returncode == 0 or not check, f"{command}\n{done.stderr}"
    return told


def test_what_was_backed_up_is_there_again_after_a_restore(folder: Path) -> None:
    if binaries() is None:
        pytest.skip(MISSING)
    stacks = []
    for kept in ("store", "home"):
        (folder / "volumes" / kept / "a").mkdir(parents=True)
        (folder / "volumes" / kept / "a" / "b").write_text(f"of {kept}")
    try:
        stacks.append(started(folder / "one"))
        (folder / "make.py").write_text(
            textwrap.dedent(f"""
            import sys
            sys.path.insert(0, {str(DOCKER)!r})
            from prepare import make_databases
            make_databases()
            """)
        )
        prepare = stacks[0].environment(stacks[0].services["prepare"])
        subprocess.run([sys.executable, folder / "make.py"], env=prepare, check=True)
        for name in DATABASES:
            with database(stacks[0], name, "sweeps") as connection:
                connection.execute("CREATE TABLE kept (text text)")
                connection.execute("INSERT INTO kept VALUES (%s)", [f"of {name}: ż"])
        assert typed(lines("The databases while everything runs"), stacks[0], folder) == ""
        stacks[0].stop("postgres")
        stacks.append(started(folder / "two"))
        restore = lines("To restore")
        assert typed(restore, stacks[1], folder) == ""
        for name in DATABASES:
            with database(stacks[1], name, "sweeps") as connection:
                assert connection.execute("SELECT text FROM kept").fetchall() == [(f"of {name}: ż",)]
        with database(stacks[1], "postgres") as connection:
            rows = connection.execute(
                "SELECT datname, pg_get_userbyid(datdba), has_database_privilege('public', oid, 'CONNECT')"
                " FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres' ORDER BY datname"
            ).fetchall()
        assert rows == [(name, "sweeps", False) for name in sorted(DATABASES)]
        for kept in ("store", "home"):
            assert (folder / "volumes" / kept / "a" / "b").read_text() == f"of {kept}"
        again = typed([line for line in restore if "psql" in line], stacks[1], folder, check=False)
        assert 'role "sweeps" already exists' in again, "into databases that are there nothing is restored"
    finally:
        for stack in stacks:
            stack.close()
