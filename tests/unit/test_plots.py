"""Every figure has a title and axis labels, returns its axes, and refuses what it cannot draw."""

import keras
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from keras import layers
from matplotlib.axes import Axes

from digit_utils import attribution_plots, plots, search_plots
from digit_utils.importance import parameter_importance
from digit_utils.models import build_double_conv_cnn

N = 12
IMAGES = np.random.default_rng(0).integers(0, 256, (N, 28, 28)).astype(np.uint8)
LABELS = np.arange(N) % 10
PREDICTED = np.where(np.arange(N) % 3 == 0, (LABELS + 1) % 10, LABELS)
HISTORY = pd.DataFrame(
    {name: [0.8, 0.9] for name in ("accuracy", "val_accuracy", "loss", "val_loss")},
    index=pd.RangeIndex(1, 3, name="epoch"),
)
ACCURACIES = pd.DataFrame(
    {"accuracy": [0.9, 0.95], "low": [0.88, 0.93], "high": [0.92, 0.97]}, index=["one", "two"]
)
SEARCH = pd.DataFrame(
    {
        "rate": [0.1, 0.5, 0.1, 0.3],
        "optimizer": ["adam", "rmsprop", "rmsprop", "adam"],
        "validation_accuracy": [0.9, np.nan, 0.95, 0.93],
        "best_so_far": [0.9, 0.9, 0.95, 0.95],
    },
    index=pd.RangeIndex(1, 5, name="trial"),
)
SCORES = pd.DataFrame(
    {
        "settings": ["winner", "winner", "winner", "middling", "middling"],
        "measured": ["in the search", "fresh", "fresh", "in the search", "fresh"],
        "accuracy": [0.97, 0.95, 0.96, 0.93, 0.94],
    }
)
IMPORTANCE = pd.DataFrame({"importance": [0.1, 0.9], "spread": 0.01}, index=["units", "rate"])
NAMES = ["rate", "optimizer"]


@pytest.fixture(autouse=True)
def book_style():
    matplotlib.use("Agg")
    plots.use_book_style()
    yield
    plt.close("all")
    matplotlib.rcdefaults()


def texts(found) -> list[str]:
    return [text.get_text() for text in found]


def test_a_matplotlibrc_has_no_say():
    ours = dict(matplotlib.rcParams)
    theirs = {"image.origin": "lower", "text.usetex": True, "savefig.transparent": True}
    matplotlib.rcParams.update(theirs)
    plots.use_book_style()
    assert dict(matplotlib.rcParams) == ours
    assert ours["figure.constrained_layout.use"] and ours["image.cmap"] == "gray_r"


ONE_CHART = {
    "confusion": lambda ax: plots.plot_confusion(LABELS, PREDICTED, ax=ax),
    "no mistakes": lambda ax: plots.plot_confusion(LABELS, LABELS, ax=ax),
    "map": lambda ax: plots.plot_map(IMAGES[:, 0, :2], LABELS, ax=ax, title="A map of digits"),
    "accuracies": lambda ax: plots.plot_accuracies(ACCURACIES, ax=ax, title="Accuracies"),
    "best_so_far": lambda ax: search_plots.plot_best_so_far({"TPE": SEARCH}, ax=ax),
    "parallel": lambda ax: search_plots.plot_parallel_coordinates(SEARCH, NAMES, ax=ax),
    "importance": lambda ax: search_plots.plot_importance(IMPORTANCE, ax=ax),
    "confirmation": lambda ax: search_plots.plot_confirmation(SCORES, ax=ax),
}


@pytest.mark.parametrize("draw", ONE_CHART.values(), ids=ONE_CHART)
def test_one_chart_has_title_and_labels_and_draws_into_the_axes_it_is_given(draw):
    ax = draw(None)
    assert isinstance(ax, Axes)
    assert ax.get_title() and ax.get_xlabel()
    # A chart whose rows are named needs no label beside the names.
    assert ax.get_ylabel() or any(not text.isdigit() for text in texts(ax.get_yticklabels()))
    ax.figure.canvas.draw()
    _, given = plt.subplots()
    before = len(plt.get_fignums())
    assert draw(given) is given and given.has_data()
    assert len(plt.get_fignums()) == before


