"""The command line: ``sweeps VERB``. A verb loads what it needs when called: ``--help`` is quick."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from typing import NoReturn

# Each registers its verbs.
from sweeps.cli import cluster, comparing, data, exporting, figures, results, running, service, upkeep  # noqa: F401
from sweeps.cli.app import app
from sweeps.errors import INTERRUPTED, NO_ROOM, TERMINATED, UNEXPECTED, SweepError, code_of
from trackers.escaping import legible
from trackers.masking import masked, without_secrets

OTHERS_WRITE = 0o002


def main() -> None:
    """Run a command and end with its exit code; what was asked wrongly gets one message and no traceback."""
    before = signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(TERMINATED)
    )  # So that all clean up after them.
    os.umask(os.umask(0) | OTHERS_WRITE)  # Whatever a shell or a container says; a group may share a home.
    try:
        app(prog_name="sweeps")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        code = code_of(error)
        if code == UNEXPECTED and not isinstance(error, SweepError):
            crash()
        no_room = isinstance(error, OSError) and error.errno in NO_ROOM
        fail(f"{error}: make room, and run this again" if no_room else str(error), code)
    finally:
        signal.signal(signal.SIGTERM, before)


def fail(message: str, code: int) -> None:
    """Say what is wrong and end."""
    print(f"error: {legible(masked(message))}", file=sys.stderr)
    sys.exit(code)


def crash() -> NoReturn:
    """Say where an exception that nobody foresaw came from, without secrets in it, and end."""
    print(legible(without_secrets(traceback.format_exc())), file=sys.stderr, end="")
    sys.exit(UNEXPECTED)
