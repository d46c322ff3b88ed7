"""The text of a source: what it means, and what was probably meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from cefl.data import SOURCES, parse_source
from cefl.errors import DataError


def test_there_are_sources_and_each_is_spelled_with_its_name() -> None:
    assert {"digits", "npz", "folder"} <= set(SOURCES)
    assert all(kind.spelling.split(":")[0] == name for name, kind in SOURCES.items())


def test_a_source_knows_its_absolute_path(tmp_path: Path) -> None:
    source = parse_source("npz:sub/../blobs.npz", tmp_path)
    assert source.identity == f"npz:{tmp_path / 'blobs.npz'}"
    assert source.name == "blobs"
    assert parse_source(f" folder: {tmp_path} ").identity == f"folder:{tmp_path}"
    assert parse_source("npz:~/x.npz").identity == f"npz:{Path.home() / 'x.npz'}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("digit", r"unknown data source 'digit': the sources are 'digits', .*; did you mean 'digits'\?"),
        ("Digits", r"did you mean 'digits'\?"),
        ("nzp:a.npz", r"did you mean 'npz:a\.npz'\?"),
        ("folders:photos", r"did you mean 'folder:photos'\?"),
        ("a.npz", r"did you mean 'npz:a\.npz'\?"),
        ("photos", r"did you mean 'folder:photos'\?"),
        ("quux", r"the sources are 'digits', 'cifar10', .*, 'npz:PATH', 'folder:PATH'$"),
        ("", r"unknown data source ''"),
        ("npz", r"the path is missing, write 'npz:PATH'"),
        ("folder: ", r"the path is missing, write 'folder:PATH'"),
        ("digits:8", r"'digits' takes no path, write 'digits'"),
        ("npz:~nobody-of-this-name/a.npz", r"cannot be resolved .*: write it in full"),
        ("npz:a\0b", r"cannot be resolved"),
    ],
)
def test_a_wrong_source_is_answered_with_what_was_probably_meant(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataError, match=message):
        parse_source(text, tmp_path)
