"""What the parts of a page that can be played with are made of: a sheet of images, a template."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ASSETS = Path(__file__).resolve().parent / "assets"


def sprite_sheet(images: np.ndarray, columns: int, levels: int = 16) -> str:
    """Put images side by side into one PNG, dark ink on white, as a ``data:`` address.

    ``images`` is uint8 (n, height, width), bright ink on black; ``columns`` is the images a row,
    the last row filled up with white; ``levels`` is the shades of grey, 2 to 16: fewer make a
    smaller file. Raises ValueError if there is no image, for another dtype or shape, or ``levels``
    out of range.

    Taught in 10_where_it_fails.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 3 or len(images) == 0:
        raise ValueError(
            f"images are {images.dtype} of shape {images.shape}; expected uint8 (n, height, width)"
        )
    if not 2 <= levels <= 16:
        raise ValueError(f"levels is {levels}; expected 2 to 16")
    n, height, width = images.shape
    rows = -(-n // columns)
    sheet = np.zeros((rows * columns, height, width), np.uint8)
    sheet[:n] = images
    sheet = sheet.reshape(rows, columns, height, width).swapaxes(1, 2)
    sheet = 255 - sheet.reshape(rows * height, columns * width)
    # Sixteen shades fit four bits a pixel; as a palette, for PNG knows no grey of other depths.
    shades = np.round(sheet / 255 * (levels - 1)).astype(np.uint8)
    picture = Image.frombytes("P", shades.shape[::-1], shades.tobytes())
    picture.putpalette(
        np.repeat(np.round(np.linspace(0, 255, levels)).astype(np.uint8), 3).tobytes()
    )
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True, bits=4)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def fill_template(name: str, values: Mapping[str, Any]) -> str:
    """Fill in ``assets/name.html``: ``@KEY@`` becomes the value of ``key``, as JSON.

    Values are numbers, lists of them, and texts without quotes or ``</``; keys are in lower case.
    ``@ID@`` becomes a name that no other part of the page has.

    Taught in 10_where_it_fails.
    """
    text = (ASSETS / f"{name}.html").read_text(encoding="utf-8")
    for key, value in values.items():
        text = text.replace(f"@{key.upper()}@", json.dumps(value, separators=(",", ":")))
    return text.replace("@ID@", f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}")
