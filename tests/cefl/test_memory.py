"""Freed memory is used again instead of being given back and cleared anew."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import resource, sys
from cefl.memory import keep_freed_memory
if sys.argv[1] == "kept":
    print(keep_freed_memory())
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    b"x" * (40 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def said(argument: str) -> list[str]:
    return subprocess.run(
        [sys.executable, "-c", CODE, argument], capture_output=True, text=True, check=True
    ).stdout.split()


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc, on Linux, is told what to keep")
def test_pieces_of_40_mib_are_mapped_once_instead_of_every_time() -> None:
    default = int(said("default")[0])
    could, kept = said("kept")
    if could == "False":
        pytest.skip("this C library keeps what it wants")
    assert int(kept) < default / 3
