"""What a data set looks like: sample images and images by class, as a PNG and as one HTML page."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from cefl import data
from cefl.data import Dataset, TrialSplit
from cefl.data.sheet import draw_sheet
from sweeps.data_sets import SHEETS, check_order
from sweeps.files import write_text
from sweeps.home import Home
from trackers.data_page import DataPage, Distribution, render_data

PAGE, SHEET = "data.html", "samples.png"


def show(
    home: Home,
    dataset: Dataset,
    imbalance: float | None,
    order: str,
    seed: int,
    columns: int,
    out: Path | None,
) -> list[Path]:
    """Write page and sheet of a data set.

    Args:
        imbalance: Show also the long tail that a trial with this ratio would train on.
        order: Of the classes, with an imbalance.
        seed: Of the images shown, and of the trial.
        columns: Images of each class.
        out: Folder to write to, by default one below the home.

    Returns:
        The page and the sheet.

    Raises:
        CeflError: If the data cannot be that imbalanced.
        InputError: If there is no such order.
    """
    check_order(order)
    counts = dataset.counts
    distributions = [
        Distribution("Images by class", counts["train"], counts.get("val", ()), counts["test"]),
    ]
    shown, caption = np.arange(len(dataset.train)), "Random training images"
    folder = dataset.folder.name
    if imbalance is not None:
        trial = tail(dataset, imbalance, order, seed)
        heading = f"With imbalance {imbalance:g}, {order}, seed {seed}"
        only = [dataset.classes[index] for index in trial.train_only]
        distributions.append(
            Distribution(heading, trial.train_counts, trial.validation_counts, counts["test"], only)
        )
        shown, caption = (
            trial.train,
            f"Random images that a trial {heading[0].lower()}{heading[1:]} trains on",
        )
        folder += f"-rho{imbalance:g}" + ("" if order == "ascending" else f"-{order}")
    sheet = draw_sheet(dataset.train, shown, dataset.classes, columns, seed)
    page = DataPage(
        title=dataset.name,
        facts=facts(dataset),
        notes=dataset.notes,
        classes=dataset.classes,
        distributions=distributions,
        sheet=sheet,
        sheet_caption=f"{caption}; beside each class how many there are.",
    )
    target = out or home.root / SHEETS / folder
    write_text(target / PAGE, render_data(page))
    write_bytes(target / SHEET, sheet)
    return [target / PAGE, target / SHEET]


def tail(dataset: Dataset, imbalance: float, order: str, seed: int) -> TrialSplit:
    """What a trial would train and validate on, by the default rule."""
    rule = data.resolve_validation(None, dataset.counts["train"], imbalance, dataset.validation is not None)
    return data.split(dataset, imbalance, order, rule, seed)


def facts(dataset: Dataset) -> dict[str, str]:
    """What the page says at its head."""
    height, width, channels = dataset.image_shape
    images = ", ".join(f"{sum(each):,} {split}" for split, each in dataset.counts.items())
    return {
        "source": dataset.source,
        "images": images,
        "classes": str(dataset.num_classes),
        "size": f"{width}x{height} pixels, {channels} channel{'s' if channels > 1 else ''}",
        "test split": dataset.test_rule,
        "SHA-256": dataset.digest,
    }


def write_bytes(path: Path, content: bytes) -> None:
    """Write aside and rename."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    aside.write_bytes(content)
    aside.replace(path)
