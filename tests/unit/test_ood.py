"""Images that show no digit."""

from __future__ import annotations

import numpy as np
import pytest

from digit_utils import ood

DIGITS = np.zeros((4, 28, 28), np.uint8)
DIGITS[:, 8:20, 12:16] = np.array([50, 100, 150, 200], np.uint8)[:, None, None]


def made():
    return {
        "letters": ood.printed_letters(60)[0],
        "shapes": ood.drawn_shapes(60),
        "noise": ood.noise(60),
        "two": ood.two_at_once(DIGITS, np.arange(4), 60),
        "shuffled": ood.shuffled_pixels(DIGITS),
    }


@pytest.mark.parametrize("kind", ["letters", "shapes", "noise", "two", "shuffled"])
def test_they_look_like_digits_to_a_network(kind):
    images = made()[kind]
    assert images.dtype == np.uint8
    assert images.shape == (4 if kind == "shuffled" else 60, 28, 28)
    assert images.max() > 0
    np.testing.assert_array_equal(images, made()[kind], "the same seed, the same images")


@pytest.mark.parametrize("kind", ["letters", "shapes"])
def test_drawings_lie_where_mnist_puts_digits(kind):
    images = made()[kind].astype(float)
    grid = np.arange(28)
    ink = images.sum(axis=(1, 2))
    for axis in (1, 2):
        centres = (images.sum(axis=3 - axis) * grid).sum(axis=1) / ink
        assert centres.min() >= 13.45 and centres.max() <= 14.55
        extent = [np.ptp(np.flatnonzero(image.any(axis=2 - axis))) + 1 for image in images]
        assert max(extent) <= 20
    assert images.max(axis=(1, 2)).min() > 150


def test_every_letter_can_be_printed_and_none_looks_like_a_digit():
    _, letters = ood.printed_letters(3000)
    assert set(letters) == set(ood.LETTERS)
    assert len(ood.LETTERS) == 36
    assert not set("IOloSsZzBbGgQqDi") & set(letters)


def test_another_seed_gives_other_letters():
    assert ood.printed_letters(30)[1] != ood.printed_letters(30, seed=1)[1]


def test_shuffled_pixels_keep_their_ink_and_lose_their_places():
    shuffled = ood.shuffled_pixels(DIGITS)
    np.testing.assert_array_equal(np.sort(shuffled.reshape(4, -1)), np.sort(DIGITS.reshape(4, -1)))
    assert not np.array_equal(shuffled, DIGITS)


def test_two_at_once_are_two_different_digits():
    labels = np.array([0, 1])
    pair = np.zeros((2, 28, 28), np.uint8)
    pair[0, 0], pair[1, 27] = 255, 255
    images = ood.two_at_once(pair, labels, 10)
    assert np.all(images[:, 0] == 255) and np.all(images[:, 27] == 255)
    with pytest.raises(ValueError, match="different"):
        ood.two_at_once(pair, np.zeros(2, int), 10)
