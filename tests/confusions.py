"""A confusion matrix for counts by class, as a paper prints them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def matrix_of_counts(hits: ArrayLike, predicted: ArrayLike, support: ArrayLike) -> NDArray[np.int64]:
    """A matrix ``(C, C)`` with this diagonal and these sums of columns and rows; rows are the true classes.

    Which class is taken for which is free.
    """
    matrix = np.diag(np.asarray(hits, dtype=np.int64))
    missed, wrong = np.asarray(support) - np.asarray(hits), np.asarray(predicted) - np.asarray(hits)
    while missed.any():  # Always the class with most left to place, or it could be left with itself alone.
        tight = int(np.argmax(missed + wrong))
        others = np.arange(len(missed)) != tight
        if missed[tight]:
            source, sink = tight, int(np.argmax(np.where(others, wrong, -1)))
        else:
            source, sink = int(np.argmax(np.where(others, missed, -1))), tight
        matrix[source, sink] += 1
        missed[source] -= 1
        wrong[sink] -= 1
    assert not wrong.any()
    return matrix
