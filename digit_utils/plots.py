"""The book's figures: one style, titles and labelled axes everywhere.

Functions that draw one chart take an optional ``ax`` and return it; functions that draw a grid
return its array of axes. Colours are Okabe and Ito's, which the colour-blind can tell apart;
right and wrong are marked by a sign as well as by colour.
"""

from collections.abc import Sequence
from math import log2, sqrt
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator, PercentFormatter
from sklearn.metrics import ConfusionMatrixDisplay

BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#6e6e6e"
# Ten hues for ten digits; neighbours differ in lightness as well as in hue.
DIGIT_COLOURS = [
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9",
    "#8C510A", "#CC79A7", "#000000", "#999933", "#882255",
]  # fmt: skip
DIGITS = range(10)


def use_book_style() -> None:
    """Set fonts, grid and colours for every figure that follows, whatever a matplotlibrc says."""
    plt.rcdefaults()
    sns.set_theme(style="whitegrid", context="notebook", palette=[BLUE, ORANGE, GREEN, RED])
    plt.rcParams.update(
        {
            "figure.figsize": (7.2, 4.2),
            "figure.dpi": 110,
            "figure.facecolor": "white",
            "savefig.facecolor": "white",
            "figure.constrained_layout.use": True,
            "axes.titleweight": "bold",
            "axes.titlesize": 12,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "image.cmap": "gray_r",
        }
    )


def show_images(
    images: np.ndarray,
    titles: Sequence[str] | None = None,
    columns: int = 10,
    title: str = "",
) -> np.ndarray:
    """Show images, (n, 28, 28) or (n, 28, 28, 1) of any numeric type, in a grid; 0 is white.

    ``titles`` are one for each image, ``columns`` images a row, ``title`` is the whole figure's.
    Raises ValueError if there is no image or the number of titles differs.
    """
    images = np.squeeze(np.asarray(images), axis=-1) if np.ndim(images) == 4 else np.asarray(images)
    if images.ndim != 3 or len(images) == 0:
        raise ValueError(f"images have shape {images.shape}; expected (n, height, width), n > 0")
    if titles is not None and len(titles) != len(images):
        raise ValueError(f"{len(titles)} titles for {len(images)} images")
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    lines = [line for text in titles or [] for line in text.split("\n")]
    # A column must hold its longest caption line: about 0.075 inch a character at 9 points.
    width = max(0.8, 0.075 * max(map(len, lines), default=0) + 0.15)
    height = 0.8 + 0.17 * max((text.count("\n") + 1 for text in titles or []), default=0)
    size = max(width * columns, 0.105 * len(title)), height * rows + (0.4 if title else 0)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    for index, (ax, image) in enumerate(zip(axes.flat, images, strict=False)):
        ax.imshow(image, vmin=0, vmax=max(float(images.max()), 1e-9))
        if titles is not None:
            ax.set_title(titles[index], fontsize=9, fontweight="normal", pad=2, color="black")
    if title:
        figure.suptitle(title, fontsize=12, fontweight="bold")
    return axes


def show_predictions(
    images: np.ndarray,
    labels: np.ndarray,
    predicted: np.ndarray,
    confidence: np.ndarray | None = None,
    columns: int = 8,
    title: str = "",
) -> np.ndarray:
    """Show images with what was predicted: a green tick if right, a red cross if wrong.

    ``images`` as of `show_images`; ``labels`` and ``predicted`` are digits (n,), ``confidence``
    (n,) is the probability of the predicted class, shown in percent.
    """
    captions = []
    for index, (label, guess) in enumerate(zip(labels, predicted, strict=True)):
        sure = "" if confidence is None else f"\n{confidence[index]:.0%} sure"
        captions.append(f"✓ {guess}{sure}" if label == guess else f"✗ {guess}, is {label}{sure}")
    axes = show_images(images, captions, columns, title)
    for ax, label, guess in zip(axes.flat, labels, predicted, strict=False):
        ax.title.set(fontsize=8, color=GREEN if label == guess else RED)
    return axes


def plot_history(frame: pd.DataFrame, title: str = "") -> np.ndarray:
    """Draw accuracy and loss against the epoch, from ``history_frame``, as two Axes.

    Dashed lines are training, solid ones validation images.
    """
    figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.6), gridspec_kw={"wspace": 0.06})
    for ax, metric in zip(axes, ("accuracy", "loss"), strict=True):
        for key, name, style in ((metric, "training", "--"), (f"val_{metric}", "validation", "-")):
            if key in frame:
                ax.plot(frame.index, frame[key], style, marker="o", markersize=4, label=name)
        ax.set(title=metric.capitalize(), xlabel="Epoch")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.legend()
    axes[0].yaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
    axes[0].set_ylabel("Images classified correctly")
    axes[1].set_ylabel("Cross-entropy (nats)")
    figure.suptitle(title, fontsize=12, fontweight="bold")
    return axes


def plot_confusion(
    labels: np.ndarray, predicted: np.ndarray, ax: Axes | None = None, title: str = ""
) -> Axes:
    """Draw the confusion matrix of digits (n,); colour shows the mistakes alone.

    The diagonal holds nearly all images; a colour scale with it would show nothing else.
    """
    ax = ax or plt.subplots(figsize=(6.4, 5.8))[1]
    display = ConfusionMatrixDisplay.from_predictions(
        labels, predicted, labels=list(DIGITS), cmap="Oranges", colorbar=False, ax=ax
    )
    mistakes = display.confusion_matrix * ~np.eye(10, dtype=bool)
    display.im_.set_data(mistakes)
    display.im_.set_clim(0, max(mistakes.max(), 1))
    for (row, column), text in np.ndenumerate(display.text_):
        count = display.confusion_matrix[row, column]
        text.set_text(f"{count:,}" if count else "")
        text.set_fontsize(9)
        text.set_color(GREY if row == column else "black")
        if row != column and count > 0.6 * max(mistakes.max(), 1):
            text.set_color("white")
    ax.set(title=title or "Confusion matrix", xlabel="Predicted digit", ylabel="True digit")
    ax.grid(visible=False)
    return ax


