"""Attributions, on networks whose answer is known to come from one place, and the chapter's own."""

import ast

import keras
import numpy as np
import pytest
from helpers import ROOT
from keras import ops

from digit_utils import attribution
from digit_utils.attribution import grad_cam, gradient, hires_cam, occlusion, saliency
from digit_utils.models import build_fast_cnn

ROW, COLUMN = 6, 20  # the only pixel that the first network below looks at
LAST_MAPS = 16  # layer of the lean network


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


@pytest.fixture(scope="module")
def lean():
    """A small lean network with biases that are not 0."""
    keras.utils.set_random_seed(0)
    network = build_fast_cnn(width=2)
    kernel, bias = network.layers[-1].get_weights()
    network.layers[-1].set_weights([kernel, bias + np.arange(10)])
    return network


@pytest.fixture
def images():
    return np.ones((2, 28, 28, 1), np.float32)


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).random((5, 28, 28, 1), np.float32)


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


def test_hires_cam_shows_the_pixel_alone(one_pixel, images):
    maps = hires_cam(one_pixel, images / 2, [3, 5], after=0)
    assert [maps[0, ROW, COLUMN], maps[1, ROW, COLUMN]] == pytest.approx([1.5, -0.5])
    assert np.count_nonzero(maps) == 2


def test_the_parts_of_hires_cam_and_the_bias_add_up_to_the_logit(lean, noise):
    logits = lean.predict(noise, verbose=0)
    bias = lean.layers[-1].get_weights()[1]
    for digit in range(10):
        parts = hires_cam(lean, noise, [digit] * len(noise), after=LAST_MAPS)
        assert parts.shape == (len(noise), 3, 3)
        assert parts.sum(axis=(1, 2)) + bias[digit] == pytest.approx(logits[:, digit], abs=1e-5)


def test_occlusion_falls_where_the_pixel_is_hidden(one_pixel, images):
    maps = occlusion(one_pixel, images, [3, 5], size=4, step=2)
    assert maps.shape == (2, 13, 13)
    falls = maps[:, 2:4, 9:11]  # of the squares that hold it
    assert [*falls[0].flat, *falls[1].flat] == pytest.approx([3] * 4 + [-1] * 4)
    assert np.count_nonzero(maps) == 8


@pytest.mark.parametrize("name", ["saliency", "occlusion", "grad_cam", "hires_cam"])
def test_the_lines_in_the_chapter_do_what_the_module_does(lean, noise, name):
    script = ROOT / "notebooks" / "11_looking_inside.py"
    nodes = ast.parse(script.read_text(encoding="utf-8")).body
    taught = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    names = {"keras": keras, "np": np, "ops": ops, "gradient": gradient}
    exec(compile(ast.Module(taught, []), script.name, "exec"), names)
    more = {"after": LAST_MAPS} if name.endswith("cam") else {}
    digits = np.arange(len(noise))
    in_chapter = names[name](lean, noise, digits, **more)
    in_module = getattr(attribution, name)(lean, noise, digits, **more)
    assert in_chapter.shape == in_module.shape and np.ptp(in_module) > 0
    assert in_chapter == pytest.approx(in_module, abs=1e-5)


def test_what_does_not_fit_is_refused(one_pixel, images):
    with pytest.raises(ValueError, match="one digit for each"):
        saliency(one_pixel, images, [3])
    with pytest.raises(ValueError, match="expected maps"):
        grad_cam(one_pixel, images, [3, 5], after=1)
    with pytest.raises(ValueError, match="step <= size"):
        occlusion(one_pixel, images, [3, 5], size=3, step=4)
