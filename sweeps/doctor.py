"""What an installation has and lacks, with what to do about it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

from sweeps.errors import SweepError
from sweeps.home import Home

PACKAGES = ("torch", "torchvision", "ray", "optuna", "mlflow", "pandas", "plotly")
SCARCE_DISK_GB, SCARCE_MEMORY_GB = 2.0, 2.0


def examine(place: str | Path | None, uri: str | None = None) -> list[dict[str, str]]:
    """Findings as ``state`` (ok, note, problem), ``what``, ``found`` and ``next``.

    Args:
        place: Of the home, as `Home.at` takes it; of one that cannot be opened the rest is examined.
    """
    here = [python(), *packages(), *devices(), *machine()]
    try:
        home = Home.at(place)
    except SweepError as error:
        return [*here, finding("home", "cannot be opened", "problem", str(error))]
    return [*here, *folder(home), *ledger(home), *stores(home), *tracking(home, uri)]


def finding(what: str, found: str, state: str = "ok", todo: str = "") -> dict[str, str]:
    """One line of the examination."""
    return {"state": state, "what": what, "found": found, "next": todo}


def python() -> dict[str, str]:
    """The interpreter, against the versions that the package is made for."""
    version = platform.python_version()
    if (3, 11) <= sys.version_info < (3, 14):
        return finding("python", version)
    return finding("python", version, "problem", "use Python 3.11, 3.12 or 3.13")


def packages() -> list[dict[str, str]]:
    """Versions of the libraries that do the work, against what the package asks for."""
    from packaging.requirements import Requirement

    wanted = {
        requirement.name: requirement.specifier
        for text in importlib.metadata.requires("cefl-sweeps") or []
        if (requirement := Requirement(text))
    }
    lines = []
    for name in PACKAGES:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            lines.append(finding(name, "not installed", "problem", "uv sync"))
            continue
        fits = name not in wanted or wanted[name].contains(version, prereleases=True)
        lines.append(
            finding(name, version)
            if fits
            else finding(name, version, "problem", f"uv sync: it must be {wanted[name]}")
        )
    return lines


def devices() -> list[dict[str, str]]:
    """GPUs, and whether the processor computes bf16 itself."""
    import torch

    from cefl.training import resolve_precision

    lines = [
        finding(
            f"GPU {index}", f"{torch.cuda.get_device_name(index)}, {properties.total_memory / 2**30:.0f} GiB"
        )
        for index in range(torch.cuda.device_count())
        if (properties := torch.cuda.get_device_properties(index))
    ]
    if not lines:
        lines = [
            finding(
                "GPU", "none", "note", "trials run on the processor; a GPU needs a driver that CUDA finds"
            )
        ]
    precision = resolve_precision("auto", torch.device("cpu"))
    note = "" if precision == "bf16" else "precision auto means float32 here"
    return [*lines, finding("processor", f"{os.cpu_count()} cores, {precision}", "ok", note)]


def machine() -> list[dict[str, str]]:
    """Memory that is free."""
    import psutil

    free = psutil.virtual_memory().available / 2**30
    if free >= SCARCE_MEMORY_GB:
        return [finding("memory", f"{free:.1f} GiB free")]
    return [
        finding(
            "memory", f"{free:.1f} GiB free", "problem", "end other programs, or run fewer trials at a time"
        )
    ]


def folder(home: Home) -> list[dict[str, str]]:
    """Whether the home can be written, and its disk."""
    try:
        home.create()
    except SweepError as error:
        return [finding("home", str(home.root), "problem", str(error))]
    free = shutil.disk_usage(home.root).free / 2**30
    if free >= SCARCE_DISK_GB:
        return [finding("home", f"{home.root}, {free:.0f} GiB free")]
    return [
        finding("home", f"{home.root}, {free:.1f} GiB free", "problem", "make room, or choose another --home")
    ]


def ledger(home: Home) -> list[dict[str, str]]:
    """Whether a ledger that is not a file answers."""
    from sweeps.snapshot import read_ledger
    from trackers.connection import masked

    if home.ledger is None:
        return []
    try:
        count = len({row.study.partition("/")[0] for row in read_ledger(home.optuna_url, None, ("key",))})
    except SweepError as error:
        return [finding("ledger", masked(home.ledger), "problem", str(error))]
    return [finding("ledger", f"{masked(home.ledger)}, {count} sweeps of all homes")]


def stores(home: Home) -> list[dict[str, str]]:
    """Ledger and sweeps of the home; a sweep that says running without a driver was interrupted."""
    from sweeps.state import read_state

    lines = []
    for name in home.sweeps():
        try:
            state = read_state(home, name).state
            todo = f"go on: {going_on(home, name)}" if state == "interrupted" else ""
        except SweepError as error:
            lines.append(finding(f"sweep {name}", "cannot be read", "problem", str(error)))
            continue
        lines.append(finding(f"sweep {name}", state, "note" if todo else "ok", todo))
        lines.append(records(home, name, state))
    lines = lines or [finding("sweeps", "none yet", "ok", "begin with: sweeps run quickstart")]
    return [*lines, *trials(home)]


def going_on(home: Home, name: str) -> str:
    """The command that goes on with a sweep, from whatever folder: its data are named from its own file's."""
    from sweeps.state import read_state, stored_spec

    state, at = read_state(home, name), ["--home", str(home.root)]
    written = Path(state.base) / Path(state.file).name
    if not written.is_file() and Path(state.file).suffix:  # Its file is gone; a shipped one has no suffix.
        return shlex.join(["sweeps", "retry", name, *at])
    named = [] if stored_spec(home, name).spec.name == name else ["--name", name]
    return shlex.join(["sweeps", "run", str(written if written.is_file() else state.file), *named, *at])


