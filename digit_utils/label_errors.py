"""Labels that may be wrong, found by cleanlab."""

from __future__ import annotations

import warnings

import numpy as np


def suspect_labels(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return which images confident learning suspects, the most suspicious first.

    An image is suspected when its probability for another class is as high as is usual for the
    images of that other class.

    Parameters
    ----------
    labels : ndarray, (n,) of integers 0 to 9
    probabilities : ndarray, (n, 10) float
        Out of fold: each row by a network that did not learn from that image.

    Returns
    -------
    ndarray of integers
        Row numbers; their order is that of the probability of the label, rising.

    Raises
    ------
    ModuleNotFoundError
        If cleanlab is not installed.

    Northcutt, Jiang and Chuang (2021), arXiv:1911.00068, as implemented in cleanlab. Taught in
    10_where_it_fails.
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
