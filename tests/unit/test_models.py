"""The networks: the post's architecture, layer by layer and weight by weight."""

import keras
import numpy as np
import pytest

from digit_utils.models import build_base_cnn, build_double_conv_cnn, build_fast_cnn

BUILDERS = [build_base_cnn, lambda: build_double_conv_cnn(width=4)]


def names_of(network):
    return [layer.__class__.__name__ for layer in network.layers]


def conv(inputs, filters):
    return 9 * inputs * filters + filters


def dense(inputs, units):
    return inputs * units + units


def test_base_cnn_has_the_posts_layers():
    network = build_base_cnn()
    assert names_of(network) == ["Conv2D", "MaxPooling2D"] * 3 + ["Flatten", "Dense", "Dense"]
    assert [layer.count_params() for layer in network.layers if layer.count_params()] == [
        conv(1, 32),
        conv(32, 64),
        conv(64, 128),
        dense(4 * 4 * 128, 256),
        dense(256, 10),
    ]
    assert network.count_params() == 619_786


def test_double_conv_cnn_has_the_posts_layers():
    network = build_double_conv_cnn()
    block = ["Conv2D", "Conv2D", "MaxPooling2D", "Dropout"]
    assert names_of(network) == block * 3 + ["Flatten", "Dense", "Dropout", "Dense"]
    assert [layer.count_params() for layer in network.layers if layer.count_params()] == [
        conv(1, 32),
        conv(32, 32),
        conv(32, 64),
        conv(64, 64),
        conv(64, 128),
        conv(128, 128),
        dense(4 * 4 * 128, 256),
        dense(256, 10),
    ]
    assert network.count_params() == 813_546


def test_defaults_are_the_posts():
    network = build_double_conv_cnn()
    rates = [layer.rate for layer in network.layers if isinstance(layer, keras.layers.Dropout)]
    assert rates == [0.3] * 4


@pytest.mark.parametrize("build", BUILDERS)
def test_kernels_padding_and_activations(build):
    network = build()
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv2D):
            assert (layer.kernel_size, layer.padding) == ((3, 3), "same")
            assert layer.activation is keras.activations.relu
        if isinstance(layer, keras.layers.MaxPooling2D):
            assert layer.pool_size == (2, 2)
    assert network.layers[-1].activation is keras.activations.softmax
    sizes = [layer.output.shape[1] for layer in network.layers if "Pooling" in type(layer).__name__]
    assert sizes == [14, 7, 4]


@pytest.mark.parametrize("build", BUILDERS)
@pytest.mark.parametrize("n", [1, 3])
def test_outputs_are_probabilities(build, n):
    network = build()
    images = np.random.default_rng(0).random((n, 28, 28, 1), dtype=np.float32)
    probabilities = network.predict(images, verbose=0)
    assert network.output_shape == (None, 10)
    assert probabilities.shape == (n, 10)
    assert probabilities.min() >= 0
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(n), abs=1e-5)


@pytest.mark.parametrize("build", BUILDERS)
def test_networks_come_uncompiled(build):
    assert not build().compiled


@pytest.mark.parametrize("build", BUILDERS)
def test_a_seed_repeats_the_first_weights(build):
    def weights(seed):
        keras.utils.set_random_seed(seed)
        return np.concatenate([w.ravel() for w in build().get_weights()])

    assert np.array_equal(weights(0), weights(0))
    assert not np.array_equal(weights(0), weights(1))


def test_width_dropout_and_dense_units_are_used():
    network = build_double_conv_cnn(width=8, dropout=(0.1, 0.2, 0, 0.5), dense_units=64)
    layers = network.layers
    filters = [layer.filters for layer in layers if isinstance(layer, keras.layers.Conv2D)]
    rates = [layer.rate for layer in layers if isinstance(layer, keras.layers.Dropout)]
    units = [layer.units for layer in layers if isinstance(layer, keras.layers.Dense)]
    assert filters == [8, 8, 16, 16, 32, 32]
    assert rates == [0.1, 0.2, 0, 0.5]
    assert units == [64, 10]


def test_dropout_acts_only_while_training():
    network = build_double_conv_cnn(width=4)
    images = np.ones((1, 28, 28, 1), np.float32)
    assert np.array_equal(network(images, training=False), network(images, training=False))
    assert not np.array_equal(network(images, training=True), network(images, training=True))


@pytest.mark.parametrize(
    "dropout", [(0.3,), (), (0.3,) * 5, (0.3, 0.3, 0.3, 1), (-0.1, 0.3, 0.3, 0.3), (2, 0, 0, 0)]
)
def test_bad_dropout_is_refused(dropout):
    with pytest.raises(ValueError, match="dropout is .*; expected four fractions"):
        build_double_conv_cnn(width=4, dropout=dropout)


@pytest.mark.parametrize("build", BUILDERS)
def test_a_saved_network_predicts_the_same(build, tmp_path):
    network = build()
    images = np.random.default_rng(0).random((2, 28, 28, 1), dtype=np.float32)
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    assert np.array_equal(loaded.predict(images, verbose=0), network.predict(images, verbose=0))


def test_fast_cnn_halves_the_image_first_and_ends_without_a_hidden_layer():
    network = build_fast_cnn(width=4)
    block, pooled = (
        ["Conv2D", "FusedBatchNormalization", "ReLU"],
        ["Conv2D", "MaxPooling2D", "FusedBatchNormalization", "ReLU"],
    )
    assert names_of(network) == block + pooled + block + pooled + block + ["Flatten", "Dense"]
    convolutions = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [layer.output.shape[1:] for layer in convolutions] == [
        (14, 14, 4),
        (14, 14, 8),
        (7, 7, 16),
        (7, 7, 16),
        (3, 3, 32),
    ]
    assert network.output_shape == (None, 10)


def test_fast_cnn_can_do_without_normalisation_or_with_dropout():
    names = names_of(build_fast_cnn(2, "none", dropout=0.5))
    assert "Dropout" in names
    assert not any("Normalization" in name for name in names)
    assert "BatchNormalization" in names_of(build_fast_cnn(2, "keras"))
    with pytest.raises(ValueError, match="normalization is 'layer'; expected one of"):
        build_fast_cnn(2, "layer")
