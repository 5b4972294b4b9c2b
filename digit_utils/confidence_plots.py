"""Charts of how sure networks are: uncertainty is 1 minus confidence, on a logarithmic axis."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MultipleLocator, PercentFormatter

from digit_utils.plots import BLUE, GREEN, GREY, ORANGE, RED

COLOURS, MARKS = (BLUE, ORANGE, GREEN, RED), "osD^"


def plot_uncertainty(
    tables: Mapping[str, pd.DataFrame], ax: Axes | None = None, title: str = ""
) -> Axes:
    """Draw the share of wrong answers against the uncertainty, both logarithmic.

    Takes tables of `calibration.reliability_table`; bins of fewer than 30 images are left out. A
    triangle marks the upper end of the interval where no answer was wrong.
    """
    ax = ax or plt.subplots(figsize=(7.2, 4.4))[1]
    ax.plot((1e-7, 1), (1e-7, 1), "--", color=GREY, linewidth=1)
    for (name, table), colour, mark in zip(tables.items(), COLOURS, MARKS, strict=False):
        table = table[table["images"] >= 30]
        some, none = table[table["error"] > 0], table[table["error"] == 0]
        reach = [some["error"] - some["low"], some["high"] - some["error"]]
        ax.errorbar(
            some["uncertainty"], some["error"], reach, fmt=mark, color=colour, capsize=3, label=name
        )
        ax.plot(none["uncertainty"], none["high"], "v", color=colour, markerfacecolor="none")
    ax.plot([], [], "v", color=GREY, markerfacecolor="none", label="none wrong: upper end")
    ax.text(0.3, 0.9, "over-confident", color=GREY, transform=ax.transAxes, ha="center")
    ax.text(0.8, 0.03, "under-confident", color=GREY, transform=ax.transAxes, ha="center")
    ax.set(
        title=title, xlabel="Mean uncertainty of the bin\n(1 minus confidence, logarithmic)",
        ylabel="Share of wrong answers\n(bar: 95 % interval)",
        xscale="log", yscale="log", xlim=(1e-6, 1), ylim=(5e-5, 1.2),
    )  # fmt: skip
    return ax


def plot_risk_coverage(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]],
    wanted: float,
    ax: Axes | None = None,
    title: str = "",
) -> Axes:
    """Draw the share of wrong answers against the share of images answered.

    ``curves`` are coverage and risk, as of `calibration.risk_coverage`; ``wanted`` is an accuracy.
    """
    ax = ax or plt.subplots(figsize=(7.2, 4.0))[1]
    for (name, (coverage, risk)), colour, style in zip(
        curves.items(), COLOURS, ("-", "--", ":", "-."), strict=False
    ):
        ax.semilogy(coverage, risk, style, color=colour, label=name)
    ax.axhline(1 - wanted, color=GREY, linewidth=1, linestyle=":", label=f"{wanted:.1%} right")
    ax.set(
        title=title, xlabel="Images it answers itself", xlim=(0.8, 1.0), ylim=(1e-4, None),
        ylabel="Wrong among these\n(logarithmic)",
    )  # fmt: skip
    ax.xaxis.set_major_locator(MultipleLocator(0.05))
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g}%")
    ax.minorticks_off()
    ax.legend(frameon=False)
    return ax


def plot_doubts(
    confidence: Mapping[str, np.ndarray], threshold: float, ax: Axes | None = None, title: str = ""
) -> Axes:
    """Draw how unsure a network is of several kinds of images, a box each, the first on top.

    A box holds the middle half, whiskers nine tenths; a line marks the uncertainty at a threshold.
    """
    ax = ax or plt.subplots(figsize=(7.2, 0.42 * len(confidence) + 1.3))[1]
    doubts = [np.maximum(1 - found, 1e-8) for found in confidence.values()]
    boxes = ax.boxplot(
        doubts, orientation="horizontal", whis=(5, 95), showfliers=False, patch_artist=True,
        widths=0.6, medianprops={"color": "black"},
    )  # fmt: skip
    for number, box in enumerate(boxes["boxes"]):
        box.set(facecolor=ORANGE if number else BLUE, alpha=0.7)
    ax.axvline(1 - threshold, color=GREY, linestyle="--", linewidth=1)
    ax.set_yticks(range(1, len(doubts) + 1), list(confidence))
    ax.set(title=title, xscale="log", xlabel="Uncertainty (1 minus confidence, logarithmic)")
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    return ax
