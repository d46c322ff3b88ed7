"""Trials one after the other in this very process: for tests, a debugger, and machines without Ray."""

from __future__ import annotations

import time
import traceback
from functools import partial

from cefl.errors import CeflError, StorageError
from sweeps.conductor import Conductor
from sweeps.live import Assignment
from sweeps.spec.model import Resources
from sweeps.usage import with_usage

POLL_SECONDS = 0.5  # While other sweeps train what is left.


class InlineExecutor:
    """Runs trials in the driver's process and thread."""

    slots = 1

    def __init__(self, resources: Resources) -> None:
        self.threads = max(1, int(resources.cpus))  # As a worker of Ray has: the numbers are the same.

    def run(self, conductor: Conductor) -> None:
        """Execute until nothing is left, or the conductor is told to stop."""
        while not conductor.exhausted:
            assignment = conductor.next()
            if assignment is None:
                if not conductor.exhausted:
                    time.sleep(POLL_SECONDS)
                continue
            self._train(conductor, assignment)

    def _train(self, conductor: Conductor, assignment: Assignment) -> None:
        import torch

        from cefl.trial import run_trial

        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        error, retry = None, True
        try:
            rows = run_trial(
                assignment.config, assignment.folder, warn=partial(conductor.warn, assignment.ref)
            )
            for row in with_usage(rows, assignment.config.recipe.epochs):
                if conductor.row(assignment.ref, row):
                    break
        except StorageError as problem:
            conductor.block(str(problem))
        except CeflError as problem:
            error, retry = str(problem), False
        except Exception as problem:
            error = "".join(traceback.format_exception(problem))
        finally:  # Whoever trains next in this process has their own number, and so their own rounding.
            torch.set_num_threads(before)
        conductor.ended(assignment.ref, error, retry)

    def interrupt(self) -> None:
        """Nothing to wake: the conductor is asked after every epoch."""
