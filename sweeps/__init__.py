"""Sweeps from Python: each function gives what the command of its name shows.

    import sweeps

    outcome = sweeps.run({"name": "mine", "data": "digits", "depth": 8, "losses": ["cross_entropy", "cefl"]})
    for cell in sweeps.best("mine"):
        print(cell["dataset"], cell["loss"], cell["params"], cell["mean"])

Importing this loads nothing slow. What is wrong is raised as a `sweeps.errors.SweepError`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweeps.options import Outcome
    from sweeps.spec import Spec

__all__ = ["best", "compare", "confirm", "export", "run", "status", "trials"]


def run(
    spec: str | Path | Mapping[str, Any] | Spec,
    *,
    home: str | Path | None = None,
    name: str | None = None,
    executor: str = "ray",
    concurrent: int | None = None,
    fresh: bool = False,
    offline: bool = False,
    asks: int | None = None,
    progress: bool = True,
) -> Outcome:
    """Run a sweep, or go on with it, and write its report.

    Args:
        spec: A YAML file, the name of a shipped specification, or the same values as a mapping or a `Spec`;
            relative paths in the last two start at the current folder.
        home: Folder of databases, trials and reports; by default SWEEPS_HOME, else ``./runs``.
        name: Of the sweep, instead of the specification's.
        executor: ``ray``, or ``inline``: in this process.
        concurrent: Most trials at a time.
        fresh: Train what is complete once more, beside it, and compare.
        offline: Start although the tracking server does not answer.
        asks: Ask every study so many times more than it was so far.
        progress: Show on standard error what happens.

    Returns:
        How it ended: ``state``, ``exit_code`` (0: all done), ``report``, ``trained``.

    Raises:
        SweepError: If it cannot start; nothing is written then.
    """
    from sweeps import library

    return library.run(
        spec, home, library.options(name, executor, offline, fresh, concurrent, asks), progress
    )


def confirm(
    name: str,
    *,
    top: int | None = None,
    seeds: int | None = None,
    home: str | Path | None = None,
    executor: str = "ray",
    concurrent: int | None = None,
    offline: bool = False,
    progress: bool = True,
) -> Outcome:
    """Train the leading arms of a finished search and cross-entropy again, with seeds of their own.

    Args:
        top: Arms of each cell beside cross-entropy; by default the specification's, else 3.
        seeds: How many in all, by default the specification's, else 5; more than there are adds the rest.
        home, executor, concurrent, offline, progress: As of `run`.

    Returns:
        How it ended, as `run` does.

    Raises:
        SweepError: If there is nothing to confirm yet, or what is fixed would change.
    """
    from sweeps import library

    chosen = library.options(name, executor, offline, False, concurrent, None)
    return library.confirm(name, home, chosen, top, seeds, progress)


def status(name: str, *, home: str | Path | None = None) -> dict[str, Any]:
    """How far a sweep is: ``name``, ``state``, ``trials`` by state, ``cells``."""
    from sweeps import library

    return library.status(name, home)


def trials(name: str, *, home: str | Path | None = None) -> list[dict[str, Any]]:
    """Every trial of a sweep: ``key``, ``state``, ``loss``, ``params``, ``seed``, ``metrics`` and more."""
    from sweeps import library

    return library.trials(name, home)


def best(name: str, *, home: str | Path | None = None) -> list[dict[str, Any]]:
    """The best arm of every cell: ``dataset``, ``loss``, ``params``, ``mean``, ``n``, ``baseline``, ..."""
    from sweeps import library

    return library.best(name, home)


def compare(
    first: str,
    second: str,
    *,
    metric: str | None = None,
    split: str | None = None,
    home: str | Path | None = None,
) -> dict[str, Any]:
    """Two sweeps by their names, or two arms as ``NAME:ARM``, side by side, cell by cell.

    Args:
        metric: By default the one that the first sweep chooses by.
        split: Likewise; ``test`` where all that is compared was confirmed.

    Raises:
        SweepError: If there is no such sweep, metric or split, or nothing that both have.
    """
    from sweeps import library

    return library.compare(first, second, metric, split, home)


def export(
    name: str,
    *,
    cell: str | None = None,
    seed: int | None = None,
    out: str | Path | None = None,
    force: bool = False,
    home: str | Path | None = None,
) -> dict[str, Any]:
    """Write the best model of a cell into a folder that `cefl.load` reads, with its card and ``best.yaml``.

    Args:
        cell: Which one; may be left out where there is one alone.
        seed: Whose weights; by default those with the highest score of the arm.
        out: Folder to make, by default ``NAME-CELL``.
        force: Replace a folder that is there.

    Returns:
        ``folder``, ``files``, and which trial it is.
    """
    from sweeps import library

    return library.export(name, cell, seed, out, force, home)