def plot_map(
    points: np.ndarray, labels: np.ndarray, ax: Axes | None = None, title: str = ""
) -> Axes:
    """Draw points (n, 2), a dot an image, and write each digit on the median of its dots."""
    ax = ax or plt.subplots(figsize=(7.2, 6.2))[1]
    for digit in DIGITS:
        of_digit, colour = points[labels == digit], DIGIT_COLOURS[digit]
        ax.scatter(of_digit[:, 0], of_digit[:, 1], s=5, alpha=0.55, color=colour, linewidths=0)
        if len(of_digit):
            x, y = np.median(of_digit, axis=0)
            ax.text(
                x, y, str(digit), fontsize=17, fontweight="bold",
                color=colour, ha="center", va="center",
                bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1.5},
            )  # fmt: skip
    ax.set(title=title, xlabel="First coordinate (no unit)", ylabel="Second coordinate (no unit)")
    return ax


def plot_accuracies(frame: pd.DataFrame, ax: Axes | None = None, title: str = "") -> Axes:
    """Draw accuracies as dots with their intervals, one row each, first row on top.

    The index says what was measured; columns are ``accuracy``, ``low``, ``high``, 0 to 1.
    """
    ax = ax or plt.subplots(figsize=(7.2, 0.55 * len(frame) + 1.3))[1]
    rows = range(len(frame))
    below, above = frame["accuracy"] - frame["low"], frame["high"] - frame["accuracy"]
    means = frame["accuracy"]
    ax.errorbar(means, rows, xerr=[below, above], fmt="o", color=BLUE, ecolor=GREY, capsize=4)
    for row, value in enumerate(means):
        ax.annotate(
            f"{value:.2%}", (value, row), (0, 7), textcoords="offset points", ha="center",
            fontsize=9, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
        )  # fmt: skip
    ax.set_yticks(rows, frame.index)
    ax.set_ylim(len(frame) - 0.4, -0.7)
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
    ax.xaxis.set_major_locator(MaxNLocator(6))
    ax.set(title=title, xlabel="Images classified correctly (bar: 95 % interval)")
    ax.grid(axis="y", visible=False)
    return ax


_LAYERS = {
    "Conv2D": ("convolution", BLUE),
    "MaxPooling2D": ("pooling", ORANGE),
    "Dense": ("dense", GREEN),
}
_GAP = 2.4  # between boxes, in pixels of the input image


def plot_architecture(network: Any, ax: Axes | None = None, title: str = "") -> Axes:
    """Draw the layers of a sequential network from left to right.

    A box is as high as its feature maps and wider the more they are; a dense layer's height is the
    logarithm of its size. Flatten and dropout are dashed lines. The network must be built, for
    inputs (n, height, width, channels).
    """
    if not network.built:
        raise ValueError("network has no shapes yet; begin it with an Input layer, or build() it")
    ax = ax or plt.subplots(figsize=(11, 4.4))[1]
    right = _draw_box(ax, 0.0, tuple(network.input_shape[1:]), "input", GREY)
    used = {}
    for layer in network.layers:
        kind = type(layer).__name__
        if kind in ("Dropout", "Flatten"):
            text = f"dropout {layer.rate:.0%}" if kind == "Dropout" else "flatten"
            right += _GAP / 2 + 0.2
            ax.plot([right, right], [-14, 14], linestyle="--", linewidth=0.9, color=GREY)
            ax.text(right, -15.2, text, rotation=90, ha="center", va="top", fontsize=9, color=GREY)
            continue
        name, colour = _LAYERS.get(kind, (kind, GREY))
        used[name] = colour
        label = "conv {}×{}".format(*layer.kernel_size) if kind == "Conv2D" else name
        right = _draw_box(ax, right + _GAP, tuple(layer.output.shape[1:]), label, colour)
    handles = [Patch(facecolor=colour, alpha=0.75, label=name) for name, colour in used.items()]
    ax.legend(handles=handles, loc="upper right", ncols=len(handles), frameon=False)
    ax.set_axis_off()
    ax.set_xlim(-2, right + 2)
    ax.set_ylim(-24, 20)
    ax.set_title(title or f"{network.name}: {network.count_params():,} weights")
    return ax


def _draw_box(ax: Axes, left: float, shape: tuple, label: str, colour: str) -> float:
    """Draw one layer's output; return where the box ends."""
    height = shape[0] if len(shape) == 3 else 2.0 * log2(shape[-1])
    width = 0.6 + 0.28 * sqrt(shape[-1]) if len(shape) == 3 else 1.4
    box = Rectangle((left, -height / 2), width, height, facecolor=colour, edgecolor="black")
    box.set(linewidth=0.8, alpha=0.75)
    ax.add_patch(box)
    text = f"{label}   " + "×".join(str(size) for size in shape)
    ax.text(left + width / 2, -15.2, text, rotation=90, ha="center", va="top", fontsize=9)
    return left + width
