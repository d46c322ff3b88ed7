"""A command that the head of a cluster answers: what it prints appears here, and files come along."""

from __future__ import annotations

import contextlib
import json
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sweeps.cluster.frames import END, ERR, FILES, FOLDER, OUT, Lines, parsed, unpack
from sweeps.cluster.jobs import OVER, Jobs, brief
from sweeps.errors import INTERRUPTED, EnvironmentProblem
from sweeps.replacing import writing_out

MOST_LINES = 20
ASKED = "asked-"
KEPT_SECONDS, MOST_FORGOTTEN = 600.0, 20


class Answer:
    """What the head has answered so far.

    Args:
        keep: Whether what it prints for programs is kept until its files are here.
    """

    def __init__(self, keep: bool = False) -> None:
        self.keep, self.kept = keep, list[str]()
        self.lines = Lines()
        self.code: int | None = None
        self.folder = ""  # Of the files, where the head has them.
        self.pieces: list[str] = []
        self.other: list[str] = []  # What is no frame: of use where no answer came.

    @property
    def whole(self) -> bool:
        """Whether nothing more comes."""
        return self.code is not None

    def take(self, text: str) -> None:
        """One more piece of the log."""
        for line in self.lines.take(text):
            found = parsed(line)
            if found is None:
                self.other.append(line)
                continue
            kind, value = found
            if kind == END:
                self.code = int(value)
            elif kind == FOLDER:
                self.folder = value
            elif kind == FILES:
                self.pieces.append(value)
            elif kind == OUT and self.keep:
                self.kept.append(value)
            elif kind in (OUT, ERR):
                stream = sys.stdout if kind == OUT else sys.stderr
                stream.write(value)
                stream.flush()

    def bring(self, out: Path | None, force: bool | None) -> None:
        """Write the files that came, and print what was kept, with the places that they have here.

        Args:
            out: Folder for them, by default one of the name that it has there, in the current one.
            force: Whether a folder that is there is replaced, or refused; ``None``: it is written into.
        """
        if self.pieces:
            folder = out if out is not None else Path(Path(self.folder).name)
            if force is None:
                unpack(self.pieces, folder)
            else:
                with writing_out(folder, force) as aside:
                    unpack(self.pieces, aside)
            names = (self.folder, str(folder))
            if "--json" in sys.argv:
                names = json.dumps(names[0])[1:-1], json.dumps(names[1])[1:-1]
            self.kept = [text.replace(*names) for text in self.kept]
        sys.stdout.write("".join(self.kept))
        sys.stdout.flush()


def ask(jobs: Jobs, arguments: Sequence[str], keep: bool = False) -> Answer:
    """Have the head run ``sweeps ARGUMENTS``, and print what it prints.

    Args:
        keep: Whether that waits until its files are here.

    Raises:
        EnvironmentProblem: If it gives no answer.
    """
    job, answer = ASKED + secrets.token_hex(6), Answer(keep)
    jobs.start(["asked", *arguments], job, None, {})
    tidy(jobs)  # While the head begins.
    try:
        details = jobs.answer(job, answer.take, lambda: answer.whole, complain)
    except KeyboardInterrupt:
        jobs.end(job)
        answer.code = INTERRUPTED
        return answer
    if not answer.whole:
        raise EnvironmentProblem(
            f"the head of the cluster at {jobs.address} gave no answer ({reason(details, answer)}); is this"
            " project installed there?"
        )
    return answer


def tidy(jobs: Jobs, seconds: float = KEPT_SECONDS) -> None:
    """Take what was answered so long ago from the cluster's list of jobs.

    Not at once: until some seconds after its end Ray looks after a job, and lists it anew as one that failed.
    """
    with contextlib.suppress(EnvironmentProblem):
        listed = jobs.all()
        now = max((job.start_time or 0 for job in listed), default=0)  # By the clock of the head.
        answered = (job for job in listed if job.submission_id.startswith(ASKED) and job.status in OVER)
        old = [job for job in answered if (job.end_time or now) < now - 1000 * seconds]
        for job in old[:MOST_FORGOTTEN]:
            jobs.forget(job.submission_id)


def reason(details: Any, answer: Answer) -> str:
    """Why there was none: the last that the job printed, or what Ray says of it."""
    said = [line for line in answer.other[-MOST_LINES:] if line.strip()]
    return said[-1].strip()[:300] if said else brief(RuntimeError(details.message or ""))


def complain(text: str) -> None:
    """A line beside the answer."""
    print(text, file=sys.stderr)
