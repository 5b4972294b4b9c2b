"""Figures of a hyperparameter search, from tables of trials as ``search.Search.table`` makes them.

``label`` says what the score is, if no accuracy. Raise ValueError for an empty table or more than
four searches or kinds of scores.
"""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from digit_utils.plots import BLUE, GREEN, GREY, ORANGE, RED

# Marks differ in shape as well as in colour, for print and for the colour-blind.
_MARKS = ((BLUE, "o"), (ORANGE, "^"), (GREEN, "s"), (RED, "D"))
ACCURACY = "Validation accuracy"
_LINES = ("-", "--", "-.", ":")  # searches with a common start cover one another there


def plot_best_so_far(
    searches: dict[str, pd.DataFrame], ax: Axes | None = None, label: str = ACCURACY
) -> Axes:
    """Draw every trial as a dot and the best so far as a step line, one colour per search.

    ``searches`` maps one to four names to tables of trials.
    """
    if not 1 <= len(searches) <= len(_MARKS):
        raise ValueError(f"found {len(searches)} searches, expected 1 to {len(_MARKS)}")
    ax = ax or plt.subplots()[1]
    for (name, frame), (colour, mark), line in zip(searches.items(), _MARKS, _LINES, strict=False):
        scores, best = frame["validation_accuracy"], frame["best_so_far"]
        ax.scatter(frame.index, scores, s=24, color=colour, alpha=0.55, marker=mark)
        ax.step(
            frame.index, best, where="post", color=colour, linestyle=line, marker=mark,
            markevery=[0], markersize=5, label=name,
        )  # fmt: skip
    ax.set(title="Every trial, and the best so far", xlabel="Trial", ylabel=label)
    if label == ACCURACY:
        ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(
        title="Line: best so far", loc="upper center", bbox_to_anchor=(0.5, -0.17),
        ncols=len(searches), frameon=False,
    )  # fmt: skip
    return ax


def plot_parameters(frame: pd.DataFrame, parameters: Sequence[str]) -> np.ndarray:
    """Draw accuracy against each parameter, a chart each: a dot per trial, a bar for the mean."""
    frame = _trials(frame)
    columns = min(3, len(parameters))
    rows = -(-len(parameters) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(3.2 * columns, 2.7 * rows), sharey=True, squeeze=False
    )
    for ax, name in zip(axes.flat, parameters, strict=False):
        values, positions = np.unique(frame[name], return_inverse=True)
        aside = np.random.default_rng(0).uniform(-0.12, 0.12, len(frame))  # or dots would hide dots
        accuracies, places = frame["validation_accuracy"], np.arange(len(values))
        ax.scatter(positions + aside, accuracies, s=14, alpha=0.5, color=BLUE, linewidths=0)
        means = accuracies.groupby(frame[name]).mean().reindex(values)
        ax.hlines(means, places - 0.3, places + 0.3, color=RED, linewidth=2.5, zorder=3)
        ax.set_xticks(places, [str(value) for value in values])
        ax.set_xlim(-0.6, len(values) - 0.4)
        ax.set(title=name, xlabel=f"Value of {name}")
        ax.grid(axis="x", visible=False)
        ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    for ax in axes[:, 0]:
        ax.set_ylabel("Validation accuracy")
    for ax in axes.flat[len(parameters) :]:
        ax.set_axis_off()
    figure.suptitle("Accuracy against each parameter (bar: mean)", fontsize=12, fontweight="bold")
    return axes


