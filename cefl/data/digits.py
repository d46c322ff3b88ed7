"""The source ``digits``: 1,797 real handwritten digits of 8x8 pixels that come with scikit-learn.

E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata

import numpy as np

from cefl.data.raw import ArrayRaw, Progress

LEVELS = 16
"""The largest pixel value in scikit-learn's copy."""


@dataclass(frozen=True)
class DigitsSource:
    """The embedded default: needs neither network nor files. It has no test split of its own."""

    identity: str = "digits"
    name: str = "digits"

    def is_there(self) -> bool:
        return True

    def fingerprint(self) -> str:
        return f"scikit-learn {metadata.version('scikit-learn')}"

    def read(self, skip_corrupt: bool = False, progress: Progress | None = None) -> ArrayRaw:
        from sklearn.datasets import load_digits  # takes a second: only when it is needed

        data = load_digits()
        levels = data.images.astype(np.int64)
        # round(level * 255 / 16) in whole numbers, so that every machine gets the same bytes
        pixels = ((levels * 255 + LEVELS // 2) // LEVELS).astype(np.uint8)
        return ArrayRaw(
            classes=tuple(str(name) for name in data.target_names),
            images={"train": pixels[..., np.newaxis]},
            labels={"train": data.target.astype(np.int64)},
        )
