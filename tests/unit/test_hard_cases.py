"""Traits of handwriting, on drawings whose traits are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from digit_utils.hard_cases import find_unusual, measure_traits


def blank():
    return np.zeros((28, 28), np.uint8)


def upright(width=3):
    image = blank()
    image[4:24, 12 : 12 + width] = 255
    return image


def ring():
    rows, columns = np.mgrid[:28, :28]
    distance = np.hypot(rows - 14, columns - 14)
    return np.where((distance > 5) & (distance < 8), 255, 0).astype(np.uint8)


def leaning(degrees):
    image = blank()
    for row in range(4, 24):
        column = 14 + round((14 - row) * np.tan(np.radians(degrees)))
        image[row, column - 1 : column + 2] = 255
    return image


def test_an_upright_stroke():
    (traits,) = measure_traits(upright()[None]).to_dict("records")
    assert (traits["parts"], traits["loops"]) == (1, 0)
    assert traits["thickness"] == pytest.approx(3, abs=0.5)
    assert traits["slant"] == pytest.approx(0, abs=1)
    assert traits["proportion"] == pytest.approx(3 / 20)


@pytest.mark.parametrize("degrees", [-30, 15, 30])
def test_slant_is_measured_to_the_right(degrees):
    assert measure_traits(leaning(degrees)[None])["slant"][0] == pytest.approx(degrees, abs=4)


def test_thick_strokes_are_thicker():
    thin, thick = measure_traits(np.stack([upright(2), upright(6)]))["thickness"]
    assert thick - thin == pytest.approx(4, abs=1.5)


def test_loops_and_parts_are_counted():
    broken = ring()
    broken[13:16] = 0
    counts = measure_traits(np.stack([ring(), broken]))[["parts", "loops"]].to_numpy().tolist()
    assert counts == [[1, 1], [2, 0]]


def test_a_speck_is_no_part():
    image = upright()
    image[2, 25] = 255
    assert measure_traits(image[None])["parts"][0] == 1


def test_an_image_without_ink_has_no_measures():
    traits = measure_traits(blank()[None]).iloc[0]
    assert traits["parts"] == 0
    assert traits[["thickness", "slant", "proportion"]].isna().all()


@pytest.mark.parametrize("images", [np.zeros((2, 28, 28)), np.zeros((28, 28), np.uint8)])
def test_other_images_are_refused(images):
    with pytest.raises(ValueError, match="expected uint8"):
        measure_traits(images)


def test_what_is_rare_for_a_digit_is_unusual():
    usual = pd.DataFrame({"loops": [1] * 99 + [0] + [0] * 100, "slant": [*range(100)] * 2})
    digits = np.repeat([0, 1], 100)
    found = find_unusual(
        pd.DataFrame({"loops": [0, 0, 1], "slant": [50.0, 99.5, np.nan]}), [0, 1, 0], usual, digits
    )
    assert found["loops"].tolist() == [True, False, False]
    assert found["slant"].tolist() == [False, True, True]


def test_a_digit_without_others_is_refused():
    traits = pd.DataFrame({"loops": [0]})
    with pytest.raises(ValueError, match="no image of a 3 among 1 .* more images"):
        find_unusual(traits, [3], traits, [1])
