"""Addresses, secrets, and names that MLflow would refuse."""

from __future__ import annotations

import itertools
import os
import posixpath
import re
import subprocess
import sys
from pathlib import Path

import pytest

from trackers.connection import artifact_root, resolved, sqlite_file
from trackers.errors import TrackingError
from trackers.masking import masked
from trackers.names import LONGEST_TAG, cut, from_tags, safe_name, to_tags


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://user:pass@host:5000/x", "http://***@host:5000/x"),
        ("postgresql+psycopg://u:p@ss@host/db failed", "postgresql+psycopg://***@host/db failed"),
        ("mysql://host/db?user=me&password=hidden&ssl=1", "mysql://host/db?user=me&password=***&ssl=1"),
        ("sqlite:////home/me/mlflow.db", "sqlite:////home/me/mlflow.db"),
        ("cannot reach 'https://token@host'", "cannot reach 'https://***@host'"),
    ],
)
def test_credentials_are_masked(text: str, shown: str) -> None:
    assert masked(text) == shown


def test_a_relative_database_is_resolved_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolved("sqlite:///runs/mlflow.db?timeout=3") == f"sqlite:///{tmp_path}/runs/mlflow.db?timeout=3"
    assert resolved(Path("mlflow.db")) == f"sqlite:///{tmp_path}/mlflow.db"
    assert sqlite_file("sqlite:///mlflow.db") == tmp_path / "mlflow.db"
    assert sqlite_file("http://host") is None
    assert artifact_root("sqlite:///mlflow.db", None) == (tmp_path / "artifacts").as_uri()
    assert artifact_root("http://host", None) is None
    assert artifact_root("http://host", "s3://bucket/x") == "s3://bucket/x"


@pytest.mark.parametrize("uri", ["mlruns", "file:///tmp/mlruns"])
def test_the_file_store_is_refused_with_a_way_out(uri: str) -> None:
    with pytest.raises(TrackingError, match=r"sqlite:///PATH/mlflow\.db"):
        resolved(uri)


def test_names_that_mlflow_takes_stay_as_they_are() -> None:
    for name in ("train/loss", "val/balanced_accuracy", "test/recall/3", "test/recall/ブナシメジ", "a b-c.d"):
        assert safe_name(name) == name


def test_every_other_name_becomes_a_legal_one_of_its_own() -> None:
    pieces = ["a", "b", "/", ".", " ", ":", "(", "-0123abcd", "é" * 240, "\n", "e\u0301", "\ud800"]
    names = {"".join(parts) for size in range(4) for parts in itertools.product(pieces, repeat=size)}
    safe = {safe_name(name) for name in names}
    assert len(safe) == len(names)
    for name in safe:
        assert re.fullmatch(r"[/\w.\- ]+", name)
        assert len(name) <= 250
        assert posixpath.normpath(name) == name
        assert not name.startswith(("..", "/"))
        assert safe_name(name) != name or name in names


@pytest.mark.parametrize("size", [0, 1, LONGEST_TAG - 2, LONGEST_TAG - 1, 3 * LONGEST_TAG])
def test_a_long_value_is_kept_in_several_tags(size: int) -> None:
    tags = to_tags("sweep.x", "y" * size)
    assert all(len(part) <= LONGEST_TAG for part in tags.values())
    assert from_tags("sweep.x", tags | {f"sweep.x.{len(tags)}": "left over"}) == "y" * size


def test_a_text_that_no_encoding_knows_can_be_sent_and_restored() -> None:
    names = ["caf\udce9", "ブナシメジ"]
    tags = to_tags("sweep.x", names)
    assert all(part.encode("utf-8") for part in tags.values())
    assert from_tags("sweep.x", tags) == names
    assert cut("caf\udce9", 20) == r"caf\udce9"


def test_a_value_that_is_not_whole_reads_as_none() -> None:
    tags = to_tags("sweep.x", ["y"] * LONGEST_TAG)
    del tags["sweep.x.1"]
    assert from_tags("sweep.x", tags) is None
    assert from_tags("sweep.y", tags) is None


def test_a_cut_text_says_so() -> None:
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdefg", 6) == "abc..."


def test_initialising_a_database_says_nothing_and_leaves_no_folder_behind(tmp_path: Path) -> None:
    code = "from trackers.connection import initialise; initialise('sqlite:///home/mlflow.db')"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    answer = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    assert (answer.stdout, answer.stderr) == ("", "")
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["mlflow.db"]
