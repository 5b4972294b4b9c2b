"""Pictures of where an answer comes from, in rows, and the parts of a score over its image.

Beside `plots`, whose style they share. Both return the array of axes.
"""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np

from digit_utils.plots import GREY


def show_rows(rows: Mapping[str, np.ndarray], title: str = "") -> np.ndarray:
    """Show pictures (n, height, width) row by row, each row under its name and on one scale.

    0 is white, the strongest black; where a row has values below 0, red is above and blue below.
    """
    columns = max(map(len, rows.values()))
    size = 1.05 * columns + 0.6, 1.1 * len(rows) + 0.4
    figure, axes = plt.subplots(len(rows), columns, figsize=size, squeeze=False)
    for line, (name, pictures) in zip(axes, rows.items(), strict=True):
        most = max(float(np.abs(pictures).max()), 1e-9)
        style = {"cmap": "RdBu_r", "vmin": -most} if np.min(pictures) < 0 else {"vmin": 0}
        line[0].set_ylabel(name, fontsize=10)
        for ax, picture in zip(line, pictures, strict=False):
            ax.imshow(picture, vmax=most, **style)
        for ax in line:
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set(visible=bool(ax.images), color=GREY, linewidth=0.6)
    figure.suptitle(title, fontsize=12, fontweight="bold")
    return axes


def show_parts(
    rows: Mapping[str, np.ndarray], images: np.ndarray, side: int = 8, title: str = ""
) -> np.ndarray:
    """Show images (n, 28, 28) under parts (n, rows, columns) of a sum, written into squares.

    Each row of the figure has the images and, under its name, its own parts: red above 0, blue
    below. ``side`` is that of a square in pixels; the first has the upper left corner.
    """
    size = 1.9 * len(images) + 0.6, 2.0 * len(rows) + 0.4
    figure, axes = plt.subplots(len(rows), len(images), figsize=size, squeeze=False)
    for line, (name, parts) in zip(axes, rows.items(), strict=True):
        most = max(float(np.abs(parts).max()), 1e-9)
        line[0].set_ylabel(name, fontsize=10)
        for ax, image, part in zip(line, images, parts, strict=True):
            ax.imshow(image, alpha=0.35)
            height, width = np.multiply(part.shape, side) - 0.5
            box, colours = (-0.5, width, height, -0.5), {"cmap": "RdBu_r", "alpha": 0.55}
            ax.imshow(part, extent=box, vmin=-most, vmax=most, **colours)
            for (row, column), value in np.ndenumerate(part):
                middle = side * np.array([column, row]) + (side - 1) / 2
                ax.text(
                    *middle,
                    f"{round(float(value), 1) + 0.0:+.1f}",
                    fontsize=9,
                    ha="center",
                    va="center",
                )
            ax.set(xticks=[], yticks=[], xlim=(-0.5, 27.5), ylim=(27.5, -0.5))
            ax.spines[:].set(visible=True, color=GREY, linewidth=0.6)
    figure.suptitle(title, fontsize=12, fontweight="bold")
    return axes
