"""The parts of a page that can be played with: a quiz and a map, as HTML that loads nothing.

They work in the book, in Jupyter and on Colab. GitHub strips scripts, so chapters say beside them,
in a figure or in numbers, what they show.
"""

import base64
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from digit_utils.plots import DIGIT_COLOURS

ASSETS = Path(__file__).resolve().parent / "assets"


def quiz_html(
    images: np.ndarray, labels: np.ndarray, predicted: np.ndarray, confidence: np.ndarray
) -> str:
    """Return a quiz on images that the network read wrongly, for keys, mouse and touch.

    ``images`` is uint8 (n, 28, 28), in the order of the quiz; ``labels`` and ``predicted`` are
    digits 0 to 9, ``confidence`` is the probability of the predicted digit. Raises ValueError if
    there is no image, the lengths differ, or an answer was right. Taught in 10_where_it_fails.
    """
    _check_lengths(images, labels, predicted, confidence)
    if len(images) == 0:
        raise ValueError("there is no image to ask about; expected at least one error")
    n_correct = int(np.sum(np.asarray(labels) == np.asarray(predicted)))
    if n_correct:
        raise ValueError(f"the network was right on {n_correct} of the images; expected its errors")
    cases = [
        [int(label), int(answer), round(100 * float(sure))]
        for label, answer, sure in zip(labels, predicted, confidence, strict=True)
    ]
    return _fill_template("quiz", cases=cases, columns=10, sheet=_sprite_sheet(images, 10, 16))


def embedding_map_html(
    points: np.ndarray, images: np.ndarray, labels: np.ndarray, predicted: np.ndarray
) -> str:
    """Return a map on which a dot shows its digit, about 150 bytes an image.

    ``points`` is (n, 2), in any unit; ``images`` is uint8 (n, 28, 28), ``labels`` and
    ``predicted`` are digits 0 to 9. Raises ValueError if the lengths differ, or the points are not
    (n, 2) finite numbers. Taught in 11_looking_inside.
    """
    points = np.asarray(points, float)
    _check_lengths(points, images, labels, predicted)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise ValueError(f"points have shape {points.shape}; expected (n, 2), finite numbers")
    least, most = points.min(axis=0), points.max(axis=0)
    places = np.round(999 * (points - least) / np.maximum(most - least, 1e-9)).astype(int)
    dots = np.column_stack([places, labels, predicted]).astype(int).tolist()
    sheet = _sprite_sheet(images, 40, 8)
    return _fill_template(
        "embedding_map", dots=dots, columns=40, colours=DIGIT_COLOURS, sheet=sheet
    )


def _check_lengths(*arrays: np.ndarray) -> None:
    lengths = [len(array) for array in arrays]
    if len(set(lengths)) != 1:
        raise ValueError(f"the arrays differ in length: {lengths}; expected one entry an image")


def _sprite_sheet(images: np.ndarray, columns: int, levels: int) -> str:
    """Put images side by side into one PNG of few shades, dark ink on white, as a data address."""
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 3 or len(images) == 0:
        raise ValueError(
            f"images are {images.dtype} of shape {images.shape}; expected uint8 (n, height, width)"
        )
    n, height, width = images.shape
    rows = -(-n // columns)
    sheet = np.zeros((rows * columns, height, width), np.uint8)
    sheet[:n] = images
    sheet = sheet.reshape(rows, columns, height, width).swapaxes(1, 2)
    sheet = 255 - sheet.reshape(rows * height, columns * width)
    # Sixteen shades fit four bits a pixel; as a palette, for PNG knows no grey of other depths.
    shades = np.round(sheet / 255 * (levels - 1)).astype(np.uint8)
    picture = Image.frombytes("P", shades.shape[::-1], shades.tobytes())
    greys = np.round(np.linspace(0, 255, levels)).astype(np.uint8)
    picture.putpalette(np.repeat(greys, 3).tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True, bits=4)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _fill_template(name: str, **values: Any) -> str:
    """Fill in ``assets/name.html``: ``@KEY@`` by the value as JSON, ``@ID@`` by a unique name.

    JSON escapes no ``</``: the values are numbers and texts of our own.
    """
    text = (ASSETS / f"{name}.html").read_text(encoding="utf-8")
    for key, value in values.items():
        text = text.replace(f"@{key.upper()}@", json.dumps(value, separators=(",", ":")))
    return text.replace("@ID@", f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}")
