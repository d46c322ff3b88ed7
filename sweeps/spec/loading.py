"""Finding a specification: a file, or one that is shipped."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from sweeps.errors import InputError, Problem, SpecError
from sweeps.spec.checking import check
from sweeps.spec.finding import did_you_mean
from sweeps.spec.model import Spec
from sweeps.spec.reading import MOST_CHARACTERS, Document, dotted, read
from sweeps.spec.reading import Path as Place
from trackers.masking import open_address

NO_FILE = "specification"
"""What messages call values that were given in Python."""


@dataclass(frozen=True)
class LoadedSpec:
    """A checked specification, its text, and the folder that its relative paths start at."""

    spec: Spec
    text: str
    file: str
    base: Path
    document: Document

    @property
    def shareable(self) -> str:
        """The text without the password of an address in it, for all who may read what a sweep writes."""
        return open_address(self.text)

    def problem(self, place: Place, message: str) -> Problem:
        """A problem that came to light with the data, with the line that it stands on."""
        return Problem(dotted(place), message, self.document.line(place))


def shipped_specs() -> dict[str, Path]:
    """Names and files of the specifications that come with the package."""
    folder = Path(str(resources.files("sweeps"))) / "specs"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_spec(name_or_path: str) -> LoadedSpec:
    """Read a specification from a YAML file, or a shipped one by its name.

    Raises:
        InputError: If there is none, or it cannot be read; `SpecError` if something in it is wrong.
    """
    path = Path(name_or_path)
    shipped = shipped_specs()
    if not path.exists() and name_or_path in shipped:
        path = shipped[name_or_path]
        return load_text(path.read_text(encoding="utf-8"), name_or_path, Path.cwd())
    if not path.is_file():
        hint = did_you_mean(name_or_path, shipped)
        raise InputError(
            f"{name_or_path}: there is no such file, and no shipped specification of that name{hint};"
            f" shipped are {', '.join(shipped)}; `sweeps init digits` writes one to start from"
        )
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MOST_CHARACTERS + 1)  # However large it is: more than that is refused.
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    return load_text(text, name_or_path, path.resolve().parent)


def load_text(text: str, file: str, base: Path) -> LoadedSpec:
    """Check the text of a specification; ``file`` is what messages call it."""
    document = read(text, file)
    loaded = LoadedSpec(check(document, file), text, file, base, document)
    uri = loaded.spec.tracking.uri
    if uri is not None and open_address(uri) != uri and uri not in text:
        told = (
            "an address with a password must stand in one piece, without escapes, so that it can be left out"
        )
        raise SpecError(file, [loaded.problem(("tracking", "uri"), told)])
    return loaded