def test_pictures_in_rows_and_the_parts_of_a_sum():
    signed = np.linspace(-1, 1, 27).reshape(3, 3, 3)
    axes = attribution_plots.show_rows({"digits": IMAGES[:4], "parts": signed}, title="Two rows")
    assert axes.shape == (2, 4) and not axes[1, 3].images
    assert [line[0].get_ylabel() for line in axes] == ["digits", "parts"]
    assert axes[0, 0].images[0].norm(0.0) == 0.0 and axes[1, 0].images[0].norm(0.0) == 0.5
    axes = attribution_plots.show_parts({"score": signed}, IMAGES[:3], title="Parts")
    assert axes.shape == (1, 3)
    assert texts(axes[0, 0].texts)[0] == "-1.0" and len(axes[0, 0].texts) == 9
    axes[0, 0].figure.canvas.draw()


def test_images_in_a_grid():
    captions = [str(label) for label in LABELS]
    axes = plots.show_images(IMAGES, captions, columns=5, title="Digits")
    assert axes.shape == (3, 5)
    assert axes.flat[0].figure.get_suptitle() == "Digits"
    assert [ax.get_title() for ax in axes.flat[:N]] == captions
    assert sum(bool(ax.images) for ax in axes.flat) == N
    axes.flat[0].figure.canvas.draw()
    assert plots.show_images(IMAGES[:2, ..., np.newaxis] / 255.0).shape == (1, 2)
    blank = plots.show_images(np.zeros((1, 28, 28)))[0, 0]
    assert blank.images[0].norm(0.0) == 0.0  # white
    axes = plots.show_predictions(IMAGES, LABELS, PREDICTED, np.linspace(0.5, 1, N))
    wrong, correct = axes.flat[0].title, axes.flat[1].title
    assert wrong.get_text() == "✗ 1, is 0\n50% sure"
    assert correct.get_text().startswith("✓ 1")
    assert wrong.get_color() != correct.get_color()


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plots.show_images(IMAGES[:0]), "shape"),
        (lambda: plots.show_images(IMAGES, ["a", "b", "c"]), "3 titles for 12 images"),
        (lambda: search_plots.plot_best_so_far(dict.fromkeys("abcde", SEARCH)), "found 5 searches"),
        (lambda: search_plots.plot_parallel_coordinates(SEARCH[1:2], NAMES), "empty"),  # no score
        (lambda: search_plots.plot_confirmation(SCORES.assign(measured=[*"abcde"])), "5 kinds"),
        (lambda: plots.plot_architecture(keras.Sequential([layers.Dense(10)])), "Input layer"),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()


@pytest.mark.parametrize(("columns", "lines"), [(HISTORY.columns, 2), (["accuracy", "loss"], 1)])
def test_history_has_two_charts_with_a_line_for_each_set_of_images(columns, lines):
    axes = plots.plot_history(HISTORY[columns], "Training")
    assert [ax.get_title() for ax in axes] == ["Accuracy", "Loss"]
    assert axes[0].figure.get_suptitle() == "Training"
    assert all(ax.get_xlabel() == "Epoch" and ax.get_ylabel() for ax in axes)
    assert [len(ax.lines) for ax in axes] == [lines, lines]


def test_rows_and_lines_are_those_of_the_table():
    ax = plots.plot_confusion(LABELS, PREDICTED)  # with counts, and shades of mistakes only
    shades = np.asarray(ax.images[0].get_array())
    assert np.all(np.diag(shades) == 0)
    assert shades.sum() == np.sum(LABELS != PREDICTED)
    assert sum(int(text or 0) for text in texts(ax.texts)) == N
    ax = plots.plot_accuracies(ACCURACIES)
    assert texts(ax.get_yticklabels()) == ["one", "two"]
    bottom, top = ax.get_ylim()
    assert bottom > top  # the first on top
    ax = search_plots.plot_best_so_far({"TPE": SEARCH, "random": SEARCH})
    assert [line.get_label() for line in ax.lines] == ["TPE", "random"]
    assert len({(line.get_color(), line.get_marker()) for line in ax.lines}) == 2
    ax = search_plots.plot_confirmation(SCORES, title="Again")
    assert ax.get_title() == "Again"
    assert texts(ax.get_yticklabels()) == ["winner", "middling"]
    assert [line.get_label() for line in ax.lines] == ["in the search", "fresh"]
    assert [len(line.get_xdata()) for line in ax.lines] == [2, 3]
    assert len({line.get_marker() for line in ax.lines}) == 2


