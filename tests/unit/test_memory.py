"""Freeing networks: what training leaves in TensorFlow's registry goes, networks still predict."""

from __future__ import annotations

import gc
import sys

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from digit_utils.memory import free_networks  # noqa: E402

IMAGES = np.random.default_rng(0).random((32, 4, 4, 1)).astype(np.float32)
LABELS = np.arange(32) % 10


def train():
    network = keras.Sequential(
        [
            keras.layers.Input((4, 4, 1)),
            keras.layers.Conv2D(2, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    network.compile("adam", "sparse_categorical_crossentropy")
    network.fit(IMAGES, LABELS, batch_size=16, epochs=1, verbose=0)
    return network


def count_objects():
    gc.collect()
    return len(gc.get_objects())


def test_training_many_networks_does_not_pile_up_objects():
    counts = []
    for _ in range(5):
        train()
        free_networks()
        counts.append(count_objects())
    # One training's graph is thousands of objects; without the purge every round adds them.
    assert counts[-1] - counts[1] < 1000


def test_a_network_still_in_use_predicts_the_same():
    network = train()
    before = network.predict(IMAGES, verbose=0)
    free_networks()
    np.testing.assert_allclose(network.predict(IMAGES, verbose=0), before, rtol=1e-6)


def test_a_network_still_in_use_can_be_trained_again():
    network = train()
    free_networks()
    network.compile("adam", "sparse_categorical_crossentropy")
    history = network.fit(IMAGES, LABELS, batch_size=16, epochs=1, verbose=0)
    assert np.isfinite(history.history["loss"][0])


def test_tensorflows_own_gradients_stay():
    operations = sys.modules.get("tensorflow.python.framework.ops")
    if operations is None:
        pytest.skip("another backend")
    train()
    free_networks()
    names = set(operations.gradient_registry.list())
    assert "MatMul" in names
    assert not any(name.startswith("CustomGradient-") for name in names)


def test_a_registry_that_has_moved_is_no_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow.python.framework.ops", None)
    free_networks()
