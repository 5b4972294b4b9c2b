"""Plumbing around fit: seeds, augmentation in front of a network, histories, progress."""

import gc
import random

import keras
import numpy as np
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell

from digit_utils import training
from digit_utils.augment import RandomAffine
from digit_utils.training import (
    LiveProgress,
    forget_networks,
    history_frame,
    set_seed,
    with_augmentation,
)


def small_network():
    return keras.Sequential(
        [
            keras.layers.Input((28, 28, 1)),
            keras.layers.AveragePooling2D(4),
            keras.layers.Flatten(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )


def some_digits(n=40, seed=0):
    generator = np.random.default_rng(seed)
    return generator.random((n, 28, 28, 1), dtype=np.float32), np.arange(n) % 10


def compiled(model, metrics=("accuracy",)):
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=list(metrics))
    return model


def fit(model, epochs=2, **options):
    images, labels = some_digits()
    return compiled(model).fit(images, labels, epochs=epochs, verbose=0, **options)


# --- set_seed


def test_a_seed_repeats_all_three_streams():
    def draw(seed):
        set_seed(seed)
        return random.random(), np.random.random(), float(keras.random.uniform(()))

    assert draw(5) == draw(5)
    assert all(a != b for a, b in zip(draw(5), draw(6), strict=True))


def test_a_seed_repeats_a_training():
    def train():
        set_seed(1)
        network = small_network()
        fit(with_augmentation(network, RandomAffine(seed=1)), epochs=1)
        return network.get_weights()

    for once, again in zip(train(), train(), strict=True):
        assert once == pytest.approx(again, abs=1e-6)


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_the_ends_of_the_seeds_are_allowed(seed):
    set_seed(seed)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, "0", None, True])
def test_bad_seeds_are_refused(seed):
    with pytest.raises(ValueError, match="expected a whole number from 0 to"):
        set_seed(seed)


# --- forget_networks


def alive_graphs():
    from tensorflow.python.framework.func_graph import FuncGraph

    gc.collect()
    return sum(isinstance(thing, FuncGraph) for thing in gc.get_objects())


def test_networks_out_of_use_are_freed():
    forget_networks()
    before = alive_graphs()
    fit(small_network(), epochs=1)
    fit(with_augmentation(small_network(), RandomAffine()), epochs=1)
    assert alive_graphs() > before
    forget_networks()
    assert alive_graphs() <= before


def test_networks_in_use_keep_working():
    network = small_network()
    trainer = compiled(with_augmentation(network, RandomAffine(seed=0)))
    images, labels = some_digits()
    trainer.fit(images, labels, epochs=1, verbose=0)
    predicted = network.predict(images, verbose=0)
    forget_networks()
    assert np.array_equal(network.predict(images, verbose=0), predicted)
    trainer.fit(images, labels, epochs=1, verbose=0)
    trainer.fit(images[:7], labels[:7], epochs=1, verbose=0)  # another shape: traced anew
    assert not np.array_equal(network.predict(images, verbose=0), predicted)


# --- with_augmentation


def test_no_augmenter_gives_the_network_itself():
    network = small_network()
    assert with_augmentation(network, None) is network


def test_training_moves_the_networks_own_weights():
    network = small_network()
    before = [weight.copy() for weight in network.get_weights()]
    trainer = with_augmentation(network, RandomAffine(seed=0))
    assert [id(w) for w in trainer.trainable_weights] == [id(w) for w in network.trainable_weights]
    fit(trainer)
    for old, new in zip(before, network.get_weights(), strict=True):
        assert not np.array_equal(old, new)


def test_the_network_sees_augmented_images_only_while_training():
    class Recorder(keras.layers.Layer):
        """Add an image's pixels up, so that a change shows in the output."""

        def call(self, images):
            return keras.ops.sum(images[:, :, :14], axis=(1, 2, 3))[:, None]

    network = keras.Sequential([keras.layers.Input((28, 28, 1)), Recorder()])
    trainer = with_augmentation(network, RandomAffine(shift=0.5, seed=0))
    images, _ = some_digits(8)
    plain = np.array(network(images, training=True))
    assert np.array_equal(trainer.predict(images, verbose=0), plain)
    assert np.array_equal(network.predict(images, verbose=0), plain)
    assert not np.allclose(trainer(images, training=True), plain)


def test_predictions_and_scores_are_of_plain_images():
    network = small_network()
    trainer = with_augmentation(network, RandomAffine(rotation=90, seed=0))
    fit(trainer)
    images, labels = some_digits()
    assert np.array_equal(trainer.predict(images, verbose=0), network.predict(images, verbose=0))
    assert trainer.evaluate(images, labels, verbose=0) == pytest.approx(
        compiled(network).evaluate(images, labels, verbose=0)
    )


