"""What the service raises, each with its exit code; messages state place, value, rule and next step.

SweepError                   1  unexpected
├── InputError               2  a wrong specification, option or name
│   ├── DamagedFile          2  a file of the home is not what was written there
│   └── SpecError            2  all problems of one file
│       └── DataNotThere     7  which are data sets that cannot be fetched or cached, and nothing else
├── AlreadyRunning           6  another driver holds the sweep
└── EnvironmentProblem       7  disk, data, GPU or tracking server
    └── DiskProblem          7  a disk that is full or read-only, met on the way: the same command goes on
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass

DONE, UNEXPECTED, WRONG_INPUT, SOME_FAILED, NONE_SUCCEEDED = 0, 1, 2, 3, 4
TRACKING_INCOMPLETE, ALREADY_RUNNING, ENVIRONMENT = 5, 6, 7
INTERRUPTED, TERMINATED = 130, 143
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class SweepError(Exception):
    """Root of the service's errors."""

    exit_code = UNEXPECTED


class InputError(SweepError):
    """What was asked for is wrong."""

    exit_code = WRONG_INPUT


class DamagedFile(InputError):
    """A file of a home is not what this program wrote there; says what to do about it."""


class AlreadyRunning(SweepError):
    """Another process drives this sweep."""

    exit_code = ALREADY_RUNNING


class EnvironmentProblem(SweepError):
    """Disk, data, GPU or tracking server do not allow the sweep."""

    exit_code = ENVIRONMENT


class DiskProblem(EnvironmentProblem):
    """A disk is full, read-only or broken; what was written before is whole."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a specification: where, and which rule it breaks."""

    place: str
    message: str
    line: int | None = None

    def text(self, file: str) -> str:
        """``sweep.yaml:7: losses[1].gamma: 'x' is not a number``."""
        where = file if self.line is None else f"{file}:{self.line}"
        return f"{where}: {self.place}: {self.message}" if self.place else f"{where}: {self.message}"


class SpecError(InputError):
    """A specification with all its problems."""

    def __init__(self, file: str, problems: Sequence[Problem]) -> None:
        self.file = file
        self.problems = sorted(problems, key=lambda problem: problem.line or 0)
        super().__init__("\n".join(problem.text(file) for problem in self.problems))


class DataNotThere(SpecError):
    """A specification in which nothing is wrong but that its data sets cannot be fetched, or find no room."""

    exit_code = ENVIRONMENT


def code_of(error: BaseException) -> int:
    """The exit code of a command that ends by an error; `UNEXPECTED` for one that nobody foresaw."""
    if isinstance(error, SweepError):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    if isinstance(error, ValueError) and type(error).__module__ in ("cefl.errors", "trackers.errors"):
        kinds = {each.__name__ for each in type(error).__mro__}
        return ENVIRONMENT if kinds & {"MissingData", "StorageError"} else WRONG_INPUT
    return ENVIRONMENT if isinstance(error, OSError) and error.errno in NO_ROOM else UNEXPECTED
