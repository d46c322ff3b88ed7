"""YAML and JSON from strangers: one message, in little time, and nothing of it is run."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cefl
from cefl import plain_json
from cefl.data.annotation import read_annotation
from cefl.data.dataset import read_meta
from cefl.errors import DataError, ModelError
from sweeps.errors import EnvironmentProblem, InputError, SpecError
from sweeps.files import read_json
from sweeps.home import Home
from sweeps.protocol import FILE, read_confirming
from sweeps.repeating import EXPECTED, read_expected
from sweeps.spec import load_spec
from sweeps.spec.reading import LONGEST_NUMBER, MOST_CHARACTERS, read

TOO_DEEP = "[" * 100_000
LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{below}: &{below} [{', '.join([f'*{above}'] * 9)}]\n"
    for above, below in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LAUGHS, "aliases"),
        ("a: &a [*a]", "not valid YAML"),
        ("a: " + "[" * 3000, "brackets"),
        ("a: " + "{b: " * 3000, "brackets"),
        ("".join(" " * depth + "a:\n" for depth in range(500)), "not valid YAML"),
        ("a: 1" + ":59" * 20_000, f"more than {LONGEST_NUMBER:,} characters"),
        ("a: 1" + ":59" * 300 + ".5", "cannot be read as float"),
        ("a: " + "9" * 20_000, f"more than {LONGEST_NUMBER:,} characters"),
        ("a: " + "x" * MOST_CHARACTERS, "at most"),
        ("a: !!bool maybe", "cannot be read as bool"),
        ("a: !!timestamp soon", "cannot be read as timestamp"),
        ("a: !!int ''", "cannot be read as int"),
        ("a: !!binary 'x%'", "cannot be read as binary"),
        ("a: &a {b: 1}\nc: {<<: *a}", "merge"),
        ("a: !!python/name:os.system ''", "tag"),
        ("a: !!python/object/new:os.system [id]", "tag"),
        ("a: 1\nb: {c: 1, c: 2}", "given twice"),
        ("1: a\n'1': b", "given twice"),
        ("a: \x00", "not valid YAML"),
    ],
)
def test_yaml_that_explodes_lies_or_names_code_is_refused_at_once(text: str, words: str) -> None:
    begin = time.process_time()
    with pytest.raises(SpecError, match=words):
        read(text, "hostile.yaml")
    assert time.process_time() - begin < 5


@settings(max_examples=100, deadline=None)
@given(st.text(st.sampled_from(" \n-:[]{}&*!|>'\"#%@`,?ax19.e~<=")) | st.text())
def test_whatever_a_file_holds_it_is_read_or_refused_with_a_message(text: str) -> None:
    try:
        read(text, "any.yaml")
    except SpecError as error:
        told = str(error)
    else:
        told = "any.yaml"
    assert told.startswith("any.yaml")


def test_a_file_without_end_is_refused_as_a_long_one(tmp_path: Path) -> None:
    path = tmp_path / "long.yaml"
    with path.open("wb") as file:
        file.truncate(1 << 33)  # A hole of 8 GiB: it is not read to its end.
    with pytest.raises(SpecError, match="at most"):
        load_spec(str(path))


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', '[{"b": {"c": 1, "c": 1}}]', TOO_DEEP])
def test_json_that_means_two_things_is_refused_wherever_it_lies(tmp_path: Path, text: str) -> None:
    for name in ("value.json", "model.json", "meta.json"):
        (tmp_path / name).write_text(text)
    with pytest.raises(plain_json.AmbiguousJson):
        plain_json.parse(text)
    with pytest.raises(InputError, match=r"value\.json"):
        read_json(tmp_path / "value.json")
    with pytest.raises(ModelError, match=r"model\.json"):
        cefl.load(tmp_path)
    with pytest.raises(DataError, match=r"meta\.json"):
        read_meta(tmp_path)
    with pytest.raises(DataError, match="is no JSON"):
        read_annotation(tmp_path / "value.json", 61)


def test_json_of_no_ordinary_size_or_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    path.write_text("[" + " " * 100 + "]")
    assert plain_json.read(path) == []
    with pytest.raises(plain_json.AmbiguousJson, match="at most 50 bytes"):
        plain_json.read(path, 50)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(OSError, match="no ordinary file"):
        plain_json.read(path)
    with pytest.raises(EnvironmentProblem, match="no ordinary file"):
        read_json(path)


NO_ARMS = {"cells": {"c": {"arms": [1]}}, "seeds": []}
STRANGE = [[], {}, {"cells": 1, "seeds": []}, NO_ARMS, "x", {"cells": {}}]


@pytest.mark.parametrize("value", STRANGE)
def test_a_confirmation_that_is_not_what_was_written_begins_no_other(tmp_path: Path, value: Any) -> None:
    home = Home(tmp_path)
    path = home.sweep("mine") / FILE
    path.parent.mkdir(parents=True)
    assert read_confirming(home, "mine") is None
    path.write_text(json.dumps(value))
    with pytest.raises(InputError, match=r"confirmation\.json: is damaged"):
        read_confirming(home, "mine")
    path.write_text(json.dumps(value)[:-1] + "torn")
    with pytest.raises(InputError, match=r"confirmation\.json: is damaged"):
        read_confirming(home, "mine")


@pytest.mark.parametrize("trials", [None, [1], [{"key": []}], {"a": 1}, "x"])
def test_expectations_of_a_stranger_are_refused_in_words(tmp_path: Path, trials: Any) -> None:
    (tmp_path / EXPECTED).write_text(json.dumps({"format": 1, "trials": trials}))
    with pytest.raises(InputError, match=r"expected\.json: is not what"):
        read_expected(tmp_path / EXPECTED)
