"""A command that the head of a cluster answers: what it prints appears here, and files come along."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Sequence
from typing import Any

from sweeps.cluster.frames import END, ERR, FILES, OUT, Lines, parsed
from sweeps.cluster.jobs import Jobs, brief
from sweeps.errors import INTERRUPTED, EnvironmentProblem

MOST_LINES = 20


class Answer:
    """What the head has answered so far."""

    def __init__(self) -> None:
        self.lines = Lines()
        self.code: int | None = None
        self.pieces: list[str] = []
        self.other: list[str] = []  # What is no frame: of use where no answer came.

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
            elif kind == FILES:
                self.pieces.append(value)
            elif kind in (OUT, ERR):
                stream = sys.stdout if kind == OUT else sys.stderr
                stream.write(value)
                stream.flush()


def ask(jobs: Jobs, arguments: Sequence[str]) -> Answer:
    """Have the head run ``sweeps ARGUMENTS``, and print what it prints.

    Raises:
        EnvironmentProblem: If it gives no answer.
    """
    job, answer = f"asked-{secrets.token_hex(6)}", Answer()
    jobs.start(["asked", *arguments], job, None, {})
    try:
        details = jobs.follow(job, answer.take, complain)
    except KeyboardInterrupt:
        jobs.end(job)
        answer.code = INTERRUPTED
        return answer
    if answer.code is None:
        raise EnvironmentProblem(
            f"the head of the cluster at {jobs.address} gave no answer ({reason(details, answer)}); is this"
            " project installed there?"
        )
    jobs.forget(job)
    return answer


def reason(details: Any, answer: Answer) -> str:
    """Why there was none: the last that the job printed, or what Ray says of it."""
    said = [line for line in answer.other[-MOST_LINES:] if line.strip()]
    return said[-1].strip()[:300] if said else brief(RuntimeError(details.message or ""))


def complain(text: str) -> None:
    """A line beside the answer."""
    print(text, file=sys.stderr)
