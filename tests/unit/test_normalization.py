"""Fused batch normalisation is batch normalisation; folded away, the network stays the same."""

import keras
import numpy as np
import pytest
from keras import layers

from digit_utils.models import build_fast_cnn
from digit_utils.normalization import FusedBatchNormalization, fold_batch_normalization


def maps(seed=0, shape=(64, 5, 5, 3)):
    return np.random.default_rng(seed).normal(2.0, 3.0, shape).astype("float32")


@pytest.mark.parametrize("scale", [True, False])
def test_fused_computes_what_keras_computes(scale):
    fused, plain = FusedBatchNormalization(scale=scale), layers.BatchNormalization(scale=scale)
    images = maps()
    assert np.array(fused(images, training=True)) == pytest.approx(
        np.array(plain(images, training=True)), abs=1e-3
    )
    for once, again in zip(fused.get_weights(), plain.get_weights(), strict=True):
        assert once == pytest.approx(again, rel=2e-3)  # the kernel divides by n - 1
    assert np.array(fused(images)) == pytest.approx(np.array(plain(images)), abs=1e-2)


def test_fused_has_the_same_gradients():
    found = []
    for layer in (FusedBatchNormalization(), layers.BatchNormalization()):
        keras.utils.set_random_seed(3)
        network = keras.Sequential(
            [layers.Input((5, 5, 3)), layers.Conv2D(4, 3), layer, layers.ReLU(), layers.Flatten()]
        )
        network.add(layers.Dense(1))
        network.compile(keras.optimizers.SGD(0.01), "mse")
        network.fit(maps(), np.arange(64.0), batch_size=64, epochs=3, shuffle=False, verbose=0)
        found.append(network.get_weights())
    for fused, plain in zip(*found, strict=True):
        assert fused == pytest.approx(plain, rel=1e-2, abs=2e-3)


@pytest.mark.parametrize(
    "options", [{"axis": 1}, {"center": False}, {"dtype": "mixed_bfloat16"}, {"synchronized": True}]
)
def test_what_the_kernel_cannot_do_falls_back_to_keras(options):
    fused, plain = FusedBatchNormalization(**options), layers.BatchNormalization(**options)
    ours, theirs = fused(maps(), training=True), plain(maps(), training=True)
    assert np.array(ours, "float32") == pytest.approx(np.array(theirs, "float32"))


def test_a_frozen_layer_keeps_its_statistics():
    layer = FusedBatchNormalization()
    layer(maps(), training=False)
    layer.trainable = False
    before = layer.get_weights()
    layer(maps(), training=True)
    for once, again in zip(before, layer.get_weights(), strict=True):
        assert once == pytest.approx(again)


def trained(network):
    """Give the normalisation statistics that are not those it begins with."""
    network.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    generator = np.random.default_rng(0)
    images = generator.random((200, 28, 28, 1), dtype=np.float32)
    network.fit(images, generator.integers(0, 10, 200), epochs=2, verbose=0)
    return network, images


def test_a_folded_network_predicts_the_same_without_normalisation():
    network, images = trained(build_fast_cnn(4))
    folded = fold_batch_normalization(network)
    assert not any(isinstance(layer, layers.BatchNormalization) for layer in folded.layers)
    assert folded.count_params() < network.count_params()
    expected = network.predict(images, verbose=0)
    assert folded.predict(images, verbose=0) == pytest.approx(expected, abs=1e-3)
    assert np.ptp(expected, axis=0).max() > 1e-2, "the comparison means something"


def test_folding_leaves_the_original_as_it_is():
    network, images = trained(build_fast_cnn(2))
    before = network.predict(images, verbose=0)
    folded = fold_batch_normalization(network)
    folded.set_weights([weight * 0 for weight in folded.get_weights()])
    assert network.predict(images, verbose=0) == pytest.approx(before)


@pytest.mark.parametrize(
    "middle",
    [
        [layers.Conv2D(3, 3), layers.BatchNormalization(), layers.ReLU()],
        [layers.Conv2D(3, 3, use_bias=False), layers.BatchNormalization(center=False)],
        [layers.Conv2D(3, 3), layers.Dropout(0.5), layers.BatchNormalization(scale=False)],
        [
            layers.Conv2D(3, 3, use_bias=False),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.BatchNormalization(scale=False),
        ],
    ],
    ids=["bias and scale", "no centre", "dropout between", "two for one convolution"],
)
def test_every_kind_of_normalisation_is_folded_right(middle):
    network = keras.Sequential(
        [layers.Input((28, 28, 1)), *middle, layers.Flatten(), layers.Dense(10)]
    )
    for layer in network.layers:
        if isinstance(layer, layers.BatchNormalization):
            # As after a training: nothing is at the value it begins with.
            layer.set_weights([np.linspace(0.5, 2, 3) + i for i in range(len(layer.weights))])
    images = np.random.default_rng(1).random((20, 28, 28, 1), dtype=np.float32)
    folded = fold_batch_normalization(network)
    assert "BatchNormalization" not in [type(layer).__name__ for layer in folded.layers]
    assert folded.predict(images, verbose=0) == pytest.approx(
        network.predict(images, verbose=0), abs=1e-3
    )


def test_a_network_that_is_no_chain_is_refused():
    entry = layers.Input((8, 8, 1))
    with pytest.raises(ValueError, match="expected a Sequential"):
        fold_batch_normalization(keras.Model(entry, layers.Conv2D(2, 3)(entry)))


def test_a_scale_that_may_be_negative_is_not_folded_through_pooling():
    network = keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(2, 3),
            layers.MaxPooling2D(),
            layers.BatchNormalization(),
        ]
    )
    with pytest.raises(ValueError, match="scale=False"):
        fold_batch_normalization(network)


@pytest.mark.parametrize("before", [layers.ReLU(), layers.Conv2D(2, 3, activation="relu")])
def test_normalisation_after_an_activation_is_refused(before):
    network = keras.Sequential([layers.Input((8, 8, 1)), before, layers.BatchNormalization()])
    with pytest.raises(ValueError, match="does not follow a convolution"):
        fold_batch_normalization(network)


def test_folding_refuses_a_normalisation_along_another_axis():
    network = keras.Sequential(
        [
            keras.layers.Input((6, 6, 1)),
            keras.layers.Conv2D(6, 3, padding="same"),
            keras.layers.BatchNormalization(axis=1),
        ]
    )
    with pytest.raises(ValueError, match="along axis 1; expected 3"):
        fold_batch_normalization(network)
