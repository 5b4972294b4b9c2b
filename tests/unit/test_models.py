"""The networks, layer by layer and weight by weight, and their batch normalisation."""

import keras
import numpy as np
import pytest
from keras import layers

from digit_utils.models import (
    FusedBatchNormalization,
    build_base_cnn,
    build_double_conv_cnn,
    build_fast_cnn,
    build_shipped_cnn,
)


def names_of(network):
    return [layer.__class__.__name__ for layer in network.layers]


def of_kind(network, kind):
    return [layer for layer in network.layers if isinstance(layer, kind)]


BLOCK = ["Conv2D", "Conv2D", "MaxPooling2D", "Dropout"]


@pytest.mark.parametrize(
    ("build", "names", "filters", "weights"),
    [
        (build_base_cnn, ["Conv2D", "MaxPooling2D"] * 3 + ["Flatten", "Dense", "Dense"],
         [32, 64, 128], 619_786),
        (build_double_conv_cnn, BLOCK * 3 + ["Flatten", "Dense", "Dropout", "Dense"],
         [32, 32, 64, 64, 128, 128], 813_546),
    ],
)  # fmt: skip
def test_layers_kernels_padding_and_activations_are_the_posts(build, names, filters, weights):
    network = build()
    assert names_of(network) == names
    assert network.count_params() == weights
    convolutions = of_kind(network, layers.Conv2D)
    assert [layer.filters for layer in convolutions] == filters
    for layer in convolutions:
        assert (layer.kernel_size, layer.padding) == ((3, 3), "same")
        assert layer.activation is keras.activations.relu
    pooled = of_kind(network, layers.MaxPooling2D)
    assert [layer.output.shape[1] for layer in pooled] == [14, 7, 4]
    assert {layer.rate for layer in of_kind(network, layers.Dropout)} <= {0.3}


@pytest.mark.parametrize(
    "build", [build_base_cnn, lambda: build_double_conv_cnn(4), lambda: build_shipped_cnn(2)]
)
def test_an_uncompiled_network_predicts_probabilities_and_the_same_when_saved(build, tmp_path):
    network = build()
    assert not network.compiled
    images = np.random.default_rng(0).random((3, 28, 28, 1), dtype=np.float32)
    probabilities = network.predict(images, verbose=0)
    assert probabilities.shape == (3, 10) and probabilities.min() >= 0
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    assert np.array_equal(loaded.predict(images, verbose=0), probabilities)


def test_width_dropout_and_dense_units_are_used_and_bad_dropout_is_refused():
    network = build_double_conv_cnn(width=8, dropout=(0.1, 0.2, 0, 0.5), dense_units=64)
    assert [layer.filters for layer in of_kind(network, layers.Conv2D)] == [8, 8, 16, 16, 32, 32]
    assert [layer.rate for layer in of_kind(network, layers.Dropout)] == [0.1, 0.2, 0, 0.5]
    assert [layer.units for layer in of_kind(network, layers.Dense)] == [64, 10]
    for dropout in ((0.3,), (0.3, 0.3, 0.3, 1), (-0.1, 0.3, 0.3, 0.3)):
        with pytest.raises(ValueError, match="dropout is .*; expected four fractions"):
            build_double_conv_cnn(width=4, dropout=dropout)


def test_fast_cnn_halves_the_image_first_and_can_do_without_normalisation_or_with_dropout():
    network = build_fast_cnn(width=4)
    block = ["Conv2D", "FusedBatchNormalization", "ReLU"]
    pooled = ["Conv2D", "MaxPooling2D", "FusedBatchNormalization", "ReLU"]
    assert names_of(network) == block + pooled + block + pooled + block + ["Flatten", "Dense"]
    shapes = [layer.output.shape[1:] for layer in of_kind(network, layers.Conv2D)]
    assert shapes == [(14, 14, 4), (14, 14, 8), (7, 7, 16), (7, 7, 16), (3, 3, 32)]
    assert network.output_shape == (None, 10)
    names = names_of(build_fast_cnn(2, "none", dropout=0.5))
    assert "Dropout" in names
    assert not any("Normalization" in name for name in names)
    assert "BatchNormalization" in names_of(build_fast_cnn(2, "keras"))
    with pytest.raises(ValueError, match="normalization is 'layer'; expected one of"):
        build_fast_cnn(2, "layer")


def maps():
    return np.random.default_rng(0).normal(2.0, 3.0, (64, 5, 5, 3)).astype("float32")


@pytest.mark.parametrize("scale", [True, False])
def test_fused_computes_what_keras_computes(scale):
    found = []
    for kind in (FusedBatchNormalization, layers.BatchNormalization):
        layer = kind(scale=scale)
        images = keras.ops.convert_to_tensor(maps())
        found.append([layer(images, training=True), *layer.get_weights(), layer(images)])
    for fused, plain in zip(*found, strict=True):
        # The kernel divides by n - 1.
        assert np.array(fused) == pytest.approx(np.array(plain), rel=2e-3, abs=1e-2)


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


@pytest.mark.parametrize("options", [{"axis": 1}, {"center": False}, {"dtype": "mixed_bfloat16"}])
def test_what_the_kernel_cannot_do_falls_back_to_keras(options):
    fused, plain = FusedBatchNormalization(**options), layers.BatchNormalization(**options)
    ours, theirs = fused(maps(), training=True), plain(maps(), training=True)
    assert np.array(ours, "float32") == pytest.approx(np.array(theirs, "float32"))
