"""Figures of a hyperparameter search."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from digit_utils.plots import BLUE, GREEN, ORANGE, RED


def plot_best_so_far(searches: dict[str, pd.DataFrame], ax: Axes | None = None) -> Axes:
    """Draw every trial as a dot and the best so far as a step line, one colour a search.

    Parameters
    ----------
    searches : dict of str to DataFrame
        Name to table, from ``trials_to_frame``.
    """
    ax = ax or plt.subplots()[1]
    for (name, frame), colour in zip(searches.items(), (BLUE, ORANGE, GREEN, RED), strict=False):
        ax.scatter(frame.index, frame["validation_accuracy"], s=22, color=colour, alpha=0.5)
        ax.step(frame.index, frame["best_so_far"], where="post", color=colour, label=name)
    ax.set(title="Every trial, and the best so far", xlabel="Trial", ylabel="Validation accuracy")
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(title="Best so far")
    return ax


def plot_parameters(frame: pd.DataFrame, parameters: Sequence[str]) -> np.ndarray:
    """Draw accuracy against each parameter of a search: a dot a trial, a bar the mean.

    Parameters
    ----------
    frame : DataFrame
        From ``trials_to_frame``.
    parameters : sequence of str
        Columns to draw, one small chart each.

    Returns
    -------
    ndarray of Axes
    """
    columns = min(3, len(parameters))
    rows = -(-len(parameters) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(3.2 * columns, 2.7 * rows), sharey=True, squeeze=False
    )
    for ax, name in zip(axes.flat, parameters, strict=False):
        values = sorted(frame[name].unique())
        positions = frame[name].map({value: index for index, value in enumerate(values)})
        ax.scatter(positions, frame["validation_accuracy"], s=20, alpha=0.5, color=BLUE)
        means = frame.groupby(name)["validation_accuracy"].mean().reindex(values)
        ax.hlines(means, np.arange(len(values)) - 0.3, np.arange(len(values)) + 0.3, color=RED)
        ax.set_xticks(range(len(values)), [str(value) for value in values])
        ax.set(title=name, xlabel=f"Value of {name}")
        ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
    for ax in axes[:, 0]:
        ax.set_ylabel("Validation accuracy")
    for ax in axes.flat[len(parameters) :]:
        ax.set_axis_off()
    figure.suptitle("Accuracy against each parameter (red: mean)", fontsize=12, fontweight="bold")
    return axes