def test_parameters_have_a_chart_each_and_spare_ones_are_blank():
    axes = search_plots.plot_parameters(SEARCH.assign(a=1, b=[[1], [2]] * 2), [*NAMES, "a", "b"])
    assert axes.shape == (2, 3)
    assert [ax.get_title() for ax in axes.flat[:4]] == [*NAMES, "a", "b"]
    assert [ax.axison for ax in axes.flat] == [True] * 4 + [False] * 2
    assert all(ax.get_xlabel() for ax in axes.flat[:4]) and axes[0, 0].get_ylabel()
    assert axes[0, 0].figure.get_suptitle()
    assert texts(axes[0, 0].get_xticklabels()) == ["0.1", "0.3", "0.5"]
    assert texts(axes[1, 0].get_xticklabels()) == ["[1]", "[2]"]
    axes[0, 0].figure.canvas.draw()


def test_parallel_coordinates_have_a_line_a_trial_mark_the_best_and_spread_all_alike():
    ax = search_plots.plot_parallel_coordinates(SEARCH, NAMES)
    scored = SEARCH["validation_accuracy"].notna().sum()
    assert len(ax.lines) == scored + 2  # and an upright line a parameter
    assert texts(ax.get_xticklabels()) == NAMES
    assert "95.00%" in ax.get_legend().get_texts()[0].get_text()
    rates, deep = np.geomspace(1e-4, 1e-1, 12), [True, False] * 6
    frame = pd.DataFrame({"rate": rates, "same": 3, "deep": deep, "validation_accuracy": rates})
    ax = search_plots.plot_parallel_coordinates(frame, ["rate", "same", "deep"])
    (best,) = [line.get_ydata() for line in ax.lines if line.get_marker() == "o"]
    assert best == pytest.approx([1.0, 0.0, 0.0], abs=0.03)
    first = sorted(line.get_ydata()[0] for line in ax.lines if len(line.get_xdata()) == 3)
    assert np.diff(first).max() < 0.15  # even steps: a logarithmic scale


def trials_of(score, n=60):
    chance = np.random.default_rng(0)
    frame = pd.DataFrame({"rate": chance.choice([0.1, 0.2, 0.3, 0.4, 0.5], n)})
    frame["optimizer"] = chance.choice(["adam", "rmsprop"], n)
    frame["units"] = chance.integers(1, 10**6, n)
    return frame.assign(validation_accuracy=score(frame, chance))


def test_importance_finds_what_matters():
    frame = trials_of(lambda f, c: 1 - f["rate"] + 0.02 * (f["optimizer"] == "adam"))
    importance, explained = parameter_importance(frame, [*NAMES, "units"])
    assert explained > 0.8
    assert importance["importance"].idxmax() == "rate"
    assert importance.loc["rate", "importance"] > 5 * abs(importance.loc["units", "importance"])
    ax = search_plots.plot_importance(importance)
    assert texts(ax.get_yticklabels())[-1] == "rate"


def test_importance_of_noise_explains_nothing_nor_what_was_tried_twice():
    frame = trials_of(lambda f, c: c.uniform(size=len(f)))
    _, explained = parameter_importance(frame, [*NAMES, "units"])
    assert explained < 0.1
    assert parameter_importance(pd.concat([frame, frame]), [*NAMES, "units"])[1] == explained
    with pytest.raises(ValueError, match="found 9 different trials"):
        parameter_importance(frame[:9], ["rate", "units"])


def test_architecture_shows_every_layer():
    network = build_double_conv_cnn(8, dropout=(0.5, 0.4, 0.2, 0.1))
    ax = plots.plot_architecture(network)
    assert f"{network.count_params():,} weights" in ax.get_title()
    found = texts(ax.texts)
    assert len(found) == 1 + len(network.layers)
    assert found[0].endswith("28×28×1")
    assert found[-1].startswith("dense") and found[-1].endswith("10")
    assert sum(text.startswith("conv 3×3") for text in found) == 6
    assert {"dropout 50%", "dropout 40%", "dropout 20%", "dropout 10%", "flatten"} <= set(found)
    ax.figure.canvas.draw()
    others = [layers.Input((28, 28, 1)), layers.Conv2D(4, 5), layers.BatchNormalization()]
    ax = plots.plot_architecture(keras.Sequential(others), ax=plt.subplots()[1], title="Ours")
    assert ax.get_title() == "Ours"
    assert texts(ax.texts)[1] == "conv 5×5   24×24×4"
    assert texts(ax.texts)[2].startswith("BatchNormalization")  # which it does not know
