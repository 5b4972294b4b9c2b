"""Plumbing around fit: seeds, augmentation in front of a network, histories, progress."""

import gc
import random

import keras
import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell

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


def fit(model, epochs=1, metrics=("accuracy",), **options):
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=list(metrics))
    return model.fit(*some_digits(), epochs=epochs, verbose=0, **options)


def test_a_seed_repeats_all_streams_and_a_training():
    def draw(seed):
        set_seed(seed)
        network = small_network()
        fit(with_augmentation(network, RandomAffine(seed=seed)))
        return random.random(), np.random.random(), float(network.get_weights()[0].sum())

    assert draw(5) == pytest.approx(draw(5), abs=1e-5)
    assert all(abs(a - b) > 1e-5 for a, b in zip(draw(5), draw(6), strict=True))


def alive_graphs():
    from tensorflow.python.framework.func_graph import FuncGraph

    gc.collect()
    return sum(isinstance(thing, FuncGraph) for thing in gc.get_objects())


def test_networks_out_of_use_are_freed_and_those_in_use_keep_working():
    forget_networks()
    before = alive_graphs()
    fit(with_augmentation(small_network(), RandomAffine()))
    assert alive_graphs() > before
    forget_networks()
    assert alive_graphs() <= before
    network = small_network()
    trainer = with_augmentation(network, RandomAffine(seed=0))
    fit(trainer)
    images, labels = some_digits()
    predicted = network.predict(images, verbose=0)
    forget_networks()
    assert np.array_equal(network.predict(images, verbose=0), predicted)
    trainer.fit(images[:7], labels[:7], epochs=1, verbose=0)  # another shape: traced anew
    assert not np.array_equal(network.predict(images, verbose=0), predicted)


def test_augmented_training_moves_the_networks_own_weights_and_spares_predictions():
    network = small_network()
    assert with_augmentation(network, None) is network
    trainer = with_augmentation(network, RandomAffine(rotation=90, shift=0.5, seed=0))
    images, _ = some_digits(8)
    plain = network.predict(images, verbose=0)
    assert np.array_equal(trainer.predict(images, verbose=0), plain)
    assert not np.allclose(trainer(images, training=True), plain)
    before = network.get_weights()
    fit(trainer)
    for old, new in zip(before, network.get_weights(), strict=True):
        assert not np.array_equal(old, new)


@pytest.mark.filterwarnings("ignore:Model doesn't support")
def test_training_works_where_keras_would_turn_xla_on():
    # On a GPU Keras compiles with XLA unless a layer says no; TensorFlow cannot resample there.
    trainer = with_augmentation(small_network(), RandomAffine(seed=0))
    trainer.compile("sgd", "sparse_categorical_crossentropy", jit_compile=True)
    assert trainer.jit_compile is False
    trainer.fit(*some_digits(), epochs=1, verbose=0)


def test_a_history_counts_epochs_from_one_and_has_one_at_least():
    frame = history_frame(fit(small_network(), epochs=3, validation_data=some_digits(seed=1)))
    assert (list(frame.index), frame.index.name) == ([1, 2, 3], "epoch")
    assert {"loss", "accuracy", "val_loss", "val_accuracy"} == set(frame.columns)
    with pytest.raises(ValueError, match="found no epoch .*; train one at least"):
        history_frame(fit(small_network(), epochs=0))


def test_outside_ipython_one_line_is_printed_at_the_end(capsys):
    fit(small_network(), epochs=2, callbacks=[LiveProgress("Small network")])
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("Small network: 2 epochs in ")


@pytest.fixture
def published():
    """Gather what a real IPython shell would send to a notebook."""
    shell = InteractiveShell.instance()
    found = []
    publish = shell.display_pub.publish
    shell.display_pub.publish = lambda data, metadata=None, **rest: found.append((data, rest))
    yield found
    shell.display_pub.publish = publish
    InteractiveShell.clear_instance()


def test_inside_ipython_one_line_updates_itself_also_when_used_again(published, capsys):
    progress = LiveProgress("Small network")
    fit(small_network(), epochs=2, callbacks=[progress], validation_data=some_digits(seed=1))
    first, one, two, last = (data["text/plain"] for data, _ in published)
    assert first == "Small network: starting"
    assert one.startswith("Small network: epoch 1 of 2, accuracy 0.")
    assert ", validation accuracy 0." in two
    assert last.startswith("Small network: 2 epochs in ")
    assert len({rest["transient"]["display_id"] for _, rest in published}) == 1
    assert [bool(rest.get("update")) for _, rest in published] == [False, True, True, True]
    assert not capsys.readouterr().out
    fit(small_network(), epochs=1, metrics=(), callbacks=[progress])
    _, without, last = (data["text/plain"] for data, _ in published[4:])
    assert without.startswith("Small network: epoch 1 of 1, ") and ", ," not in without
    assert last.startswith("Small network: 1 epoch in ")
