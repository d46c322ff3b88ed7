"""YAML in, plain values with lines out, and nothing that is not plain data."""

from __future__ import annotations

import pytest

from sweeps.errors import SpecError
from sweeps.spec.reading import dotted, read


def test_values_know_their_lines() -> None:
    document = read("a: 1\nb:\n  - x\n  - y: 2\n", "f.yaml")
    assert document.value == {"a": 1, "b": ["x", {"y": 2}]}
    assert document.line(("a",)) == 1
    assert document.line(("b", 1, "y")) == 4
    assert document.line(("b", 1, "missing")) == 4, "the nearest thing around it"


@pytest.mark.parametrize(
    ("text", "value"), [("1e-4", 1e-4), ("5E3", 5e3), ("-2e+1", -20.0), ("0.5", 0.5), ("3", 3)]
)
def test_numbers_in_scientific_notation_are_numbers(text: str, value: float) -> None:
    found = read(f"a: {text}", "f.yaml").value["a"]
    assert found == value
    assert not isinstance(found, str)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\na: 2\n", 2, "given twice"),
        ("a: !!python/object/apply:os.system ['true']\n", 1, "tag"),
        ("a: 1\nb: !secret x\n", 2, "tag"),
        ("a: [1, 2\n", 2, "not valid YAML"),
        ("a: 1\n---\nb: 2\n", 2, "not valid YAML"),
    ],
)
def test_what_is_not_plain_data_is_refused_with_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        read(text, "f.yaml")
    assert caught.value.problems[0].line == line
    assert words in str(caught.value)


def test_aliases_that_explode_are_refused() -> None:
    levels = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 10))
    with pytest.raises(SpecError, match="aliases"):
        read(f"l0: &l0 [x]\n{levels}\n", "f.yaml")


def test_a_path_reads_as_it_is_written() -> None:
    assert dotted(("losses", 1, "gamma", 0)) == "losses[1].gamma[0]"
