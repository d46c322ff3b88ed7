"""A client of Ray's jobs API that waits for no answer for ever, and outlives lost connections."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sweeps.errors import AlreadyRunning, EnvironmentProblem, InputError

REQUEST_SECONDS = 60.0
LOST_SECONDS = 60.0
POLL_SECONDS = 1.0
SOON_SECONDS, SOON_BYTES, SOON_POLL_SECONDS = 20.0, 200_000, 0.2
"""How long, up to which size and how often the log of a job that is to answer at once is asked for."""
OVER = ("SUCCEEDED", "FAILED", "STOPPED")
OVERRIDING = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")
"""Ray lets these count more than an address that is given."""
GO_ON = (
    "where its head lives, the sweep goes on there; where that was restarted, submit again: nothing is lost,"
    " and nothing is trained twice"
)
EXTRA = "pip install 'cefl-sweeps[cluster]'"


class Jobs:
    """The jobs of one cluster.

    Args:
        address: Where it takes them, such as ``http://head:8265``. The token comes from the environment:
            RAY_AUTH_MODE=token with RAY_AUTH_TOKEN_PATH.

    Raises:
        InputError: If it is no such address.
        EnvironmentProblem: If nothing answers there, or it does not let us in.
    """

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(
                f"--address: '{address}' is not where a cluster takes jobs, which is written http://HEAD:8265"
            )
        if parts.password:
            raise InputError("--address: holds a password; give a token in RAY_AUTH_TOKEN_PATH instead")
        self.address = address.rstrip("/")
        with self._asking(), given_address():
            self.client = make_client(self.address)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """What goes wrong with a request becomes one message."""
        import requests

        try:
            yield
        except (ConnectionError, requests.RequestException) as error:
            raise EnvironmentProblem(
                f"the cluster at {self.address} does not answer ({brief(error)}); is its head up, and the"
                " address that of its jobs (port 8265)?"
            ) from None
        except Exception as error:
            if type(error).__name__ != "AuthenticationError":
                raise
            raise EnvironmentProblem(
                f"the cluster at {self.address} does not let us in: it asks for its token; set"
                " RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH to the file that holds it"
            ) from None

    def start(
        self, arguments: Sequence[str], job: str, folder: Path | None, notes: Mapping[str, str]
    ) -> None:
        """Start ``python -m sweeps.cluster.head ARGUMENTS`` on the head.

        Args:
            job: Its name, unique in the cluster.
            folder: What it finds as its current folder, on the workers too.
            notes: Kept with the job for all to see.

        Raises:
            AlreadyRunning: If there is a job of that name.
            EnvironmentProblem: If the cluster does not take it.
        """
        entrypoint = shlex.join(["python", "-m", "sweeps.cluster.head", *arguments])
        environment: dict[str, Any] = {} if folder is None else {"working_dir": str(folder)}
        try:
            with self._asking():
                self.client.submit_job(
                    entrypoint=f"exec {entrypoint}", submission_id=job, runtime_env=environment,
                    metadata=dict(notes),
                )  # fmt: skip
        except RuntimeError as error:
            if "already exists" in str(error) or "already been used" in str(error):
                raise AlreadyRunning(f"job {job} was just submitted by somebody else") from None
            raise EnvironmentProblem(
                f"the cluster at {self.address} does not take the job: {brief(error)}"
            ) from None

    def all(self) -> list[Any]:
        """Details of all jobs that were submitted."""
        with self._asking():
            return [each for each in self.client.list_jobs() if each.submission_id]

    def details(self, job: str) -> Any:
        """What the cluster says of a job, ``None`` where it does not know it."""
        try:
            with self._asking():
                return self.client.get_job_info(job)
        except RuntimeError:
            return None

    def log(self, job: str) -> str:
        """All that a job has printed."""
        with self._asking():
            return str(self.client.get_job_logs(job))

    def end(self, job: str) -> None:
        """Have a job ended."""
        with self._asking():
            self.client.stop_job(job)

    def forget(self, job: str) -> None:
        """Take an ended job from the list."""
        try:
            with self._asking():
                self.client.delete_job(job)
        except (RuntimeError, EnvironmentProblem):
            logging.getLogger(__name__).debug("job %s stays in the list", job)

    def answer(
        self, job: str, take: Callable[[str], None], whole: Callable[[], bool], say: Callable[[str], None]
    ) -> Any:
        """Hand on the log of a job that is to answer at once, until the answer is whole or the job over.

        Ray's way to follow a log sleeps for seconds at a time, and longer after its end: it is for what takes
        long.

        Args:
            take: Given each new piece of the log.
            whole: Whether the answer is.
            say: Told when the connection is lost.

        Returns:
            Details of the job, ``None`` where the answer was whole first.

        Raises:
            EnvironmentProblem: As `follow`.
        """
        log, deadline = Log(take), time.monotonic() + SOON_SECONDS
        with contextlib.suppress(
            RuntimeError, EnvironmentProblem
        ):  # What is lost is told where it is followed.
            while time.monotonic() < deadline and log.taken < SOON_BYTES:
                log.take(0, self.log(job))
                if whole():
                    return None
                details = self.details(job)
                if details is None:
                    break
                if details.status in OVER:
                    log.take(0, self.log(job))
                    return details
                time.sleep(SOON_POLL_SECONDS)
        return self._follow(job, log, say)

    def follow(self, job: str, take: Callable[[str], None], say: Callable[[str], None]) -> Any:
        """Hand on the log of a job as it grows, until the job has ended.

        Args:
            take: Given each new piece of the log.
            say: Told when the connection is lost.

        Returns:
            Its details.

        Raises:
            EnvironmentProblem: If the cluster does not answer for `LOST_SECONDS`, or no longer knows the job.
        """
        return self._follow(job, Log(take), say)

    def _follow(self, job: str, log: Log, say: Callable[[str], None]) -> Any:
        lost = None
        while True:
            try:
                asyncio.run(self._tail(job, log))
                details = self.details(job)
                lost = None
            except Exception as error:
                if lost is None:
                    lost = time.monotonic()
                    say(f"the connection to {self.address} is lost ({brief(error)}); trying again")
                elif time.monotonic() - lost > LOST_SECONDS:
                    raise EnvironmentProblem(
                        f"the cluster at {self.address} has not answered for {LOST_SECONDS:g} s; {GO_ON}"
                    ) from None
                time.sleep(POLL_SECONDS)
                continue
            if details is None:
                raise EnvironmentProblem(
                    f"the cluster at {self.address} does not know job {job} any more; {GO_ON}"
                )
            if details.status in OVER:
                log.take(0, self.log(job))
                return details
            time.sleep(POLL_SECONDS)

    async def _tail(self, job: str, log: Log) -> None:
        """Hand on what a log has beyond what was taken, and what comes."""
        position = 0
        async for text in self.client.tail_job_logs(job):
            log.take(position, text)
            position += len(text)


class Log:
    """A log that is read from its beginning after each loss of the connection, and handed on once."""

    def __init__(self, take: Callable[[str], None]) -> None:
        self.hand_on, self.taken = take, 0

    def take(self, position: int, text: str) -> None:
        """A piece that begins at a position."""
        new = text[max(0, self.taken - position) :]
        if new:
            self.hand_on(new)
            self.taken = position + len(text)


@contextmanager
def given_address() -> Iterator[None]:
    """What the environment says of addresses does not count meanwhile."""
    before = {name: os.environ.pop(name) for name in OVERRIDING if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(before)


def make_client(address: str) -> Any:
    """Ray's client, with a limit to every request."""
    try:
        from ray.job_submission import JobSubmissionClient
    except ImportError as error:
        raise EnvironmentProblem(f"Ray's jobs API is not installed ({brief(error)}): {EXTRA}") from None

    class Client(JobSubmissionClient):
        def _do_request(self, *arguments: Any, **options: Any) -> Any:
            return super()._do_request(*arguments, **{"timeout": REQUEST_SECONDS, **options})

    for name in ("dashboard.modules.dashboard_sdk", "dashboard.modules.job.sdk", "_private.runtime_env"):
        logging.getLogger(f"ray.{name}").setLevel(logging.ERROR)
    logging.getLogger("ray._private.runtime_env.packaging").setLevel(logging.ERROR)
    try:
        return Client(address)
    except RuntimeError as error:
        if "ray[default]" in str(error):
            raise EnvironmentProblem(f"Ray's jobs API is not installed: {EXTRA}") from None
        raise ConnectionError(brief(error)) from None


def brief(error: BaseException) -> str:
    """What went wrong, in one line."""
    return (" ".join(str(error).split()) or type(error).__name__)[:300]
