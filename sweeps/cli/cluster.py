"""The verb submit, and how other verbs run on the head of a cluster."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweeps.addresses import is_url, storage_form
from sweeps.cli.app import SpecArgument, app
from sweeps.errors import DONE, SOME_FAILED, TRACKING_INCOMPLETE, InputError
from sweeps.names import check_name

if TYPE_CHECKING:
    from sweeps.cluster.jobs import Jobs

JOB_ENDS_SECONDS = 30.0
NOT_FOR_THE_HEAD = ("--address", "--out", "-o")
NOT_IN_A_JOB = {
    "--executor": "its trials run on that cluster",
    "--notify": "the head has SWEEPS_NOTIFY in its environment",
    "--json": "its log is followed; afterwards: sweeps best NAME --json --address ...",
}

ClusterOption = Annotated[
    str | None,
    typer.Option("--address", help="http://HEAD:8265: answered by that Ray cluster", show_default=False),
]


@app.command()
def submit(
    spec: SpecArgument,
    address: Annotated[
        str, typer.Option("--address", help="where the cluster takes jobs, such as http://HEAD:8265")
    ],
    name: Annotated[
        str | None, typer.Option("--name", help="name of the sweep, instead of the specification's")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="follow it to its end, or only send it")
    ] = True,
    concurrent: Annotated[
        int | None, typer.Option("--concurrent", min=1, help="most trials at a time")
    ] = None,
    asks: Annotated[
        int | None,
        typer.Option("--asks", min=1, help="ask every study so many times more than it was so far"),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="train what is complete once more, beside it, and compare")
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="start although the tracking server does not answer")
    ] = False,
    home: Annotated[
        str | None,
        typer.Option("--home", help="there; by default the head's SWEEPS_HOME", show_default=False),
    ] = None,
) -> None:
    """Run a sweep on a Ray cluster, as a job that outlives this terminal; Ctrl-C only ends the showing."""
    from sweeps.spec import load_spec

    loaded = load_spec(spec)
    from sweeps.cluster.jobs import Jobs
    from sweeps.cluster.submitting import submit

    sweep = name or loaded.spec.name
    check_name(sweep)
    check_home(home)
    chosen = {"--concurrent": concurrent, "--asks": asks, "--home": home}
    options = [part for flag, value in chosen.items() if value is not None for part in (flag, str(value))]
    options += [flag for flag, given in (("--fresh", fresh), ("--offline", offline)) if given]
    jobs = Jobs(address)
    job = submit(jobs, loaded, sweep, options, say)
    end_with(jobs, job, sweep, wait)


def end_with(jobs: Jobs, job: str, name: str, wait: bool = True) -> None:
    """Follow the job of a sweep, where that is asked for, and end as it does."""
    from sweeps.cluster.submitting import follow

    hint = f"sweeps {{}} {name} --address {jobs.address}".format
    if not wait:
        say(f"follow it: {hint('logs')} --follow; how far it is: {hint('status')}")
        return
    code = follow(jobs, job, name, show, say)
    if code in (DONE, SOME_FAILED, TRACKING_INCOMPLETE):
        say(f"its report comes here with: {hint('report')}")
    raise typer.Exit(code)


def drive_there(address: str | None, name: str) -> None:
    """Do nothing without the address of a cluster's jobs; else have this command run there, and follow it."""
    if address is None or not address.startswith(("http://", "https://")):
        return
    from sweeps.cluster.jobs import Jobs
    from sweeps.cluster.submitting import drive

    for option, instead in NOT_IN_A_JOB.items():
        if any(each == option or each.startswith(f"{option}=") for each in sys.argv):
            raise InputError(f"{option}: is not for a job of a cluster ({address}): {instead}")
    jobs = Jobs(address)
    end_with(jobs, drive(jobs, name, for_the_head(sys.argv[1:]), say), name)


def answer_from(
    address: str | None, out: Path | None = None, log_of: str | None = None, writes: bool = False,
    force: bool | None = None, stops: str | None = None,
) -> None:  # fmt: skip
    """Do nothing without an address; else have this command answered by the cluster there, and end.

    Args:
        out: Folder for the files that it writes.
        log_of: Perhaps a sweep that was submitted, whose log is asked for.
        writes: Whether it writes files, which come here.
        force: Whether a folder that is there is replaced, or refused; ``None``: it is written into.
        stops: The sweep that it stops.
    """
    if address is None:
        return
    from sweeps.cluster.asking import ask
    from sweeps.cluster.jobs import Jobs
    from sweeps.replacing import check_free

    if force is not None and out is not None:
        check_free(out, force)
    jobs = Jobs(address)
    if log_of is not None:
        show_log(jobs, log_of)
    answer = ask(jobs, for_the_head(sys.argv[1:]), keep=writes)
    if writes:
        answer.bring(out, force)
    if stops is not None and answer.code == 0:
        from sweeps.cluster.submitting import wait_until_over

        wait_until_over(jobs, stops, JOB_ENDS_SECONDS)
    raise typer.Exit(answer.code or 0)


def show_log(jobs: Jobs, name: str) -> None:
    """Show the log of a sweep's newest job and end, where there is one; follow it where that is asked for."""
    from sweeps.cluster.submitting import JobLog, follow, newest

    job = newest(jobs, name)
    if job is None:
        return
    if {"--follow", "-f"} & set(sys.argv):
        raise typer.Exit(follow(jobs, job, name, show, say))
    JobLog(show).take(jobs.log(job))
    raise typer.Exit(0)


def for_the_head(arguments: list[str]) -> list[str]:
    """The arguments without those that only matter here."""
    kept, skip = [], False
    joined = tuple(f"{flag}=" for flag in NOT_FOR_THE_HEAD)
    for each in arguments:
        if not skip and not each.startswith(joined) and not re.match("-o.", each):
            skip = each in NOT_FOR_THE_HEAD
            if not skip:
                kept.append(each)
        else:
            skip = False
    for home in values_of("--home", kept):
        check_home(home)
    return kept


def after_flag(flag: str, arguments: list[str]) -> str | None:
    """The value of an option, written either way; of several the last one counts."""
    return next(reversed(values_of(flag, arguments)), None)


def values_of(flag: str, arguments: list[str]) -> list[str]:
    """All values that an option is given."""
    joined = f"{flag}="
    pairs = zip(arguments, [*arguments[1:], ""], strict=False)
    return [
        after if each == flag else each.removeprefix(joined)
        for each, after in pairs
        if each == flag or each.startswith(joined)
    ]


def check_home(home: str | None) -> None:
    """Refuse an address with credentials in it, which all would see on a command line of the cluster.

    Raises:
        InputError: If it has some, or is no address of a storage.
    """
    if home is not None and is_url(home):
        storage_form("--home", home)


def show(line: str) -> None:
    """A line of the log of a job."""
    print(line, flush=True)


def say(text: str) -> None:
    """A line beside what was asked for."""
    print(text, file=sys.stderr, flush=True)
