"""The corruption that a network may be trained with, and the architectures that it is tried on."""

import keras
import numpy as np
import pytest

from digit_utils.corrupt_layer import RandomCorruption
from digit_utils.data import prepare_images
from digit_utils.fast import Recipe, train
from digit_utils.models import ARCHITECTURES, build_fast_cnn, build_shipped_cnn


def test_a_share_of_the_images_is_corrupted_and_only_in_training(digits):
    images = prepare_images(digits.images[:400])
    layer = RandomCorruption(0.5, seed=3)
    assert np.array_equal(layer(images), images)
    shown = np.array(layer(images, training=True))
    assert shown.shape == images.shape and 0 <= shown.min() < shown.max() <= 1
    changed = np.abs(shown - images).max(axis=(1, 2, 3)) > 0
    assert 0.35 < changed.mean() < 0.6  # nearly every touched image gets some part
    again = RandomCorruption.from_config(layer.get_config())
    assert np.array_equal(again(images, training=True), shown)
    assert not np.array_equal(RandomCorruption(0.5, seed=4)(images, training=True), shown)
    with pytest.raises(ValueError, match=r"share is 2; expected a share"):
        RandomCorruption(2)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_learns_also_from_corrupted_images(digits, architecture):
    images, labels = digits.images[:300], digits.labels[:300]
    recipe = Recipe(architecture=architecture, width=2, epochs=1, corruption=0.5)
    network = train(recipe, images, labels).network
    assert np.isfinite(network.predict(prepare_images(images[:5]), verbose=0)).all()
    shipped = build_shipped_cnn(2, architecture)
    assert isinstance(shipped.layers[-1], keras.layers.Softmax) and shipped.output_shape[1] == 10


def test_another_architecture_is_refused():
    with pytest.raises(ValueError, match="architecture is 'wide'; expected one of"):
        build_fast_cnn(architecture="wide")
