"""Image data sets: any source becomes one memory-mapped cache, and every trial a split of it.

    folder = prepare("digits", Path("runs/data"))
    dataset = open_dataset(folder)
    rule = resolve_validation(None, dataset.counts["train"], imbalance=10, has_validation=False)
    trial = split(dataset, imbalance=10, order="ascending", rule=rule, seed=0)

Importing this costs no more than numpy: scikit-learn and Pillow are imported by the sources that need them.
"""

from __future__ import annotations

from cefl.data.cache import is_prepared, prepare
from cefl.data.dataset import Arrays, Dataset, open_dataset, verify
from cefl.data.describe import Description, describe
from cefl.data.raw import ArrayRaw, Job, Raw, Source
from cefl.data.rules import (
    Folds,
    Given,
    Holdout,
    NoValidation,
    Unused,
    ValidationRule,
    confirming_rule,
    resolve_validation,
    validation_rule,
)
from cefl.data.sources import SOURCES, SPELLINGS, parse_source
from cefl.data.splits import TrialSplit, split

__all__ = [
    "SOURCES",
    "SPELLINGS",
    "ArrayRaw",
    "Arrays",
    "Dataset",
    "Description",
    "Folds",
    "Given",
    "Holdout",
    "Job",
    "NoValidation",
    "Raw",
    "Source",
    "TrialSplit",
    "Unused",
    "ValidationRule",
    "confirming_rule",
    "describe",
    "is_prepared",
    "open_dataset",
    "parse_source",
    "prepare",
    "resolve_validation",
    "split",
    "validation_rule",
    "verify",
]
