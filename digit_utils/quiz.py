"""A quiz in a page: read the digits that a network could not."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from digit_utils.sprites import sprite_sheet

TEMPLATE = Path(__file__).resolve().parent / "assets" / "quiz.html"
COLUMNS = 10  # images a row of the sheet


def quiz_html(
    images: np.ndarray, labels: np.ndarray, predicted: np.ndarray, confidence: np.ndarray
) -> str:
    """Return a quiz as HTML that stands alone: it loads nothing.

    It works with keys, mouse and touch, in the book, in Jupyter and on Colab. GitHub strips
    scripts, so show the images in a figure as well.

    Parameters
    ----------
    images : ndarray of uint8, (n, 28, 28)
        Read wrongly by the network, in the order of the quiz.
    labels, predicted : ndarray, (n,) of integers 0 to 9
        What the label says, and what the network said.
    confidence : ndarray, (n,) float
        The network's probability for what it said, from 0 to 1.

    Returns
    -------
    str
        For ``IPython.display.HTML``.

    Raises
    ------
    ValueError
        If there is no image, the four differ in length, or the network was right on an image.

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
    values = {
        "@ID@": "quiz-" + hashlib.sha256((sheet + str(cases)).encode()).hexdigest()[:8],
        "@CASES@": json.dumps(cases, separators=(",", ":")),
        "@COLUMNS@": str(COLUMNS),
        "@SHEET@": sheet,
    }
    text = TEMPLATE.read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace(name, value)
    return text
