"""Several networks voting as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def average_probabilities(members: Sequence[np.ndarray]) -> np.ndarray:
    """Average the probabilities several networks give to the same images.

    Each member is float (n_images, n_classes), rows in the same order; the mean is float64. Raises
    ValueError if there is no member, shapes differ, or rows are not probabilities.
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


def predict_with_tta(network: Any, images: np.ndarray, batch_size: int = 1000) -> np.ndarray:
    """Average a network's probabilities over an image and its copies moved by one pixel.

    Five copies: as it is, and one pixel to the left, to the right, up and down. This is *test-time
    augmentation*: the network has learned from moved digits, and what it says of each copy is wrong
    in its own way. ``images`` is float (n, height, width, 1) with a background of 0, as
    `preparation.prepare_images` makes them; returns float64 (n, n_classes). Raises ValueError if
    the network's output is not probabilities. Taught in 06_final_model.
    """
    height, width = images.shape[1:3]
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return average_probabilities(
        [
            network.predict(
                padded[:, top : top + height, left : left + width],
                batch_size=batch_size,
                verbose=0,
            )
            for top, left in ((1, 1), (1, 0), (1, 2), (0, 1), (2, 1))
        ]
    )
