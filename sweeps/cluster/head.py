"""What a job runs on the head of a cluster: ``python -m sweeps.cluster.head submitted|asked ...``.

The environment of the head says where home, databases and storage are; nothing of it is on a command line.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from sweeps.cluster.frames import END, ERR, OUT, frame, packed
from sweeps.errors import ENVIRONMENT, AlreadyRunning, EnvironmentProblem, SweepError
from sweeps.home import VARIABLE, Home, described

FILES = "submitted"


def submitted(name: str, file: str, options: list[str]) -> None:
    """Run a sweep whose files are in the current folder; it may go with the job: they are kept first."""
    from sweeps.cli import main

    home = home_of(options)
    home.create()
    driver = home.driver(name)
    if driver is not None:
        raise AlreadyRunning(f"sweep {name} is {described(driver)}; wait for it, or: sweeps stop {name}")
    folder = keep(Path.cwd(), home.sweep(name) / FILES)
    sys.argv = ["sweeps", "run", str(folder / file), "--name", name, *options]
    main()


def keep(folder: Path, kept: Path) -> Path:
    """Copy a folder aside and put it in the place of what was kept before."""
    aside = kept.with_name(f".{kept.name}.{os.getpid()}")
    shutil.copytree(folder, aside)
    if kept.exists():
        shutil.rmtree(kept)
    aside.rename(kept)
    return kept


def home_of(options: list[str]) -> Home:
    """The home that options or the environment name.

    Raises:
        EnvironmentProblem: If neither does: a default would depend on where Ray was started.
    """
    from sweeps.cli.cluster import after_flag

    given = after_flag("--home", options) or os.environ.get(VARIABLE)
    if not given:
        raise EnvironmentProblem(
            f"the head of the cluster does not say where its home is: set {VARIABLE} there, or give --home"
        )
    return Home.at(given)


def asked(arguments: list[str]) -> int:
    """Run a command; what it prints, the report it writes and its exit code become frames."""
    home_of(arguments)
    wants_json = "--json" in arguments
    report = arguments[0] == "report" and not any(each.startswith("--paper") for each in arguments)
    if report and not wants_json:
        arguments = [*arguments, "--json"]
    code, printed = command(arguments, keep_output=report)
    if report and code == 0:
        told = json.loads(printed)
        folder = Path(told["report"]).parent
        sys.stdout.writelines(packed(folder, map(Path, told["files"])))
    return code


def command(arguments: list[str], keep_output: bool) -> tuple[int, str]:
    """Exit code of a command of ours, and what it printed where that is to be kept, not sent."""
    with subprocess.Popen(
        [sys.executable, "-m", "sweeps", *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, encoding="utf-8", errors="replace",
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        sending = threading.Thread(target=send, args=(ERR, process.stderr))
        sending.start()
        printed = process.stdout.read() if keep_output else ""
        send(OUT, process.stdout)
        sending.join()
    return process.returncode, printed


def send(kind: str, lines: IO[str]) -> None:
    """Each line as a frame, as soon as it comes."""
    for line in lines:
        sys.stdout.write(frame(kind, line))
        sys.stdout.flush()


def main(arguments: list[str]) -> Iterator[str]:
    """Do what a job was started for; frames that are left to print."""
    what, *rest = arguments
    if what == "submitted":
        name, file, *options = rest
        submitted(name, file, options)
        return
    try:
        code = asked(rest)
    except SweepError as error:
        yield frame(ERR, f"error: {error}\n")
        code = error.exit_code
    except Exception as error:
        yield frame(ERR, f"error: the head of the cluster cannot answer: {type(error).__name__}: {error}\n")
        code = ENVIRONMENT
    yield frame(END, code)


if __name__ == "__main__":
    try:
        sys.stdout.writelines(main(sys.argv[1:]))
    except SweepError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
