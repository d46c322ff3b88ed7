"""What a job runs on the head of a cluster: ``python -m sweeps.cluster.head submitted|driven|asked ...``.

The environment of the head says where home, databases and storage are; nothing of it is on a command line.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from sweeps.cluster.frames import END, ERR, FOLDER, OUT, Framed, frame, packed
from sweeps.errors import ENVIRONMENT, AlreadyRunning, EnvironmentProblem, SweepError
from sweeps.home import VARIABLE, Home, described
from sweeps.names import check_name
from sweeps.replacing import replacing
from sweeps.temporary import temporary

FILES = "submitted"
WRITING = ("export", "compare", "figures")
"""Verbs whose files are for whoever asks."""


def submitted(name: str, file: str, options: list[str]) -> None:
    """Run a sweep whose files are in the current folder; it may go with the job: they are kept first."""
    from sweeps.cli import main

    check_name(name)
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
    with replacing(kept) as aside:
        shutil.copytree(folder, aside, dirs_exist_ok=True)
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


def driven(name: str, arguments: list[str]) -> None:
    """Go on with a sweep by what was kept of it: own code goes from there to the workers."""
    from sweeps.cli import main
    from sweeps.joining import TRAVELS

    check_name(name)
    kept = home_of(arguments).sweep(name) / FILES
    if kept.is_dir():
        os.chdir(kept)
        os.environ[TRAVELS] = str(kept)
    sys.argv = ["sweeps", *arguments]
    main()


def asked(arguments: list[str]) -> int:
    """Run a command; what it prints, the files it writes and its exit code become frames."""
    home_of(arguments)
    verb, out = arguments[0], sys.stdout
    if verb == "report" and not any(each.startswith("--paper") for each in arguments):
        return reported(arguments, out)
    if verb not in WRITING:
        return command(arguments, Framed(OUT, out), Framed(ERR, out))
    with temporary("answer-") as folder:
        (inside := folder / "inside").mkdir()
        with contextlib.chdir(inside):
            given = [] if verb == "export" else ["--out", str(inside / verb)]
            code = command([*arguments, *given], Framed(OUT, out), Framed(ERR, out))
        if code == 0:
            (made,) = inside.iterdir()
            out.write(frame(FOLDER, str(made)))
            out.writelines(packed(made, sorted(path for path in made.rglob("*") if path.is_file())))
    return code


def reported(arguments: list[str], out: TextIO) -> int:
    """Write a report, which lies in the home."""
    wants_json = "--json" in arguments
    told = io.StringIO()
    code = command(arguments if wants_json else [*arguments, "--json"], told, Framed(ERR, out))
    if code == 0:
        report = json.loads(told.getvalue())
        folder = Path(report["report"]).parent
        text = told.getvalue() if wants_json else "\n".join(report["files"]) + "\n"
        out.write(frame(FOLDER, str(folder)))
        out.writelines(frame(OUT, line) for line in text.splitlines(keepends=True))
        out.writelines(packed(folder, map(Path, report["files"])))
    return code


def command(arguments: list[str], out: TextIO, err: TextIO) -> int:
    """Be ``sweeps ARGUMENTS``: its exit code."""
    from sweeps.cli import main

    before = sys.argv
    sys.argv = ["sweeps", *arguments]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.argv = before
        for stream in (out, err):
            if isinstance(stream, Framed):
                stream.close()
    return 0


def main(arguments: list[str]) -> Iterator[str]:
    """Do what a job was started for; frames that are left to print."""
    what, *rest = arguments
    if what == "submitted":
        name, file, *options = rest
        submitted(name, file, options)
        return
    if what == "driven":
        driven(rest[0], rest[1:])
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
