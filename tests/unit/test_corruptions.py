"""Corrupted digits: more so with severity, and the same every time."""

import numpy as np
import pytest

from digit_utils.corruptions import CORRUPTIONS, SEVERITIES, corrupt, transform
from digit_utils.data import load_digits


@pytest.fixture(scope="module")
def images():
    return load_digits().images[:40]


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_it_grows_with_severity_is_repeatable_and_leaves_the_images_alone(images, corruption):
    before = images.copy()
    corrupted = [corrupt(images, corruption, severity, seed=5) for severity in SEVERITIES]
    assert corrupted[2].dtype == np.uint8 and corrupted[2].shape == images.shape
    change = [np.abs(one.astype(int) - images).mean() for one in corrupted]
    assert change[0] > 0.1 and change == sorted(change) and len(CORRUPTIONS) == 15
    np.testing.assert_array_equal(corrupted[2], corrupt(images, corruption, 3, seed=5))
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, (4, 14)),
        ({"rotation": 90}, (14, 4)),  # the top goes to the left: anticlockwise
        ({"rotation": np.array([180])}, (24, 14)),
        ({"shift": (3, -2)}, (7, 12)),
        ({"shear": 0.5}, (4, 19)),  # the top leans to the right
        ({"zoom": 1.3}, (1, 14)),
    ],
)
def test_a_dot_lands_where_the_words_say(change, expected):
    dot = np.zeros((1, 29, 29))
    dot[0, 4, 14] = 1
    moved = transform(dot, **change)
    assert np.unravel_index(moved.argmax(), moved.shape)[1:] == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"corruption": "rain"}, "expected one of shot noise"),
        ({"severity": 0}, "expected 1, 2, 3, 4 or 5"),
        ({"images": np.zeros((2, 14, 14), np.uint8)}, "expected uint8"),
    ],
)
def test_what_it_does_not_know_is_refused(images, change, message):
    with pytest.raises(ValueError, match=message):
        corrupt(**{"images": images, "corruption": "fog", "severity": 1, **change})
