"""Several networks voting as one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def average_probabilities(members: Sequence[np.ndarray]) -> np.ndarray:
    """Average the probabilities several networks give to the same images.

    Parameters
    ----------
    members : sequence of ndarray, each (n_images, n_classes) float
        One array of probabilities a network, rows in the same order.

    Returns
    -------
    ndarray, (n_images, n_classes) float64
        The mean; each row still sums to one.

    Raises
    ------
    ValueError
        If there is no member, shapes differ, or rows are not probabilities.

    Taught in 06_final_model.
    """
    if len(members) == 0:
        raise ValueError("no predictions to average; expected one array a network")
    shapes = {np.shape(member) for member in members}
    if len(shapes) != 1 or len(next(iter(shapes))) != 2:
        raise ValueError(
            f"members have shapes {sorted(shapes)}; expected one shape (n_images, n_classes)"
        )
    for index, member in enumerate(members):
        sums = np.sum(member, axis=1)
        if not np.allclose(sums, 1.0, atol=1e-3) or np.any(np.less(member, 0)):
            raise ValueError(
                f"rows of member {index} are not probabilities: they do not sum to 1, or go below "
                "0; expected the output of a softmax, not logits"
            )
    return np.mean(np.asarray(members, dtype=np.float64), axis=0)
