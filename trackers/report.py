"""Writes a report: a page for people, its tables as Markdown, LaTeX and CSV, and every trial as CSV."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from trackers.page import render
from trackers.plain_text import as_csv, as_markdown
from trackers.report_data import CellInfo, ReportData
from trackers.report_tables import report_tables
from trackers.tables import files_of

__all__ = ["CellInfo", "ReportData", "write_files", "write_report"]

TABLES = "tables"


def write_report(folder: Path, data: ReportData) -> list[Path]:
    """Writes ``report.html``, ``results.csv``, ``report.md`` and the folder ``tables``; returns all paths.

    All are composed before the first one is written, and each is written aside and renamed: no reader meets
    half a file, and no process that dies leaves one. The folder is made where it is missing.

    Raises:
        OSError: If the folder cannot be written to.
    """
    contents = {
        "report.html": render(data),
        "results.csv": as_csv(data.trials),
        "report.md": as_markdown(data),
    }
    contents |= {f"{TABLES}/{name}": text for name, text in files_of(report_tables(data)).items()}
    return write_files(folder, contents)


def write_files(folder: Path, contents: Mapping[str, str]) -> list[Path]:
    """Writes texts by their path below a folder, each aside and renamed, and returns their whole paths.

    Raises:
        OSError: If the folder cannot be written to.
    """
    return [_replace(folder / name, text) for name, text in contents.items()]


def _replace(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with aside.open("x", encoding="utf-8", errors="replace", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    return path
