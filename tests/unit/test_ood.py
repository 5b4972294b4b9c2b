"""Images that show no digit."""

import numpy as np
import pytest

from digit_utils import ood

DIGITS = np.zeros((60, 28, 28), np.uint8)
DIGITS[:, 8:20, 12:16] = np.arange(60, dtype=np.uint8)[:, None, None] + 100
MAKE = {
    "letters": ood.printed_letters,
    "shapes": ood.drawn_shapes,
    "noise": ood.noise,
    "two": lambda n, seed=0: ood.two_at_once(DIGITS, np.arange(60), n, seed),
    "shuffled": lambda n, seed=0: ood.shuffled_pixels(DIGITS[:n], seed),
}


@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)
def test_they_look_like_digits_to_a_network(make):
    images = make(60)
    assert images.dtype == np.uint8 and images.shape == (60, 28, 28) and images.max() > 0
    np.testing.assert_array_equal(images, make(60), "the same seed, the same images")
    assert not np.array_equal(images, make(60, seed=1))


@pytest.mark.parametrize("kind", ["letters", "shapes"])
def test_drawings_lie_where_mnist_puts_digits(kind):
    images = MAKE[kind](60).astype(float)
    ink = images.sum(axis=(1, 2))
    for axis in (1, 2):
        centres = (images.sum(axis=3 - axis) * np.arange(28)).sum(axis=1) / ink
        assert centres.min() >= 13.45 and centres.max() <= 14.55
        extent = [np.ptp(np.flatnonzero(image.any(axis=2 - axis))) + 1 for image in images]
        assert max(extent) <= 20
    assert images.max(axis=(1, 2)).min() > 150


def test_shuffled_pixels_keep_their_ink():
    shuffled = ood.shuffled_pixels(DIGITS).reshape(60, -1)
    np.testing.assert_array_equal(np.sort(shuffled), np.sort(DIGITS.reshape(60, -1)))


def test_two_at_once_are_two_different_digits():
    pair = np.zeros((2, 28, 28), np.uint8)
    pair[0, 0], pair[1, 27] = 255, 255
    images = ood.two_at_once(pair, np.array([0, 1]), 10)
    assert np.all(images[:, 0] == 255) and np.all(images[:, 27] == 255)
