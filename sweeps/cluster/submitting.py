"""A sweep as a job of a cluster: sent, followed, and left alone when the terminal goes."""

from __future__ import annotations

import getpass
import re
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sweeps.cluster.frames import Lines
from sweeps.cluster.jobs import OVER, POLL_SECONDS, Jobs, brief
from sweeps.cluster.packing import pack
from sweeps.errors import ENVIRONMENT, INTERRUPTED, AlreadyRunning, EnvironmentProblem, SweepError
from sweeps.spec import LoadedSpec
from sweeps.temporary import temporary

NAME, WHO = "sweep", "submitted by"
BEGINS = re.compile(r"Running entrypoint for job ")
STOPPED = 143


def submit(
    jobs: Jobs, loaded: LoadedSpec, name: str, options: Sequence[str], say: Callable[[str], None]
) -> str:
    """Start a sweep as a job; the name of the job.

    Args:
        options: Of `sweeps run` on the head.
        say: Told what is done.

    Raises:
        AlreadyRunning: If a job runs a sweep of this name: says which, and whose.
    """
    with temporary("job-") as folder:
        (travels := folder / "travels").mkdir()  # Without the lock that is beside it.
        file = pack(loaded, travels)
        return begin(jobs, name, ["submitted", name, file, *options], travels, say)


def drive(jobs: Jobs, name: str, arguments: Sequence[str], say: Callable[[str], None]) -> str:
    """Have a command that trains run as a job, for a sweep that the cluster has; the name of the job.

    Raises:
        AlreadyRunning: If a job runs this sweep.
    """
    return begin(jobs, name, ["driven", name, *arguments], None, say)


def begin(
    jobs: Jobs, name: str, arguments: Sequence[str], folder: Path | None, say: Callable[[str], None]
) -> str:
    """Start the next job of a sweep, if none runs."""
    of_sweep = [job for job in jobs.all() if (job.metadata or {}).get(NAME) == name]
    running = [job for job in of_sweep if job.status not in OVER]
    if running:
        raise AlreadyRunning(
            f"sweep {name} is run by {told(running[0])}; follow it: sweeps logs {name} --address"
            f" {jobs.address} --follow, or end it: sweeps stop {name} --address {jobs.address}"
        )
    numbers = [int(match[1]) for job in of_sweep if (match := re.search(r"-(\d+)$", job.submission_id))]
    job = f"{name}-{max(numbers, default=0) + 1}"
    jobs.start(arguments, job, folder, {NAME: name, WHO: f"{getpass.getuser()}@{socket.gethostname()}"})
    say(f"submitted {name} as job {job} to {jobs.address}")
    return job


def told(job: Any) -> str:
    """Which job it is, whose, and since when."""
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime((job.start_time or 0) / 1000))
    return f"job {job.submission_id}, {WHO} {(job.metadata or {}).get(WHO, 'somebody')} at {since}"


def newest(jobs: Jobs, name: str) -> str | None:
    """The last job of a sweep, ``None`` where there is none."""
    found = [job for job in jobs.all() if (job.metadata or {}).get(NAME) == name]
    return str(max(found, key=lambda job: job.start_time or 0).submission_id) if found else None


def wait_until_over(jobs: Jobs, name: str, seconds: float) -> None:
    """Wait until no job runs a sweep that was stopped: its driver gives it back a moment before it ends."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        mine = [job for job in jobs.all() if (job.metadata or {}).get(NAME) == name]
        if all(job.status in OVER for job in mine):
            return
        time.sleep(POLL_SECONDS)


def follow(jobs: Jobs, job: str, name: str, show: Callable[[str], None], say: Callable[[str], None]) -> int:
    """Show the log of a sweep's job until it has ended; the exit code of the sweep.

    An interrupt ends the showing alone.
    """
    log = JobLog(show)
    again = f"sweeps logs {name} --address {jobs.address} --follow"
    try:
        details = jobs.follow(job, log.take, say)
    except KeyboardInterrupt:
        say(f"\nno longer following; {name} goes on as job {job}: {again}, or end it: sweeps stop {name}"
            f" --address {jobs.address}")  # fmt: skip
        return INTERRUPTED
    except SweepError as error:
        raise EnvironmentProblem(str(error)) from None
    return ended(details, say)


def ended(details: Any, say: Callable[[str], None]) -> int:
    """Exit code of a job that has ended; what kept it from beginning is told."""
    if details.status == "STOPPED":
        return STOPPED
    if details.driver_exit_code is not None:
        return int(details.driver_exit_code)
    if details.status == "FAILED":
        say(f"error: the job has failed: {brief(RuntimeError(details.message or 'Ray does not say why'))}")
        return ENVIRONMENT
    return 0


class JobLog:
    """The log of a job, without what Ray writes before the command begins."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self.show, self.lines, self.begun = show, Lines(), False

    def take(self, text: str) -> None:
        """One more piece."""
        for line in self.lines.take(text):
            if self.begun:
                self.show(line)
            elif BEGINS.match(line):
                self.begun = True
