"""RandomAffine: what it may change, what it must leave alone, and what it refuses."""

import keras
import numpy as np
import pytest

from digit_utils.augment import RandomAffine

NONE = {"rotation": 0, "zoom": 0, "shift": 0}


def images_of(n=4, height=28, width=28, channels=1):
    return np.random.default_rng(0).random((n, height, width, channels), dtype=np.float32)


# One image of an upright bar, symmetric about the image's centre.
BAR = np.zeros((1, 28, 28, 1), np.float32)
BAR[:, 6:22, 12:16] = 1


def change(images, **options):
    """Return the images as the layer hands them on in training; what is not given is 0."""
    return np.array(RandomAffine(**{**NONE, **options})(images, training=True))


def centre_of_mass(image):
    return np.average(np.indices((28, 28)).reshape(2, -1), axis=1, weights=image.ravel())


def lean(image):
    """Return the angle in degrees between the ink's long axis and the vertical, -90 to 90."""
    covariance = np.cov(np.indices((28, 28)).reshape(2, -1), aweights=image.ravel().clip(min=0))
    long_axis = np.linalg.eigh(covariance)[1][:, -1]
    return (np.degrees(np.arctan2(long_axis[1], long_axis[0])) + 90) % 180 - 90


@pytest.fixture
def draw(monkeypatch):
    """Let a test choose the draws in [-1, 1]: angle, zoom x and y, shift x and y, shear."""

    def choose(*draws):
        monkeypatch.setattr(
            keras.random,
            "uniform",
            lambda shape, low, high, seed: keras.ops.tile(
                keras.ops.convert_to_tensor(draws, "float32")[:, None], (1, shape[1])
            ),
        )

    return choose


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


@pytest.mark.parametrize("angle", [-1, 0.5])
def test_rotates_about_the_centre_by_the_angle_drawn(draw, angle):
    draw(angle, 0, 0, 0, 0)
    turned = change(BAR, rotation=40)[0]
    assert centre_of_mass(turned) == pytest.approx([13.5, 13.5], abs=1e-3)
    assert lean(turned) == pytest.approx(40 * angle, abs=1.0)


def test_a_shift_moves_by_a_fraction_of_height_and_width_and_background_enters(draw):
    draw(0, 0, 0, 0.5, -1)
    image = np.zeros((1, 40, 20, 1), np.float32)
    image[0, 20, 10] = 1
    moved = change(image, shift=0.2)[0, ..., 0]
    # The matrix maps output to input, hence the sign.
    assert np.unravel_index(moved.argmax(), moved.shape) == (20 + 8, 10 - 2)
    assert moved.sum() == pytest.approx(1, rel=1e-3)
    draw(0, 0, 0, 1, 0)
    moved = change(np.ones((1, 28, 28, 1), np.float32), shift=0.25)
    assert np.sort(moved.mean(axis=(0, 1, 3))).tolist() == [0] * 7 + [1] * 21


def test_zoom_stretches_height_and_width_separately_and_keeps_the_centre(draw):
    draw(0, -1, 0, 0, 0)  # the input is read in smaller steps along x: the ink gets wider
    zoomed = change(BAR, zoom=0.5)[0]
    assert centre_of_mass(zoomed) == pytest.approx([13.5, 13.5], abs=1e-3)
    assert zoomed.sum(axis=1).max() == pytest.approx(2 * 4, rel=0.05)
    assert zoomed.sum(axis=0).max() == pytest.approx(16, rel=1e-3)


@pytest.mark.parametrize("amount", [-1, 0.5])
def test_shears_rows_sideways_about_the_centre(draw, amount):
    draw(0, 0, 0, 0, 0, amount)
    image = np.zeros((1, 29, 29, 1), np.float32)
    image[0, 4::10, 14] = 1  # dots 10 pixels above the centre, at it, and 10 below
    moved = change(image, shear=0.4)[0, ..., 0]
    columns = [int(moved[row].argmax()) for row in (4, 14, 24)]
    assert columns == [14 + round(4 * amount), 14, 14 - round(4 * amount)]


def test_draws_cover_the_ranges_evenly():
    moved = change(np.repeat(BAR, 2000, axis=0), shift=0.1, seed=0)
    moves = np.array([centre_of_mass(image) for image in moved]) - 13.5
    assert np.abs(moves).max() < 2.81
    for along in moves.T:
        assert np.histogram(along, 4, (-2.81, 2.81))[0] == pytest.approx([500] * 4, abs=90)
    assert abs(np.corrcoef(moves.T)[0, 1]) < 0.1


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
