"""Spoiled digits: the right corruption of damage, more of it with severity, and the same every time."""

from __future__ import annotations

import numpy as np
import pytest

from digit_utils.corruptions import CORRUPTIONS, SEVERITIES, corrupt, transform
from digit_utils.data import load_digits

each_kind = pytest.mark.parametrize("corruption", CORRUPTIONS)


@pytest.fixture(scope="module")
def images():
    return load_digits().images[:40]


def test_there_are_fifteen_kinds():
    assert len(CORRUPTIONS) == 15
    assert all(len(values) == len(SEVERITIES) for _, values in CORRUPTIONS.values())


@each_kind
def test_damage_grows_with_strength(images, corruption):
    damage = [
        np.abs(corrupt(images, corruption, severity).astype(int) - images).mean()
        for severity in SEVERITIES
    ]
    assert damage[0] > 0.1
    assert damage == sorted(damage)


@each_kind
def test_it_is_repeatable_and_leaves_the_images_alone(images, corruption):
    before = images.copy()
    first, second = corrupt(images, corruption, 3, seed=5), corrupt(images, corruption, 3, seed=5)
    assert first.dtype == np.uint8
    assert first.shape == images.shape
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(images, before)


def dot(row, column):
    image = np.zeros((1, 29, 29))
    image[0, row, column] = 1
    return image


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, (4, 14)),
        ({"rotation": 90}, (14, 4)),  # the top goes to the left: anticlockwise
        ({"rotation": 180}, (24, 14)),
        ({"shift": (3, -2)}, (7, 12)),
        ({"shear": 0.5}, (4, 19)),  # the top leans to the right
        ({"zoom": 1.3}, (1, 14)),
    ],
)
def test_a_dot_lands_where_the_words_say(change, expected):
    moved = transform(dot(4, 14), **change)
    assert np.unravel_index(moved.argmax(), (1, 29, 29))[1:] == expected


def test_each_image_may_have_a_change_of_its_own():
    both = np.concatenate([dot(4, 14), dot(4, 14)])
    moved = transform(both, rotation=np.array([0, 180]))
    assert moved[0, 4, 14] == pytest.approx(1)
    assert moved[1, 24, 14] == pytest.approx(1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"corruption": "rain"}, "expected one of shot noise"),
        ({"severity": 0}, "expected 1, 2, 3, 4 or 5"),
        ({"images": np.zeros((2, 28, 28))}, "expected uint8"),
        ({"images": np.zeros((2, 14, 14), np.uint8)}, "expected uint8"),
    ],
)
def test_what_it_does_not_know_is_refused(images, change, said):
    with pytest.raises(ValueError, match=said):
        corrupt(**{"images": images, "corruption": "fog", "severity": 1, **change})
