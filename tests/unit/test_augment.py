"""RandomAffine: what it may change, what it must leave alone, and what it refuses."""

import keras
import numpy as np
import pytest
from scipy import ndimage

from digit_utils.augment import RandomAffine

NONE = {"rotation": 0, "zoom": 0, "shift": 0}


def images_of(n=4, height=28, width=28, channels=1):
    return np.random.default_rng(0).random((n, height, width, channels), dtype=np.float32)


def change(images, **options):
    """Return the images as the layer hands them on in training; what is not given is 0."""
    return np.array(RandomAffine(**{**NONE, **options})(images, training=True))


def test_shape_dtype_and_range_are_kept():
    images = images_of(500, height=20, channels=3)
    changed = change(images, rotation=180, zoom=0.9, shift=0.9, shear=1)
    assert (changed.shape, changed.dtype) == (images.shape, np.float32)
    # Bilinear weights sum to one, up to rounding.
    assert changed.min() >= -1e-6 and changed.max() <= 1 + 1e-6


def test_every_image_gets_its_own_change_and_every_call_new_ones():
    layer, images = RandomAffine(seed=0), np.repeat(images_of(1), 8, axis=0)
    once, again = (np.array(layer(images, training=True)) for _ in range(2))
    assert len(np.unique([*once, *again], axis=0)) == 16
    assert np.array_equal(RandomAffine(seed=0)(images, training=True), once)
    assert not np.array_equal(RandomAffine(seed=4)(images, training=True), once)


def test_it_acts_only_while_training_and_with_ranges():
    layer, images = RandomAffine(seed=0), images_of(2, height=20, width=30)
    assert np.array_equal(layer(images), images)
    assert np.array_equal(layer(images, training=False), images)
    assert np.array_equal(change(images), images)


@pytest.mark.parametrize("height, width", [(28, 28), (40, 20)])
@pytest.mark.parametrize("shear", [0.0, 0.3])
def test_each_output_pixel_is_read_where_the_formula_says(monkeypatch, height, width, shear):
    """Rotation, zoom along x and y, shift by shares of the size, and shear, about the centre."""
    draws = [0.7, -0.9, 0.4, 0.6, -0.8, 0.5]

    def uniform(shape, low, high, seed):
        assert (shape[0], low, high) == (6 if shear else 5, -1, 1)
        return keras.ops.convert_to_tensor(np.tile(draws[: shape[0]], (shape[1], 1)).T, "float32")

    monkeypatch.setattr(keras.random, "uniform", uniform)
    images = np.pad(images_of(2, height - 4, width - 4), ((0, 0), (2, 2), (2, 2), (0, 0)))
    changed = change(images, rotation=40, zoom=0.3, shift=0.2, shear=shear)
    angle, size = np.radians(40 * 0.7), np.array([height, width])
    # Of rows and columns; what is outside of an image is background.
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.diag([1 + 0.3 * 0.4, 1 - 0.3 * 0.9]) @ [[1, 0], [shear * 0.5, 1]]
    offset = (size - 1) / 2 - matrix @ (size - 1) / 2 + 0.2 * size * [-0.8, 0.6]
    for image, found in zip(images[..., 0], changed[..., 0], strict=True):
        expected = ndimage.affine_transform(image, matrix, offset, order=1)
        assert found == pytest.approx(expected, abs=1e-3)


def test_a_network_with_it_is_saved_and_loaded(tmp_path):
    layer = RandomAffine(rotation=15, zoom=0.2, shift=0.05, shear=0.1, seed=3, name="affine")
    model = keras.Sequential([keras.layers.Input((28, 28, 1)), layer, keras.layers.Flatten()])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras").layers[0]
    names = ("rotation", "zoom", "shift", "shear", "seed", "name")
    assert [getattr(loaded, name) for name in names] == [15, 0.2, 0.05, 0.1, 3, "affine"]


@pytest.mark.parametrize(
    "name, value, expected",
    [
        ("rotation", -1, "rotation is -1; expected degrees from 0 to 180"),
        ("rotation", float("nan"), "rotation is nan; expected degrees"),
        ("zoom", 1, "zoom is 1; expected a fraction of the image's size, from 0 to below 1"),
        ("shift", 2.8, "shift is 2.8; expected a fraction of the image's size"),
        ("shear", -0.1, "shear is -0.1; expected pixels sideways"),
    ],
)
def test_ranges_out_of_bounds_are_refused(name, value, expected):
    with pytest.raises(ValueError, match=expected):
        RandomAffine(**{**NONE, name: value})
    RandomAffine(rotation=180, zoom=0.99, shift=0)  # the ends are allowed
