"""Imports point one way: two leaves, and one package that joins them."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAY_IMPORT = {"cefl": {"cefl"}, "trackers": {"trackers"}, "sweeps": {"sweeps", "cefl", "trackers"}}
LIBRARIES = {
    "cefl": {"torch", "torchvision", "numpy", "sklearn", "safetensors", "PIL"},
    "trackers": {
        "mlflow",
        "pandas",
        "numpy",
        "scipy",
        "statsmodels",
        "plotly",
        "jinja2",
        "sqlalchemy",
        "markupsafe",
    },
}
LIGHT = ("__future__", "collections", "pathlib", "typing")
SLOW = ("torch", "ray", "mlflow", "optuna", "pandas", "plotly", "sklearn", "scipy")
TOP_LEVEL = {"pyproject.toml", "sweeps", "cefl", "trackers", "docker", "tests", "README.md", "LICENSE"}


def python_files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """First part of the name of everything that a file imports, at any depth."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_packages_import_only_what_they_may(package: str) -> None:
    files = python_files(package)
    assert files, f"{package} has no files"
    wrong = {
        str(path.relative_to(ROOT)): sorted(forbidden)
        for path in files
        if (forbidden := imported(path) & (MAY_IMPORT.keys() - MAY_IMPORT[package]))
    }
    assert not wrong, f"{package} may import {sorted(MAY_IMPORT[package])} of ours, but: {wrong}"


@pytest.mark.parametrize("package", LIBRARIES)
def test_leaves_use_only_their_libraries(package: str) -> None:
    allowed = LIBRARIES[package] | MAY_IMPORT[package] | set(sys.stdlib_module_names)
    wrong = {
        str(path.relative_to(ROOT)): sorted(forbidden)
        for path in python_files(package)
        if (forbidden := imported(path) - allowed)
    }
    assert not wrong, f"{package} works without these: {wrong}"


def test_no_file_is_named_like_a_library_it_wraps() -> None:
    libraries = {"mlflow", "ray", "optuna", "torch", "pandas", "plotly", "numpy", "typer", "rich", "utils"}
    assert not [path for package in MAY_IMPORT for path in python_files(package) if path.stem in libraries]


@pytest.mark.parametrize(
    "module",
    [
        "cefl",
        "sweeps",
        "sweeps.cli",
        "sweeps.spec",
        "sweeps.plan",
        "cefl.data",
        "cefl.config",
        "trackers.table",
        "trackers.writer",
    ],
)
def test_light_modules_load_nothing_slow(module: str) -> None:
    code = f"import sys, {module}; print(*(name for name in {SLOW!r} if name in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


def test_the_package_cefl_imports_nothing_by_itself() -> None:
    code = "import sys, cefl; print(*(name for name in sys.modules if name.startswith('cefl.')))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []
    assert imported(ROOT / "cefl" / "__init__.py") <= {
        "__future__",
        "typing",
        "pathlib",
        "collections",
        "cefl",
    }


def test_the_top_level_is_as_agreed() -> None:
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout, so what is tracked cannot be listed")
    names = {line.split("/")[0] for line in listed.stdout.splitlines()}
    assert {name for name in names if not name.startswith(".")} <= TOP_LEVEL
