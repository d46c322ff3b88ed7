"""A sweep whose own tracking database cannot be opened."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import run


def test_a_first_start_refuses_it_and_offline_trains_all_the_same(
    small_spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small_spec.write_text(small_spec.read_text().replace("gamma: [1, 2]", "gamma: 1"))
    home = tmp_path / "home"
    home.mkdir()
    (home / "mlflow.db").write_bytes(b"this is no database" * 100)
    assert run(small_spec, home) == 7
    message = capsys.readouterr().err
    assert "mlflow.db" in message
    assert "--offline" in message
    assert not (home / "sweeps").exists()
    assert run(small_spec, home, "--offline") == 5, "all is trained, tracking is not complete"
    assert "tracking       incomplete" in capsys.readouterr().out
