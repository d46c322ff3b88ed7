"""What a sweep writes is changed by nobody else, whatever the umask of who runs it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from commands import run


@pytest.mark.fuller
def test_nothing_in_a_home_can_be_written_by_everybody(small_spec: Path, tmp_path: Path) -> None:
    home, before = tmp_path / "new" / "home", os.umask(0)
    try:
        assert run(small_spec, home) == 0
    finally:
        os.umask(before)
    made = [home, *(path for path in home.rglob("*") if not path.is_symlink())]
    assert len(made) > 20
    assert [str(path) for path in made if path.stat().st_mode & 0o002] == []
