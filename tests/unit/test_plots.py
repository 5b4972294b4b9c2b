"""Every figure has a title and axis labels, returns its axes, and refuses what it cannot draw."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from keras import layers
from matplotlib.axes import Axes

from digit_utils import plots, search_plots
from digit_utils.importance import parameter_importance
from digit_utils.models import build_base_cnn, build_double_conv_cnn

N = 12
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (N, 28, 28)).astype(np.uint8)
LABELS = np.arange(N) % 10
PREDICTED = np.where(np.arange(N) % 3 == 0, (LABELS + 1) % 10, LABELS)
HISTORY = pd.DataFrame(
    {
        "accuracy": [0.8, 0.9, 0.95],
        "val_accuracy": [0.85, 0.92, 0.93],
        "loss": [0.6, 0.3, 0.2],
        "val_loss": [0.5, 0.3, 0.25],
    },
    index=pd.RangeIndex(1, 4, name="epoch"),
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


@pytest.fixture(autouse=True)
def book_style():
    plots.use_book_style()
    yield
    plt.close("all")
    matplotlib.rcdefaults()
    matplotlib.use("Agg")


def test_a_matplotlibrc_has_no_say():
    ours = dict(matplotlib.rcParams)
    theirs = {"image.origin": "lower", "image.interpolation": "bilinear", "text.usetex": True,
              "savefig.transparent": True, "figure.autolayout": True}  # fmt: skip
    matplotlib.rcParams.update(theirs)
    plots.use_book_style()
    assert dict(matplotlib.rcParams) == ours


ONE_CHART = {
    "label_counts": lambda ax=None: plots.plot_label_counts(LABELS, ax=ax),
    "confusion": lambda ax=None: plots.plot_confusion(LABELS, PREDICTED, ax=ax),
    "map": lambda ax=None: plots.plot_map(
        RANDOM.normal(size=(N, 2)), LABELS, ax=ax, title="A map of digits"
    ),
    "accuracies": lambda ax=None: plots.plot_accuracies(ACCURACIES, ax=ax, title="Accuracies"),
    "best_so_far": lambda ax=None: search_plots.plot_best_so_far({"TPE": SEARCH}, ax=ax),
    "confirmation": lambda ax=None: search_plots.plot_confirmation(SCORES, ax=ax),
}


@pytest.mark.parametrize("draw", ONE_CHART.values(), ids=ONE_CHART)
def test_one_chart_has_title_and_labels_and_returns_its_axes(draw):
    ax = draw()
    assert isinstance(ax, Axes)
    assert ax.get_title()
    assert ax.get_xlabel()
    # A chart whose rows are named needs no label beside the names.
    assert ax.get_ylabel() or any(not text.get_text().isdigit() for text in ax.get_yticklabels())
    ax.figure.canvas.draw()


@pytest.mark.parametrize("draw", ONE_CHART.values(), ids=ONE_CHART)
def test_one_chart_draws_into_the_axes_it_is_given(draw):
    _, ax = plt.subplots()
    before = len(plt.get_fignums())
    assert draw(ax) is ax
    assert len(plt.get_fignums()) == before
    assert ax.has_data()


def test_style_is_set():
    assert plt.rcParams["figure.constrained_layout.use"]
    assert plt.rcParams["image.cmap"] == "gray_r"
    assert not plt.rcParams["axes.spines.top"]


# Images


def test_images_in_a_grid():
    axes = plots.show_images(IMAGES, [str(label) for label in LABELS], columns=5, title="Digits")
    assert axes.shape == (3, 5)
    assert axes.flat[0].figure.get_suptitle() == "Digits"
    assert [ax.get_title() for ax in axes.flat[:N]] == [str(label) for label in LABELS]
    assert sum(bool(ax.images) for ax in axes.flat) == N
    axes.flat[0].figure.canvas.draw()


def test_images_with_a_channel_axis_and_fewer_than_a_row():
    axes = plots.show_images(IMAGES[:2, ..., np.newaxis] / 255.0)
    assert axes.shape == (1, 2)


def test_a_blank_image_is_white():
    ax = plots.show_images(np.zeros((1, 28, 28)))[0, 0]
    assert ax.images[0].norm(0.0) == 0.0


@pytest.mark.parametrize(
    "images", [IMAGES[0], IMAGES[:0], IMAGES.reshape(N, 784), np.zeros((2, 2, 28, 28, 1))]
)
def test_images_of_another_shape_are_refused(images):
    with pytest.raises(ValueError, match="shape"):
        plots.show_images(images)


def test_titles_must_match_the_images():
    with pytest.raises(ValueError, match="3 titles for 12 images"):
        plots.show_images(IMAGES, ["a", "b", "c"])


def test_predictions_are_marked_by_sign_and_colour():
    axes = plots.show_predictions(
        IMAGES, LABELS, PREDICTED, np.linspace(0.5, 1, N), title="Predictions"
    )
    wrong, right = axes.flat[0].title, axes.flat[1].title
    assert wrong.get_text().startswith("✗ 1, is 0")
    assert right.get_text().startswith("✓ 1")
    assert wrong.get_color() != right.get_color()
    assert "50% sure" in wrong.get_text()


def test_predictions_must_match_the_labels():
    with pytest.raises(ValueError):
        plots.show_predictions(IMAGES, LABELS, PREDICTED[:-1])


# Charts


def test_history_has_two_charts():
    axes = plots.plot_history(HISTORY, "Training")
    assert [ax.get_title() for ax in axes] == ["Accuracy", "Loss"]
    assert axes[0].figure.get_suptitle() == "Training"
    for ax in axes:
        assert ax.get_xlabel() == "Epoch"
        assert ax.get_ylabel()
        assert len(ax.lines) == 2


def test_history_without_validation_has_one_line_each():
    axes = plots.plot_history(HISTORY[["accuracy", "loss"]], "Training")
    assert [len(ax.lines) for ax in axes] == [1, 1]


def test_confusion_writes_counts_and_shades_mistakes_only():
    ax = plots.plot_confusion(LABELS, PREDICTED)
    shades = np.asarray(ax.images[0].get_array())
    assert np.all(np.diag(shades) == 0)
    assert shades.sum() == np.sum(LABELS != PREDICTED)
    assert sum(int(text.get_text() or 0) for text in ax.texts) == N


def test_confusion_without_mistakes():
    plots.plot_confusion(LABELS, LABELS).figure.canvas.draw()


def test_confusion_refuses_different_numbers():
    with pytest.raises(ValueError):
        plots.plot_confusion(LABELS, PREDICTED[:-1])


def test_label_counts_show_digits_that_do_not_occur():
    ax = plots.plot_label_counts(np.array([3, 3, 5]))
    assert [bar.get_height() for bar in ax.patches] == [0, 0, 0, 2, 0, 1, 0, 0, 0, 0]


def test_accuracies_lists_the_first_row_on_top():
    ax = plots.plot_accuracies(ACCURACIES, title="Accuracies")
    assert [text.get_text() for text in ax.get_yticklabels()] == ["one", "two"]
    bottom, top = ax.get_ylim()
    assert bottom > top


# A search


def test_best_so_far_has_a_line_a_search():
    ax = search_plots.plot_best_so_far({"TPE": SEARCH, "random": SEARCH})
    assert [line.get_label() for line in ax.lines] == ["TPE", "random"]
    assert len({(line.get_color(), line.get_marker()) for line in ax.lines}) == 2


@pytest.mark.parametrize(
    ("searches", "message"),
    [
        ({}, "found 0 searches"),
        ({str(number): SEARCH for number in range(5)}, "found 5 searches"),
        ({"TPE": SEARCH.drop(columns="best_so_far")}, "best_so_far"),
        ({"TPE": SEARCH[:0]}, "empty"),
    ],
)
def test_best_so_far_refuses(searches, message):
    with pytest.raises(ValueError, match=message):
        search_plots.plot_best_so_far(searches)


def test_parameters_has_a_chart_each():
    axes = search_plots.plot_parameters(SEARCH, ["rate", "optimizer"])
    assert axes.shape == (1, 2)
    assert [ax.get_title() for ax in axes.flat] == ["rate", "optimizer"]
    assert all(ax.get_xlabel() for ax in axes.flat)
    assert axes[0, 0].get_ylabel()
    assert axes[0, 0].figure.get_suptitle()
    assert [text.get_text() for text in axes[0, 0].get_xticklabels()] == ["0.1", "0.3", "0.5"]
    axes[0, 0].figure.canvas.draw()


def test_parameters_leaves_spare_charts_blank():
    frame = SEARCH.assign(a=1, b=2)
    axes = search_plots.plot_parameters(frame, ["rate", "optimizer", "a", "b"])
    assert axes.shape == (2, 3)
    assert [ax.axison for ax in axes.flat] == [True] * 4 + [False] * 2


@pytest.mark.parametrize(
    ("frame", "names", "message"),
    [
        (SEARCH, [], "no parameters"),
        (SEARCH, ["rate", "width"], "width"),
        (SEARCH[:0], ["rate"], "empty"),
    ],
)
def test_parameters_refuses(frame, names, message):
    with pytest.raises(ValueError, match=message):
        search_plots.plot_parameters(frame, names)


def test_parallel_coordinates_have_a_line_a_trial_and_mark_the_best():
    ax = search_plots.plot_parallel_coordinates(SEARCH, ["rate", "optimizer"])
    lines = [line for line in ax.lines if len(line.get_xdata()) == 2 and line.get_marker() == "o"]
    assert len(lines) == 1  # the best
    scored = SEARCH["validation_accuracy"].notna().sum()
    assert len(ax.lines) == scored + 2  # and an upright line a parameter
    assert [label.get_text() for label in ax.get_xticklabels()] == ["rate", "optimizer"]
    assert f"{SEARCH['validation_accuracy'].max():.2%}" in ax.get_legend().get_texts()[0].get_text()
    assert ax.get_title() and ax.get_xlabel() and ax.get_ylabel()


def test_parallel_coordinates_spread_drawn_numbers_and_lists_alike():
    frame = pd.DataFrame(
        {
            "learning_rate": np.geomspace(1e-4, 1e-1, 12),
            "same": 3,
            "deep": [True, False] * 6,
            "validation_accuracy": np.linspace(0.5, 0.9, 12),
        }
    )
    ax = search_plots.plot_parallel_coordinates(frame, ["learning_rate", "same", "deep"])
    best = next(line for line in ax.lines if line.get_marker() == "o").get_ydata()
    assert best == pytest.approx([1.0, 0.0, 0.0], abs=0.03)
    middle = sorted(line.get_ydata()[0] for line in ax.lines if len(line.get_xdata()) == 3)
    assert np.diff(middle).max() < 0.15  # even steps: a logarithmic scale


def test_parallel_coordinates_refuse_what_has_no_score():
    with pytest.raises(ValueError, match="no parameters to draw"):
        search_plots.plot_parallel_coordinates(SEARCH, [])
    with pytest.raises(ValueError, match="the table is empty"):
        search_plots.plot_parallel_coordinates(
            SEARCH.assign(validation_accuracy=np.nan), ["rate", "optimizer"]
        )


def trials_of(score, n=60, seed=0):
    chance = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "rate": chance.choice([0.1, 0.2, 0.3, 0.4, 0.5], n),
            "optimizer": chance.choice(["adam", "rmsprop"], n),
            "units": chance.integers(1, 10**6, n),
        }
    )
    return frame.assign(validation_accuracy=score(frame, chance))


def test_importance_finds_what_matters():
    frame = trials_of(lambda f, c: 1 - f["rate"] + 0.02 * (f["optimizer"] == "adam"))
    importance, explained = parameter_importance(frame, ["rate", "optimizer", "units"])
    assert explained > 0.8
    assert importance["importance"].idxmax() == "rate"
    assert importance.loc["rate", "importance"] > 5 * abs(importance.loc["units", "importance"])
    ax = search_plots.plot_importance(importance)
    assert [label.get_text() for label in ax.get_yticklabels()][-1] == "rate"
    assert ax.get_title() and ax.get_xlabel() and ax.get_ylabel()


def test_importance_of_noise_explains_nothing():
    frame = trials_of(lambda f, c: c.uniform(size=len(f)))
    assert parameter_importance(frame, ["rate", "optimizer", "units"])[1] < 0.1


def test_importance_does_not_learn_by_heart_what_was_tried_twice():
    frame = trials_of(lambda f, c: c.uniform(size=len(f)))
    twice = pd.concat([frame, frame])
    names = ["rate", "optimizer", "units"]
    assert parameter_importance(twice, names)[1] == parameter_importance(frame, names)[1]


@pytest.mark.parametrize("n", [0, 9])
def test_importance_needs_some_trials(n):
    with pytest.raises(ValueError, match=f"found {n} different trials"):
        parameter_importance(trials_of(lambda f, c: f["rate"], n), ["rate", "units"])


def test_confirmation_has_a_row_each_and_a_mark_for_each_kind():
    ax = search_plots.plot_confirmation(SCORES, title="Again")
    assert ax.get_title() == "Again"
    assert [text.get_text() for text in ax.get_yticklabels()] == ["winner", "middling"]
    assert [line.get_label() for line in ax.lines] == ["in the search", "fresh"]
    assert [len(line.get_xdata()) for line in ax.lines] == [2, 3]
    assert len({line.get_marker() for line in ax.lines}) == 2


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (SCORES[:0], "empty"),
        (SCORES.drop(columns="accuracy"), "accuracy"),
        (
            pd.DataFrame({"settings": "a", "measured": list("abcde"), "accuracy": 0.5}),
            "found 5 kinds",
        ),
    ],
)
def test_confirmation_refuses(frame, message):
    with pytest.raises(ValueError, match=message):
        search_plots.plot_confirmation(frame)


# A network


@pytest.mark.parametrize("network", [build_base_cnn(), build_double_conv_cnn(8)])
def test_architecture_shows_every_layer(network):
    ax = plots.plot_architecture(network)
    assert isinstance(ax, Axes)
    assert f"{network.count_params():,} weights" in ax.get_title()
    texts = [text.get_text() for text in ax.texts]
    assert len(texts) == 1 + len(network.layers)
    assert texts[0].endswith("28×28×1")
    assert texts[-1].startswith("dense") and texts[-1].endswith("10")
    assert sum(text.startswith("conv 3×3") for text in texts) == sum(
        isinstance(layer, layers.Conv2D) for layer in network.layers
    )
    ax.figure.canvas.draw()


def test_architecture_names_the_dropout_rates_and_takes_axes_and_title():
    _, ax = plt.subplots()
    network = build_double_conv_cnn(8, dropout=(0.5, 0.4, 0.2, 0.1))
    assert plots.plot_architecture(network, ax=ax, title="Ours") is ax
    assert ax.get_title() == "Ours"
    texts = {text.get_text() for text in ax.texts}
    assert {"dropout 50%", "dropout 40%", "dropout 20%", "dropout 10%", "flatten"} <= texts


def test_architecture_draws_layers_it_does_not_know():
    network = keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(4, 5),
            layers.BatchNormalization(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10),
        ]
    )
    texts = [text.get_text() for text in plots.plot_architecture(network).texts]
    assert texts[1] == "conv 5×5   24×24×4"
    assert texts[2].startswith("BatchNormalization")


def test_architecture_refuses_what_has_no_shapes():
    with pytest.raises(ValueError, match="Input layer"):
        plots.plot_architecture(keras.Sequential([layers.Dense(10)]))
    images = keras.Input((28, 28, 1))
    functional = keras.Model(images, layers.Flatten()(images))
    with pytest.raises(ValueError, match="Sequential"):
        plots.plot_architecture(functional)
