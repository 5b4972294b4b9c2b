"""Figures of a hyperparameter search."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from digit_utils.plots import BLUE, GREEN, ORANGE, RED

# Marks differ in shape as well as in colour, for print and for the colour-blind.
_MARKS = ((BLUE, "o"), (ORANGE, "^"), (GREEN, "s"), (RED, "D"))
_LINES = ("-", "--", "-.", ":")  # searches with a common start cover one another there


def plot_best_so_far(searches: dict[str, pd.DataFrame], ax: Axes | None = None) -> Axes:
    """Draw every trial as a dot and the best so far as a step line, one colour a search.

    Parameters
    ----------
    searches : dict of str to DataFrame
        Name to table, from ``search.Search.table``; up to four.

    Raises
    ------
    ValueError
        If there is no search, more than four, or a table lacks a column.
    """
    if not 1 <= len(searches) <= len(_MARKS):
        raise ValueError(f"found {len(searches)} searches, expected 1 to {len(_MARKS)}")
    for frame in searches.values():
        _check_columns(frame, ["validation_accuracy", "best_so_far"])
    ax = ax or plt.subplots()[1]
    for (name, frame), (colour, mark), line in zip(searches.items(), _MARKS, _LINES, strict=False):
        ax.scatter(
            frame.index, frame["validation_accuracy"], s=24, color=colour, alpha=0.55, marker=mark
        )
        ax.step(
            frame.index, frame["best_so_far"], where="post", color=colour, linestyle=line,
            marker=mark, markevery=[0], markersize=5, label=name,
        )  # fmt: skip
    ax.set(title="Every trial, and the best so far", xlabel="Trial", ylabel="Validation accuracy")
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(
        title="Line: best so far", loc="upper center", bbox_to_anchor=(0.5, -0.17),
        ncols=len(searches), frameon=False,
    )  # fmt: skip
    return ax


def plot_parameters(frame: pd.DataFrame, parameters: Sequence[str]) -> np.ndarray:
    """Draw accuracy against each parameter of a search: a dot a trial, a bar the mean.

    Parameters
    ----------
    frame : DataFrame
        From ``search.Search.table``.
    parameters : sequence of str
        Columns to draw, one small chart each.

    Returns
    -------
    ndarray of Axes

    Raises
    ------
    ValueError
        If no parameter is named, or the table lacks one.
    """
    if not parameters:
        raise ValueError("no parameters to draw; name at least one column of the table")
    _check_columns(frame, [*parameters, "validation_accuracy"])
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
        ax.set_xlim(-0.6, len(values) - 0.4)
        ax.set(title=name, xlabel=f"Value of {name}")
        ax.grid(axis="x", visible=False)
        ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    for ax in axes[:, 0]:
        ax.set_ylabel("Validation accuracy")
    for ax in axes.flat[len(parameters) :]:
        ax.set_axis_off()
    figure.suptitle("Accuracy against each parameter (red: mean)", fontsize=12, fontweight="bold")
    return axes


def plot_confirmation(frame: pd.DataFrame, ax: Axes | None = None, title: str = "") -> Axes:
    """Draw repeated scores of some settings: a row each, a mark for each kind of score.

    Parameters
    ----------
    frame : DataFrame
        Columns ``settings`` (the row), ``measured`` (the kind of score, up to four) and
        ``accuracy`` (0 to 1); one line a score. Rows and kinds appear in their first order.

    Raises
    ------
    ValueError
        If the table is empty, lacks a column, or has more than four kinds.
    """
    _check_columns(frame, ["settings", "measured", "accuracy"])
    settings, kinds = frame["settings"].unique(), frame["measured"].unique()
    if not 1 <= len(kinds) <= len(_MARKS):
        raise ValueError(f"found {len(kinds)} kinds of scores, expected 1 to {len(_MARKS)}")
    ax = ax or plt.subplots(figsize=(7.6, 0.75 * len(settings) + 1.9))[1]
    offsets = (np.arange(len(kinds)) - (len(kinds) - 1) / 2) * 0.24
    for kind, offset, (colour, mark) in zip(kinds, offsets, _MARKS, strict=False):
        of_kind = frame[frame["measured"] == kind]
        rows = of_kind["settings"].map({name: row for row, name in enumerate(settings)})
        ax.plot(of_kind["accuracy"], rows + offset, mark, color=colour, alpha=0.8, label=kind)
    ax.set_yticks(range(len(settings)), settings)
    ax.set_ylim(len(settings) - 0.5, -0.5)
    ax.xaxis.set_major_formatter(PercentFormatter(1.0))
    ax.xaxis.set_major_locator(MaxNLocator(6))
    ax.set(title=title or "Scores of the same settings", xlabel="Images classified correctly")
    ax.set_ylabel("Settings")
    ax.grid(axis="y", visible=False)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.28), ncols=len(kinds), frameon=False)
    return ax


def _check_columns(frame: pd.DataFrame, names: Sequence[str]) -> None:
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise ValueError(f"the table has no column {missing}; it has {list(frame.columns)}")
    if frame.empty:
        raise ValueError("the table is empty, expected at least one row")