@pytest.mark.filterwarnings("ignore:Model doesn't support")
def test_training_works_where_keras_would_turn_xla_on():
    # On a GPU Keras compiles with XLA unless a layer says no; TensorFlow cannot resample there.
    images, labels = some_digits()
    trainer = with_augmentation(small_network(), RandomAffine(seed=0))
    trainer.compile("sgd", "sparse_categorical_crossentropy", jit_compile=True)
    assert trainer.jit_compile is False
    trainer.fit(images, labels, epochs=1, verbose=0)


def test_the_trainer_comes_uncompiled_with_the_networks_shapes():
    network = small_network()
    trainer = with_augmentation(network, RandomAffine())
    assert not trainer.compiled
    assert trainer.input_shape == network.input_shape
    assert trainer.output_shape == network.output_shape
    assert trainer.count_params() == network.count_params()


def test_the_network_can_be_saved_without_the_augmenter(tmp_path):
    network = small_network()
    fit(with_augmentation(network, RandomAffine(seed=0)))
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    assert not any(isinstance(layer, RandomAffine) for layer in loaded.layers)
    images, _ = some_digits()
    assert np.array_equal(loaded.predict(images, verbose=0), network.predict(images, verbose=0))


# --- history_frame


def test_history_frame_counts_epochs_from_one():
    frame = history_frame(fit(small_network(), epochs=3, validation_data=some_digits(seed=1)))
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.index) == [1, 2, 3]
    assert frame.index.name == "epoch"
    assert {"loss", "accuracy", "val_loss", "val_accuracy"} <= set(frame.columns)


def test_history_frame_keeps_the_learning_rate():
    plateau = keras.callbacks.ReduceLROnPlateau(monitor="accuracy", mode="min", patience=1)
    frame = history_frame(fit(small_network(), epochs=2, callbacks=[plateau]))
    assert frame["learning_rate"].tolist() == pytest.approx([0.01, 0.01])


def test_no_epoch_makes_no_history():
    history = fit(small_network(), epochs=0)
    with pytest.raises(ValueError, match="found no epoch .*; train one at least"):
        history_frame(history)


# --- LiveProgress


def test_outside_ipython_one_line_is_printed_at_the_end(capsys):
    fit(small_network(), epochs=2, callbacks=[LiveProgress("Small network")])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("Small network: 2 epochs in ")


class Screen:
    """Stand in for a notebook's output: remember what is shown under which id."""

    display_id = "the-line"

    def __init__(self):
        self.shown = []

    def display(self, line, display_id=None):
        assert display_id is True
        self.shown.append(repr(line))
        return self

    def update(self, line, display_id=None):
        assert display_id == self.display_id
        self.shown.append(repr(line))


@pytest.fixture
def screen(monkeypatch):
    screen = Screen()
    monkeypatch.setattr(training, "get_ipython", lambda: object())
    monkeypatch.setattr(training, "display", screen.display)
    monkeypatch.setattr(training, "update_display", screen.update)
    return screen


def test_inside_ipython_one_line_updates_itself(screen, capsys):
    progress = LiveProgress("Small network")
    fit(small_network(), epochs=2, callbacks=[progress], validation_data=some_digits(seed=1))
    first, one, two, last = screen.shown
    assert first == "Small network: starting"
    assert one.startswith("Small network: epoch 1 of 2, accuracy 0.")
    assert ", validation accuracy 0." in two
    assert last.startswith("Small network: 2 epochs in ")
    assert not capsys.readouterr().out


def test_without_metrics_the_line_says_just_the_epoch(screen):
    images, labels = some_digits()
    model = compiled(small_network(), metrics=())
    model.fit(images, labels, epochs=1, verbose=0, callbacks=[LiveProgress()])
    assert screen.shown[1].startswith("Training: epoch 1 of 1, ")
    assert ", ," not in screen.shown[1]
    assert screen.shown[2].startswith("Training: 1 epoch in ")


def test_progress_can_be_used_again(screen):
    progress = LiveProgress()
    fit(small_network(), epochs=2, callbacks=[progress])
    fit(small_network(), epochs=0, callbacks=[progress])
    assert screen.shown[-1].startswith("Training: 0 epochs in ")


def test_inside_a_real_ipython_shell_the_same_line_is_updated():
    shell = InteractiveShell.instance()
    published = []
    publish = shell.display_pub.publish
    shell.display_pub.publish = lambda data, metadata=None, **rest: published.append((data, rest))
    try:
        fit(small_network(), epochs=2, callbacks=[LiveProgress("Real shell")])
    finally:
        shell.display_pub.publish = publish
        InteractiveShell.clear_instance()
    texts = [data["text/plain"] for data, _ in published]
    ids = {rest["transient"]["display_id"] for _, rest in published}
    assert texts[0] == "Real shell: starting"
    assert len(texts) == 4
    assert len(ids) == 1
    assert [bool(rest.get("update")) for _, rest in published] == [False, True, True, True]
