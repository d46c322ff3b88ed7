"""Ray's head, which first ends the sweeps whose drivers run on it, in order, when it is told to end.

python head.py ray start --head --block ...

By itself `ray start --block` hands nothing on to the drivers of jobs: it waits for its node to have no work
left, and then kills what is left (ray/_private/node.py, job_supervisor.py).
"""

from __future__ import annotations

import signal
import subprocess
import sys
from types import FrameType

SECONDS = 20
"""Longest wait for the sweeps, out of the 30 seconds that Docker and Kubernetes give; Ray then takes some."""


def main(command: list[str]) -> int:
    """Run a command, and end it after the sweeps; its exit status."""
    with subprocess.Popen(command) as ray:

        def end(number: int, frame: FrameType | None) -> None:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            stop = [sys.executable, "-m", "sweeps", "stop", "--all", f"--wait={SECONDS}"]
            subprocess.run(stop, check=False)
            ray.terminate()

        signal.signal(signal.SIGTERM, end)
        return ray.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
