"""What trials leave behind, and what of it goes when they have ended."""

from __future__ import annotations

from pathlib import Path

from sweeps.home import Home
from sweeps.keeping import forget_checkpoints


def test_a_trial_that_has_ended_leaves_no_checkpoint_and_no_half_of_one(tmp_path: Path) -> None:
    names = [f"checkpoint-000001-{'0' * 64}.pt", f".checkpoint-000002-{'1' * 64}.pt.17.tmp", "history.jsonl"]
    for name in names:
        (tmp_path / name).touch()
    forget_checkpoints(Home(tmp_path), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["history.jsonl"]
