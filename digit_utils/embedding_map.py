"""A map of digits in a page: point at a dot, and see the digit."""

from __future__ import annotations

import numpy as np

from digit_utils.page_parts import fill_template, sprite_sheet
from digit_utils.plots import DIGIT_COLOURS

COLUMNS = 40  # images a row of the sheet


def embedding_map_html(
    points: np.ndarray, images: np.ndarray, labels: np.ndarray, predicted: np.ndarray
) -> str:
    """Return a map as HTML that loads nothing, about 150 bytes an image.

    GitHub strips scripts, so draw the map as a figure as well. ``points`` is (n, 2), in any unit;
    ``images`` is uint8 (n, 28, 28), ``labels`` and ``predicted`` digits 0 to 9. Raises ValueError
    if the lengths differ, or the points are not (n, 2) finite numbers.

    Taught in 11_looking_inside.
    """
    points = np.asarray(points, float)
    lengths = {len(points), len(images), len(labels), len(predicted)}
    if len(lengths) != 1:
        raise ValueError(f"points, images, labels and predicted differ in length: {lengths}")
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise ValueError(f"points have shape {points.shape}; expected (n, 2), finite numbers")
    least, most = points.min(axis=0), points.max(axis=0)
    places = np.round(999 * (points - least) / np.maximum(most - least, 1e-9)).astype(int)
    dots = np.column_stack([places, labels, predicted]).astype(int).tolist()
    values = {"dots": dots, "columns": COLUMNS, "colours": DIGIT_COLOURS}
    sheet = sprite_sheet(images, COLUMNS, levels=8)
    return fill_template("embedding_map", {**values, "sheet": sheet})
