"""A real PostgreSQL server for tests: processes of an ordinary user, on the loopback, with a password.

apt-get install postgresql
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psutil
from mlflow_server import free_port

MISSING = "no PostgreSQL server is installed: apt-get install postgresql"
START_SECONDS = 60
SETTINGS = {
    "fsync": "off",  # The tests end processes, not the machine.
    "shared_buffers": "32MB",
    "max_connections": "60",
}


def binaries() -> Path | None:
    """Folder of ``initdb`` and ``postgres``, ``None`` where there is none; Debian keeps them off the path."""
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "postgres").exists()), None)


def ordinary_user() -> str | None:
    """Whom the server runs as: it refuses to run as root; ``None``: as who runs the tests."""
    if os.geteuid() != 0:
        return None
    known = {each.pw_name for each in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


@dataclass
class Postgres:
    """One server with a folder of its own; it can be stopped, killed and started again.

    Attributes:
        user: Role that owns all databases.
        password: Of that role; asked for over TCP and over the socket.
        address: Where it listens beside the loopback, and lets the network of that address in.
    """

    folder: Path
    programs: Path
    port: int = field(default_factory=free_port)
    user: str = "sweeps"
    password: str = field(default_factory=lambda: secrets.token_urlsafe(16), repr=False)
    address: str | None = None

    @classmethod
    def create(cls, programs: Path, address: str | None = None) -> Postgres:
        """A server with no database of ours yet, running."""
        server = cls(Path(tempfile.mkdtemp(prefix="pg-")), programs, address=address)
        file = server.folder / "password"
        file.touch(mode=0o600)
        file.write_text(server.password)
        if (account := ordinary_user()) is not None:
            shutil.chown(server.folder, account)
            shutil.chown(file, account)
        try:
            server._run(
                "initdb", "--pgdata", server.folder / "data", "--username", server.user, "--pwfile", file,
                "--auth", "scram-sha-256", "--no-sync", "--locale", "C.UTF-8",
            )  # fmt: skip
            if address is not None:
                with (server.folder / "data" / "pg_hba.conf").open("a") as rules:
                    rules.write(f"host all all {address}/24 scram-sha-256\n")
            server.start()
        except BaseException:
            server.remove()
            raise
        return server

    def url(self, database: str, driver: str = "postgresql") -> str:
        """Address of a database, with the password in it."""
        host = self.address or "127.0.0.1"
        return f"{driver}://{self.user}:{quote(self.password)}@{host}:{self.port}/{database}"

    def new_database(self, name: str) -> str:
        """Make an empty database; its address."""
        import psycopg
        from psycopg import sql

        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        listens = {"listen_addresses": ",".join(filter(None, ["127.0.0.1", self.address]))}
        settings = " ".join(f"-c {name}={value}" for name, value in {**SETTINGS, **listens}.items())
        options = f"-p {self.port} -k {self.folder} {settings}"
        self._run(
            "pg_ctl", "start", "--pgdata", self.folder / "data", "--log", self.folder / "log", "--wait",
            "--timeout", START_SECONDS, "--options", options,
        )  # fmt: skip

    def stop(self) -> None:
        """End it in order; open connections are closed."""
        self._run("pg_ctl", "stop", "--pgdata", self.folder / "data", "--mode", "fast", "--wait")

    def kill(self) -> None:
        """End all its processes at once, as a crash does."""
        server = psutil.Process(int((self.folder / "data" / "postmaster.pid").read_text().split()[0]))
        family = [server, *server.children(recursive=True)]
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, timeout=10)

    def remove(self) -> None:
        """End it, and delete its folder."""
        try:
            self._run("pg_ctl", "stop", "--pgdata", self.folder / "data", "--mode", "immediate", check=False)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *arguments: object, check: bool = True) -> None:
        command = [str(self.programs / program), *map(str, arguments)]
        with tempfile.TemporaryFile() as said:  # Not a pipe, which the server would inherit and hold open.
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd=self.folder,
                user=ordinary_user(), timeout=2 * START_SECONDS, check=False,
            )  # fmt: skip
            if check and done.returncode:
                said.seek(0)
                raise RuntimeError(f"{program}: {said.read().decode(errors='replace')[-3000:]}")
