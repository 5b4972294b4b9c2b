"""Labels that may be wrong, found by cleanlab."""

from __future__ import annotations

import warnings

import numpy as np


def suspect_labels(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return the rows whose labels confident learning suspects, the most suspicious first.

    An image is suspected when its probability for another class is as high as is usual for the
    images of that class. ``labels`` are digits 0 to 9; ``probabilities`` is (n, 10) and out of
    fold: each row by a network that did not learn from that image. Rows are in rising order of the
    label's probability. Raises ModuleNotFoundError without cleanlab. Northcutt, Jiang and Chuang
    (2021), arXiv:1911.00068, as implemented in cleanlab.

    Taught in 10_where_it_fails.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its progress bar misses a widget that it will not need
        from cleanlab.filter import find_label_issues

    return find_label_issues(
        np.asarray(labels),
        np.asarray(probabilities),
        filter_by="confident_learning",
        return_indices_ranked_by="self_confidence",
        n_jobs=1,
    )
