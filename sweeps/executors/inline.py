"""Trials one after the other in this very process: for tests, a debugger, and machines without Ray."""

from __future__ import annotations

import time
import traceback
from functools import partial

from cefl.errors import CeflError, StorageError
from sweeps.conductor import Conductor
from sweeps.executors.cutting import Cut, Late, Scissors
from sweeps.live import Assignment
from sweeps.memory import own_memory
from sweeps.spec.model import Resources
from sweeps.usage import with_usage
from sweeps.watching import MemoryLimit, overdue

POLL_SECONDS = 0.5  # While other sweeps train what is left.


class InlineExecutor:
    """Runs trials in the driver's process and thread.

    A trial that hangs outside of Python, or takes all memory within an epoch, takes the driver with it.
    """

    slots = 1

    def __init__(self, resources: Resources) -> None:
        self.threads = max(1, int(resources.cpus))  # As a worker of Ray has: the numbers are the same.
        self.memory = MemoryLimit(resources.memory_bytes, base=own_memory())
        self.scissors = Scissors(resources.epoch_limit)

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

        from sweeps.mirroring import rows_of

        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        error, retry = None, True
        try:
            config, warn = assignment.config, partial(conductor.warn, assignment.ref)
            rows = rows_of(config, assignment.folder, assignment.stored, warn, here=True)
            for row in self.scissors.rows(with_usage(rows, config.recipe.epochs, warn)):
                if conductor.row(assignment.ref, row):
                    break
                error = self.memory.exceeded()
                if error is not None:
                    break
        except Late:
            error = overdue(self.scissors.limit or 0.0)
        except Cut:
            pass  # The conductor stops: what runs goes on next time.
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
        """End the epoch that is under way."""
        self.scissors.cut()
