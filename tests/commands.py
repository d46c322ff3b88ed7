"""Commands of ours in the process of the tests: a process of their own would import for seconds."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from sweeps.cli import main


def sweeps(*arguments: object) -> int:
    """Exit code of a command."""
    before = sys.argv
    sys.argv = ["sweeps", *map(str, arguments)]
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.argv = before
    return 0


def run(spec: Path, home: Path, *more: object) -> int:
    """``sweeps run`` with the in-process executor."""
    return sweeps("run", spec, "--home", home, "--executor", "inline", *more)


def told(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> Any:
    """What a command prints as JSON."""
    capsys.readouterr()
    assert sweeps(*arguments, "--json") == code
    return json.loads(capsys.readouterr().out)