def trials(home: Home) -> list[dict[str, str]]:
    """Folders of trials that no ledger has."""
    from sweeps.garbage import strays

    try:
        found = strays(home)
    except SweepError as error:
        return [finding("trials", "of no sweep", "problem", str(error))]
    if not found:
        return []
    count = f"{len(found)} folder{'s' if len(found) > 1 else ''} of no sweep"
    return [finding("trials", f"{count}, such as {found[0]}", "note", "sweeps gc")]


def records(home: Home, name: str, state: str) -> dict[str, str]:
    """Whether ledger, histories and MLflow say the same of a sweep."""
    from sweeps.agreement import disagreements, steps
    from sweeps.state import stored_plan
    from trackers.errors import TrackingError

    what = f"records of {name}"
    try:
        found = disagreements(home, stored_plan(home, name), ended=state != "running")
    except (SweepError, TrackingError) as error:
        return finding(what, "cannot be compared", "note", str(error))
    if not found:
        return finding(what, "ledger, histories and MLflow agree")
    todo = steps(found, name)
    count = f"{len(found)} disagreement{'s' if len(found) > 1 else ''}"
    return finding(what, f"{count}, such as {found[0].ref}: {found[0].found}", "note", "; ".join(todo))


def tracking(home: Home, uri: str | None) -> list[dict[str, str]]:
    """Whether the tracking database or server answers."""
    from trackers.connection import check
    from trackers.errors import TrackingError
    from trackers.masking import masked

    target = uri or home.tracking or (home.mlflow_uri if (home.root / "mlflow.db").exists() else None)
    if target is None:
        return [finding("tracking", "no database yet", "ok", "the first sweep makes it")]
    try:
        check(target)
    except TrackingError as error:
        return [finding("tracking", masked(target), "problem", str(error))]
    return [finding("tracking", masked(target))]


def versions() -> dict[str, Any]:
    """Versions for the provenance of a report."""
    names = ("cefl-sweeps", *PACKAGES)
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in names}}