def plot_parallel_coordinates(
    frame: pd.DataFrame, parameters: Sequence[str], ax: Axes | None = None, label: str = ACCURACY
) -> Axes:
    """Draw a line per trial through its settings, the better the score the stronger.

    Failed trials are left out; the best is red.
    """
    frame = _trials(frame[frame["validation_accuracy"].notna()])
    # Drawn last, and red: the best of those that were not stopped early.
    whole = frame["outcome"].eq("ok") if "outcome" in frame else np.ones(len(frame), bool)
    frame = frame.iloc[np.lexsort([frame["validation_accuracy"], whole])]
    ax = ax or plt.subplots(figsize=(max(7.2, 1.1 * len(parameters) + 0.6), 4.2))[1]
    heights = {name: _heights(frame[name]) for name in parameters}
    ranks = frame["validation_accuracy"].rank(pct=True).to_numpy()
    # By rank, not by score: a few bad trials would make all others look alike. By transparency,
    # not by a map of colours, so that the best stand out on a light and on a dark page.
    colours = [(BLUE, alpha) for alpha in 0.1 + 0.9 * ranks]
    places = np.arange(len(parameters))
    jitter = np.random.default_rng(0).uniform(-0.02, 0.02, (len(frame), len(parameters)))
    lines = np.column_stack([heights[name][0] for name in parameters]) + jitter
    for line, colour in zip(lines[:-1], colours[:-1], strict=True):
        ax.plot(places, line, color=colour, linewidth=1.2)
    best = frame["validation_accuracy"].iloc[-1]
    value = f"{best:.2%}" if label == ACCURACY else f"{best:.4g}"
    ax.plot(places, lines[-1], color=RED, linewidth=2.5, marker="o", label=f"the best, {value}")
    for place, name in enumerate(parameters):
        ax.axvline(place, color=GREY, linewidth=0.8, zorder=0)
        for height, text in heights[name][1]:
            ax.annotate(
                text, (place, height), xytext=(4, 3), textcoords="offset points", fontsize=9,
                color="black", zorder=4,  # above the lines
                bbox={"facecolor": "white", "alpha": 0.85, "linewidth": 0, "pad": 0.5},
            )  # fmt: skip
    ax.set_xticks(places, parameters)
    ax.set_xlim(-0.15, len(parameters) - 0.5)
    ax.set_yticks([])
    ax.grid(visible=False)
    ax.set(title="Every trial's settings", xlabel="Parameter", ylabel="Value, low to high")
    ax.legend(
        title=f"{label}: the stronger, the better", loc="upper center", bbox_to_anchor=(0.5, -0.17),
        frameon=False,
    )  # fmt: skip
    return ax


def _heights(values: pd.Series) -> tuple[np.ndarray, list[tuple[float, str]]]:
    """Place values between 0 and 1; return the places and what to write at which of them."""
    numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    by_name = None if numeric else lambda value: (isinstance(value, str), str(value))
    kinds = sorted(values.unique(), key=by_name)
    if numeric and len(kinds) > 8:  # drawn from a range
        low, high = float(values.min()), float(values.max())
        log = low > 0 and high / low >= 50
        ends = np.log([low, high]) if log else np.array([low, high])
        places = ((np.log(values) if log else values) - ends[0]) / (ends[1] - ends[0])
        return places.to_numpy(float), [(0.0, f"{low:.3g}"), (1.0, f"{high:.3g}")]
    step = max(1, len(kinds) - 1)
    place_of = {kind: index / step for index, kind in enumerate(kinds)}
    return values.map(place_of).to_numpy(float), [(place_of[k], str(k)) for k in kinds]


def plot_importance(importance: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw what ``importance.parameter_importance`` found."""
    ax = ax or plt.subplots(figsize=(7.2, 0.42 * len(importance) + 1.6))[1]
    ordered = importance.sort_values("importance")
    means, spread = ordered["importance"], ordered["spread"]
    ax.barh(ordered.index, means, xerr=spread, color=BLUE, ecolor=GREY, capsize=3)
    ax.axvline(0, color=GREY, linewidth=0.8)
    ax.set(
        title="What the forest's prediction rests on",
        xlabel="Explained variance lost when the parameter is shuffled\n"
        "(line: how far single shuffles scatter; below 0: no use)",
        ylabel="Parameter",
    )
    ax.grid(axis="y", visible=False)
    return ax


def plot_confirmation(frame: pd.DataFrame, ax: Axes | None = None, title: str = "") -> Axes:
    """Draw repeated scores of some settings: a row each, a mark for each kind of score.

    ``frame`` has a line per score, with columns ``settings`` (the row), ``measured`` (the kind, up
    to four) and ``accuracy`` (0 to 1); rows and kinds appear in their first order.
    """
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


def _trials(frame: pd.DataFrame) -> pd.DataFrame:
    """Refuse an empty table; make its lists and tuples text, which pandas can group."""
    if frame.empty:
        raise ValueError("the table is empty, expected at least one row")
    return frame.map(lambda value: str(value) if isinstance(value, list | tuple) else value)
