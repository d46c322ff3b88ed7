"""YAML to plain values that know their lines; anything that is not plain data is refused."""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import yaml

from sweeps.errors import Problem, SpecError

Path = tuple[str | int, ...]
MOST_NODES = 100_000  # Aliases are expanded: a few nested ones can stand for billions of values.
MOST_CHARACTERS = 250_000  # PyYAML reads 50,000 to 500,000 in a second.
LONGEST_NUMBER = 1_000
DEEPEST = 30
NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:timestamp")


class Loader(yaml.SafeLoader):
    """YAML 1.1 as `yaml.SafeLoader` reads it, but ``1e-4`` is a number, as in YAML 1.2."""

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        """Numbers have a length: a long one to the base of 60, ``1:00:00...``, takes minutes to compute."""
        if node.tag in NUMBERS and len(node.value) > LONGEST_NUMBER:
            raise ValueError(f"it has more than {LONGEST_NUMBER:,} characters")
        return super().construct_scalar(node)

    def fetch_flow_collection_start(self, TokenClass: Any) -> None:
        """Lists in lists have an end: PyYAML looks at every bracket that is open, at each one anew."""
        if self.flow_level >= DEEPEST:
            raise yaml.MarkedYAMLError(
                problem=f"more than {DEEPEST} brackets within each other", problem_mark=self.get_mark()
            )
        super().fetch_flow_collection_start(TokenClass)


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9]+)[eE][-+]?[0-9]+$"),
    list("-+0123456789."),
)


@dataclass
class Document:
    """Plain values of a file, and the line (from 1) of every key and item by its path."""

    value: Any
    lines: dict[Path, int] = field(default_factory=dict)

    def at(self, path: Path) -> Any:
        """The value at a path, ``None`` where there is none."""
        value = self.value
        for part in path:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def line(self, path: Path) -> int | None:
        """Line of the path, or of the nearest thing around it."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return None


def read(text: str, file: str) -> Document:
    """Parse one document.

    Raises:
        SpecError: On a syntax error, a key given twice, a tag, or more than `MOST_NODES` values.
    """
    if len(text) > MOST_CHARACTERS:
        raise SpecError(
            file, [Problem("", f"a specification has at most {MOST_CHARACTERS:,} characters, this has more")]
        )
    try:
        loader = Loader(text)
        node = loader.get_single_node()
        reader = _Reader(loader, file)
        value = None if node is None else reader.plain(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        message = f"not valid YAML: {error.problem or error.context}"
        raise SpecError(file, [Problem("", message, mark.line + 1 if mark else None)]) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise SpecError(file, [Problem("", f"not valid YAML: {error}")]) from None
    if reader.problems:
        raise SpecError(file, reader.problems)
    return Document(value, reader.lines)


class _Reader:
    def __init__(self, loader: Loader, file: str) -> None:
        self.loader, self.file = loader, file
        self.lines: dict[Path, int] = {}
        self.problems: list[Problem] = []
        self.nodes = 0

    def plain(self, node: yaml.Node, path: Path) -> Any:
        self.nodes += 1
        line = node.start_mark.line + 1
        if not node.tag.startswith("tag:yaml.org,2002:") or node.tag.startswith("tag:yaml.org,2002:python"):
            self.problems.append(
                Problem(dotted(path), f"the tag {node.tag} is not allowed; write a plain value", line)
            )
            return None
        if self.nodes > MOST_NODES:
            raise SpecError(
                self.file, [Problem("", f"more than {MOST_NODES:,} values; are aliases nested?", line)]
            )
        self.lines.setdefault(path, line)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.plain(item, (*path, index)) for index, item in enumerate(node.value)]
        try:
            return self.loader.construct_object(node)
        except Exception as error:  # PyYAML trusts tags: `!!bool x` is a KeyError, `1:00:...` an overflow.
            kind = node.tag.rpartition(":")[2]
            told = f": {error}" if isinstance(error, ValueError) else ""
            self.problems.append(Problem(dotted(path), f"cannot be read as {kind}{told}", line))
            return None

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[Hashable, Any]:
        values: dict[Hashable, Any] = {}
        for key_node, value_node in node.value:
            key = self.plain(key_node, (*path, "<key>"))
            line = key_node.start_mark.line + 1
            if not isinstance(key, str | int | float):
                self.problems.append(Problem(dotted(path), "a key must be text", line))
                continue
            here = (*path, str(key))
            if str(key) in values:
                self.problems.append(Problem(dotted(here), "this key is given twice; keep one", line))
                continue
            self.lines[here] = line
            values[str(key)] = self.plain(value_node, here)
        return values


def dotted(path: Path) -> str:
    """``losses[1].gamma`` for ``("losses", 1, "gamma")``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
