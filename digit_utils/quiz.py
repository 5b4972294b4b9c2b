"""A quiz in a page: read the digits that a network could not."""

from __future__ import annotations

import numpy as np

from digit_utils.page_parts import fill_template, sprite_sheet

COLUMNS = 10  # images a row of the sheet


def quiz_html(
    images: np.ndarray, labels: np.ndarray, predicted: np.ndarray, confidence: np.ndarray
) -> str:
    """Return a quiz on images the network read wrongly, as HTML that loads nothing.

    It works with keys, mouse and touch, in the book, in Jupyter and on Colab. GitHub strips
    scripts, so show the images in a figure as well. ``images`` is uint8 (n, 28, 28), in the order
    of the quiz; ``labels`` and ``predicted`` are digits 0 to 9, ``confidence`` is the network's
    probability for what it said, 0 to 1. Raises ValueError if there is no image, the lengths
    differ, or the network was right on an image.

    Taught in 10_where_it_fails.
    """
    lengths = {len(images), len(labels), len(predicted), len(confidence)}
    if len(lengths) != 1:
        raise ValueError(f"images, labels, predicted and confidence differ in length: {lengths}")
    if len(images) == 0:
        raise ValueError("there is no image to ask about; expected at least one error")
    right = int(np.sum(np.asarray(labels) == np.asarray(predicted)))
    if right:
        raise ValueError(f"the network was right on {right} of the images; expected its errors")
    cases = [
        [int(label), int(said), round(100 * float(sure))]
        for label, said, sure in zip(labels, predicted, confidence, strict=True)
    ]
    sheet = sprite_sheet(images, COLUMNS)
    return fill_template("quiz", {"cases": cases, "columns": COLUMNS, "sheet": sheet})
