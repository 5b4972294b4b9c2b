"""Average what several networks predict, or one network of several views of an image."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def average_probabilities(members: Sequence[np.ndarray]) -> np.ndarray:
    """Average the probabilities several networks give to the same images, in float64.

    Each member is float (n_images, n_classes). Raises ValueError if there is no member, shapes
    differ, or rows are not probabilities. Taught in 06_final_model.
    """
    shapes = {np.shape(member) for member in members}
    if len(shapes) != 1 or len(next(iter(shapes))) != 2:
        raise ValueError(
            f"members have shapes {sorted(shapes)}; expected one shape (n_images, n_classes)"
        )
    for index, member in enumerate(members):
        if not np.allclose(np.sum(member, axis=1), 1.0, atol=1e-3) or np.any(np.less(member, 0)):
            raise ValueError(
                f"rows of member {index} are not probabilities: they do not sum to 1, or go below "
                "0; expected the output of a softmax, not logits"
            )
    return np.mean(np.asarray(members, dtype=np.float64), axis=0)


def predict_with_tta(network: Any, images: np.ndarray) -> np.ndarray:
    """Average a network's probabilities over an image and its copies moved by one pixel.

    This is *test-time augmentation*: five copies, as it is, and one pixel to the left, to the
    right, up and down. ``images`` is float (n, height, width, 1) with a background of 0; returns
    float64 (n, n_classes). Raises ValueError if the network's output is not probabilities.
    Taught in 06_final_model.
    """
    height, width = images.shape[1:3]
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    views = [
        padded[:, top : top + height, left : left + width]
        for top, left in ((1, 1), (1, 0), (1, 2), (0, 1), (2, 1))
    ]
    return average_probabilities(
        [network.predict(view, batch_size=1000, verbose=0) for view in views]
    )
