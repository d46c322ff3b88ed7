"""What the functions of `sweeps` do; the commands print the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from sweeps.conductor import Conductor
from sweeps.confirming import Asked, answers
from sweeps.driver import run_sweep
from sweeps.errors import InputError
from sweeps.executors import EXECUTORS
from sweeps.home import Home
from sweeps.live import Live
from sweeps.options import Display, Options, Outcome
from sweeps.overview import sweep_status
from sweeps.results import read_results
from sweeps.spec import LoadedSpec, Spec, load_spec
from sweeps.spec.checking import check
from sweeps.spec.loading import NO_FILE
from sweeps.spec.reading import Document
from sweeps.state import stored_plan, stored_spec

AnySpec = str | Path | Mapping[str, Any] | Spec


class Silent:
    """Shows nothing."""

    def note(self, text: str) -> None:
        """Nothing."""

    def preparing(self, source: str, done: int, total: int) -> None:
        """Nothing."""

    @contextmanager
    def running(self, conductor: Conductor, slots: int) -> Iterator[None]:
        """Nothing."""
        yield

    def started(self, live: Live) -> None:
        """Nothing."""

    def row(self, live: Live, row: Mapping[str, Any]) -> None:
        """Nothing."""

    def warned(self, live: Live, text: str) -> None:
        """Nothing."""

    def ended(self, live: Live, state: str, reason: str | None, origin: str | None) -> None:
        """Nothing."""


def loaded(spec: AnySpec) -> LoadedSpec:
    """The specification in any of its forms, checked.

    Raises:
        InputError: With everything that is wrong.
    """
    if isinstance(spec, str | Path):
        return load_spec(str(spec))
    values = spec.model_dump(mode="json", exclude_unset=True) if isinstance(spec, Spec) else plain(spec)
    document = Document(values)
    checked = check(document, NO_FILE)
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    return LoadedSpec(checked, text, NO_FILE, Path.cwd(), document)


def plain(value: Any) -> Any:
    """Mappings, lists and plain values, as YAML has them.

    Raises:
        InputError: On anything else.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | range):
        return [plain(each) for each in value]
    if isinstance(value, Path):
        return str(value)
    if value is None or type(value) in (str, int, float, bool):
        return value
    raise InputError(f"{NO_FILE}: holds text, numbers, lists and mappings, but got {value!r}")


def options(
    name: str | None, executor: str, offline: bool, fresh: bool, concurrent: int | None, asks: int | None
) -> Options:
    """Options that a command would take.

    Raises:
        InputError: If there is no such executor.
    """
    if executor not in EXECUTORS:
        raise InputError(f"executor: '{executor}' is not one of {', '.join(EXECUTORS)}")
    return Options(name, executor, offline, fresh, concurrent, asks)


def run(spec: AnySpec, home: str | Path | None, chosen: Options, progress: bool) -> Outcome:
    """See `sweeps.run`."""
    given = loaded(spec)
    return run_sweep(given, Home.at(home), chosen, shown(given, progress))


def confirm(
    name: str, home: str | Path | None, chosen: Options, top: int | None, seeds: int | None, progress: bool
) -> Outcome:
    """See `sweeps.confirm`."""
    place = Home.at(home)
    given = stored_spec(place, name)
    return run_sweep(given, place, replace(chosen, confirm=Asked(top, seeds)), shown(given, progress))


def shown(given: LoadedSpec, progress: bool) -> Display:
    """Who shows how it goes."""
    if not progress:
        return Silent()
    from sweeps.display import TerminalDisplay

    return TerminalDisplay(given.spec)


def status(name: str, home: str | Path | None) -> dict[str, Any]:
    """See `sweeps.status`."""
    return sweep_status(Home.at(home), name)


def trials(name: str, home: str | Path | None) -> list[dict[str, Any]]:
    """See `sweeps.trials`."""
    place = Home.at(home)
    return [trial.as_json() for trial in read_results(place, stored_plan(place, name))]


def best(name: str, home: str | Path | None) -> list[dict[str, Any]]:
    """See `sweeps.best`."""
    place = Home.at(home)
    built = stored_plan(place, name)
    return [each.as_json() for each in answers(place, built, read_results(place, built, histories=False))]


def compare(
    first: str, second: str, metric: str | None, split: str | None, home: str | Path | None
) -> dict[str, Any]:
    """See `sweeps.compare`."""
    from sweeps import comparing

    return comparing.compare(Home.at(home), first, second, metric, split).as_json()


def export(
    name: str, cell: str | None, seed: int | None, out: str | Path | None, force: bool,
    home: str | Path | None,
) -> dict[str, Any]:  # fmt: skip
    """See `sweeps.export`."""
    from sweeps import exporting

    folder = None if out is None else Path(out)
    return exporting.export(Home.at(home), name, cell, seed, folder, force).as_json()
