"""Checkpoints on a real disk: killed in the middle, damaged afterwards, and with code inside."""

from __future__ import annotations

import hashlib
import io
import pickle
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch

from cefl import checkpoints
from cefl.checkpoint_files import delete_checkpoints, found
from cefl.checkpoints import load_checkpoint, save_checkpoint
from cefl.disk import write_aside
from cefl.errors import CheckpointError, StorageError


def state(epoch: int) -> dict[str, Any]:
    return {"epoch": epoch, "model": {"weight": torch.full((50,), float(epoch))}, "rows": "[]"}


def epoch_of(folder: Path) -> int:
    loaded = load_checkpoint(folder)
    assert loaded is not None
    assert (loaded["model"]["weight"] == loaded["epoch"]).all()
    return int(loaded["epoch"])


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_empty_folder_has_no_checkpoint(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path) is None


def test_the_name_carries_epoch_and_hash_and_nothing_is_left_aside(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, 7, state(7))
    assert path.name == f"checkpoint-000007-{hashlib.sha256(path.read_bytes()).hexdigest()}.pt"
    assert names(tmp_path) == [path.name]
    assert epoch_of(tmp_path) == 7


def test_the_previous_checkpoint_stays_and_older_ones_go(tmp_path: Path) -> None:
    for epoch in (1, 2, 5, 9):
        save_checkpoint(tmp_path, epoch, state(epoch))
    assert [epoch for epoch, _ in found(tmp_path)] == [9, 5]
    assert epoch_of(tmp_path) == 9


@pytest.mark.parametrize("damage", ["flipped", "empty", "10 bytes", "half", "all but one"])
def test_a_damaged_checkpoint_gives_way_to_the_previous_one_with_a_warning(
    tmp_path: Path, damage: str
) -> None:
    save_checkpoint(tmp_path, 1, state(1))
    newest = save_checkpoint(tmp_path, 2, state(2))
    content = newest.read_bytes()
    kept = {"empty": 0, "10 bytes": 10, "half": len(content) // 2, "all but one": len(content) - 1}
    if damage == "flipped":
        flip_a_byte(newest)
    else:
        newest.write_bytes(content[: kept[damage]])
    told: list[str] = []
    loaded = load_checkpoint(tmp_path, told.append)
    assert loaded is not None
    assert loaded["epoch"] == 1
    assert len(told) == 1
    assert str(tmp_path) in told[0]
    assert newest.name in told[0]
    assert "goes on from epoch 1" in told[0]


def test_any_byte_that_is_flipped_is_found(tmp_path: Path, long: bool) -> None:
    path = save_checkpoint(tmp_path, 1, state(1))
    content = path.read_bytes()
    for place in range(0, len(content), 1 if long else 97):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        assert load_checkpoint(tmp_path, lambda text: None) is None
    path.write_bytes(content)
    assert epoch_of(tmp_path) == 1


def test_training_on_after_damage_leaves_two_good_checkpoints(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, state(1))
    flip_a_byte(save_checkpoint(tmp_path, 2, state(2)))
    again = save_checkpoint(tmp_path, 2, {**state(2), "rows": "written later"})
    assert [epoch for epoch, _ in found(tmp_path)] == [2, 1]
    flip_a_byte(again)
    assert epoch_of(tmp_path) == 1


def test_damage_everywhere_is_told_and_the_training_begins_again(tmp_path: Path) -> None:
    for epoch in (1, 2):
        flip_a_byte(save_checkpoint(tmp_path, epoch, state(epoch)))
    told: list[str] = []
    assert load_checkpoint(tmp_path, told.append) is None
    assert [text.count("checkpoint-") for text in told] == [2]
    assert "begins with its first epoch" in told[0]
    path = save_checkpoint(tmp_path, 1, state(1))
    assert names(tmp_path) == [path.name], "the damaged ones are gone"


def test_what_does_not_read_back_is_said_and_what_was_there_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for epoch in (1, 2):
        save_checkpoint(tmp_path, epoch, state(epoch))
    monkeypatch.setattr(checkpoints, "write_aside", lambda path, content: path.write_bytes(content[:-1]))
    with pytest.raises(StorageError, match="gives back other bytes"):
        save_checkpoint(tmp_path, 3, state(3))
    assert [epoch for epoch, _ in found(tmp_path)] == [3, 2, 1]
    assert epoch_of(tmp_path) == 2


class Trap:
    """What a hostile checkpoint would hold: unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("form", ["pickle", "torch"])
def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path: Path, form: str) -> None:
    sprung, buffer = tmp_path / "sprung", io.BytesIO()
    hostile = {"epoch": 1, "model": Trap(sprung)}
    pickle.dump(hostile, buffer, protocol=2) if form == "pickle" else torch.save(hostile, buffer)
    content = buffer.getvalue()
    (tmp_path / f"checkpoint-000001-{hashlib.sha256(content).hexdigest()}.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match="tensors and plain values"):
        load_checkpoint(tmp_path)
    assert not sprung.exists()
    torch.load(io.BytesIO(content), weights_only=False) if form == "torch" else pickle.loads(content)
    assert sprung.exists(), "the trap of this test does not work"


KILLED_BEFORE_THE_RENAME = """
    import os, signal, sys
    from pathlib import Path
    import torch
    from cefl.checkpoints import save_checkpoint

    def die(event, arguments):
        if event == "os.rename":  # `Path.replace` announces itself under this name.
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(die)
    save_checkpoint(Path(sys.argv[1]), 2, {"epoch": 2, "model": {"weight": torch.full((50,), 2.0)}})
"""


def test_a_kill_before_the_rename_leaves_the_old_checkpoint_and_the_next_one_clears_up(
    tmp_path: Path,
) -> None:
    old = save_checkpoint(tmp_path, 1, state(1))
    program = textwrap.dedent(KILLED_BEFORE_THE_RENAME)
    killed = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    left = [name for name in names(tmp_path) if name != old.name]
    assert len(left) == 1
    assert left[0].endswith(".tmp")
    assert epoch_of(tmp_path) == 1
    new = save_checkpoint(tmp_path, 2, state(2))
    assert names(tmp_path) == sorted([old.name, new.name])


def test_a_write_that_fails_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(TypeError):
        write_aside(tmp_path / "file", "text is not bytes")  # type: ignore[arg-type]
    assert names(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_deleting_removes_checkpoints_and_leftovers_alone(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, state(1))
    save_checkpoint(tmp_path, 2, state(2))
    (tmp_path / ".checkpoint-000003-ab.pt.17.tmp").write_bytes(b"half")
    (tmp_path / "weights.safetensors").write_bytes(b"kept")
    delete_checkpoints(tmp_path)
    assert names(tmp_path) == ["weights.safetensors"]
