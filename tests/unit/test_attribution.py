"""Attributions, on networks whose answer is known to come from one place."""

import keras
import numpy as np
import pytest

from digit_utils.attribution import grad_cam, occlusion, saliency

ROW, COLUMN = 6, 20  # the only pixel that the network below looks at


@pytest.fixture(scope="module")
def one_pixel():
    """Class 3 scores three times one pixel, class 5 minus that pixel, the others nothing."""
    network = keras.Sequential(
        [
            keras.layers.Input((28, 28, 1)),
            keras.layers.Conv2D(1, 1, kernel_initializer="ones"),
            keras.layers.Flatten(),
            keras.layers.Dense(10, kernel_initializer="zeros"),
        ]
    )
    kernel = np.zeros((784, 10), np.float32)
    kernel[ROW * 28 + COLUMN, [3, 5]] = 3, -1
    network.layers[-1].set_weights([kernel, np.zeros(10, np.float32)])
    return network


@pytest.fixture
def images():
    return np.ones((2, 28, 28, 1), np.float32)


def test_saliency_finds_the_pixel_and_its_slope(one_pixel, images):
    maps = saliency(one_pixel, images, [3, 5])
    assert maps.shape == (2, 28, 28)
    assert [maps[0, ROW, COLUMN], maps[1, ROW, COLUMN]] == pytest.approx([3, 1])
    assert np.count_nonzero(maps) == 2


def test_grad_cam_shows_what_speaks_for_a_class_only(one_pixel, images):
    images[:, : ROW + 1] = 0.5
    bright = grad_cam(one_pixel, images, [3, 5], after=0)
    assert bright[0, 20, 5] == pytest.approx(2 * bright[0, 3, 5])  # the map, weighted as a whole
    assert not bright[1].any()


def test_occlusion_falls_where_the_pixel_is_hidden(one_pixel, images):
    maps = occlusion(one_pixel, images, [3, 5], size=4, step=2)
    assert np.unravel_index(maps[0].argmax(), (28, 28)) == (ROW, COLUMN)
    assert maps[0, ROW, COLUMN] == pytest.approx(3)
    assert maps[1].min() == pytest.approx(-1)
    assert not maps[:, :, :14].any()


def test_what_does_not_fit_is_refused(one_pixel, images):
    with pytest.raises(ValueError, match="one class for each"):
        saliency(one_pixel, images, [3])
    with pytest.raises(ValueError, match="expected maps"):
        grad_cam(one_pixel, images, [3, 5], after=1)
    with pytest.raises(ValueError, match="step <= size"):
        occlusion(one_pixel, images, [3, 5], size=3, step=4)
