"""Draw a network as a row of boxes, with nothing but matplotlib."""

from __future__ import annotations

from math import log2, sqrt

import keras
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle

from digit_utils.plots import BLUE, GREEN, GREY, ORANGE

_KINDS = {
    "Conv2D": ("convolution", BLUE),
    "MaxPooling2D": ("pooling", ORANGE),
    "Dense": ("dense", GREEN),
}
_GAP = 2.4  # between boxes, in pixels of the input image


def plot_architecture(network: keras.Sequential, ax: Axes | None = None, title: str = "") -> Axes:
    """Draw the layers of a sequential network from left to right.

    A box is as high as its feature maps and wider the more they are; a dense layer's height is the
    logarithm of its size. Flatten and dropout are dashed lines. The input is (n, height, width,
    channels). Raises ValueError if the network is not sequential or not built.
    Taught in 06_final_model.
    """
    if not isinstance(network, keras.Sequential):
        raise ValueError(f"network is a {type(network).__name__}; expected a keras.Sequential")
    if not network.built:
        raise ValueError("network has no shapes yet; begin it with an Input layer, or build() it")
    ax = ax or plt.subplots(figsize=(11, 4.4))[1]
    right = _draw_box(ax, 0.0, tuple(network.input_shape[1:]), "input", GREY)
    used = {}
    for layer in network.layers:
        shape = tuple(layer.output.shape[1:])
        kind = type(layer).__name__
        if kind in ("Dropout", "Flatten"):
            text = f"dropout {layer.rate:.0%}" if kind == "Dropout" else "flatten"
            right = _draw_line(ax, right, text)
            continue
        name, colour = _KINDS.get(kind, (kind, GREY))
        used[name] = colour
        label = "conv {}×{}".format(*layer.kernel_size) if kind == "Conv2D" else name
        right = _draw_box(ax, right + _GAP, shape, label, colour)
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
    ax.add_patch(
        Rectangle(
            (left, -height / 2), width, height, facecolor=colour, edgecolor="black",
            linewidth=0.8, alpha=0.75,
        )
    )  # fmt: skip
    text = f"{label}   " + "×".join(str(size) for size in shape)
    ax.text(left + width / 2, -15.2, text, rotation=90, ha="center", va="top", fontsize=9)
    return left + width


def _draw_line(ax: Axes, left: float, text: str) -> float:
    """Draw a layer that makes no new values as a dashed line; return where it ends."""
    place = left + _GAP / 2 + 0.2
    ax.plot([place, place], [-14, 14], linestyle="--", linewidth=0.9, color=GREY)
    ax.text(place, -15.2, text, rotation=90, ha="center", va="top", fontsize=9, color=GREY)
    return place
