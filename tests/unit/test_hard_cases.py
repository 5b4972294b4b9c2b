"""Traits of handwriting, on drawings whose traits are known."""

import numpy as np
import pandas as pd
import pytest
from cleanlab.filter import find_label_issues
from helpers import ROOT
from scipy.special import softmax

from digit_utils.hard_cases import find_unusual, measure_traits
from digits_cli.book import code_sources
from digits_cli.pairing import read_script


def stroke(width=3, degrees=0):
    image = np.zeros((28, 28), np.uint8)
    for row in range(4, 24):
        column = 13 + round((14 - row) * np.tan(np.radians(degrees)))
        image[row, column : column + width] = 255
    return image


def ring():
    distance = np.hypot(*(np.mgrid[:28, :28] - 14))
    return np.where((distance > 5) & (distance < 8), 255, 0).astype(np.uint8)


def test_an_upright_stroke_and_a_thicker_one_with_a_speck():
    thicker = stroke(6)
    thicker[2, 25] = 255
    thin, thick = measure_traits(np.stack([stroke(), thicker])).to_dict("records")
    assert (thin["parts"], thin["loops"]) == (thick["parts"], thick["loops"]) == (1, 0)
    assert thin["thickness"] == pytest.approx(3, abs=0.5)
    assert thick["thickness"] - thin["thickness"] == pytest.approx(3, abs=1.5)
    assert thin["proportion"] == pytest.approx(3 / 20)


@pytest.mark.parametrize("degrees", [-30, 0, 15])
def test_slant_is_measured_to_the_right(degrees):
    slant = measure_traits(stroke(degrees=degrees)[None])["slant"][0]
    assert slant == pytest.approx(degrees, abs=4 if degrees else 1)


def test_loops_and_parts_are_counted():
    broken = ring()
    broken[13:16] = 0
    counts = measure_traits(np.stack([ring(), broken]))[["parts", "loops"]].to_numpy().tolist()
    assert counts == [[1, 1], [2, 0]]


def test_an_image_without_ink_has_no_measures_and_other_images_are_refused():
    traits = measure_traits(np.zeros((1, 28, 28), np.uint8)).iloc[0]
    assert traits["parts"] == 0
    assert traits[["thickness", "slant", "proportion"]].isna().all()
    with pytest.raises(ValueError, match="expected uint8"):
        measure_traits(np.zeros((2, 28, 28)))


def test_what_is_rare_for_a_digit_is_unusual():
    usual = pd.DataFrame({"loops": [1] * 99 + [0] + [0] * 100, "slant": [*range(100)] * 2})
    digits = np.repeat([0, 1], 100)
    traits = pd.DataFrame({"loops": [0, 0, 1], "slant": [50.0, 99.5, np.nan]})
    found = find_unusual(traits, [0, 1, 0], usual, digits)
    assert found["loops"].tolist() == [True, False, False]
    assert found["slant"].tolist() == [False, True, True]
    with pytest.raises(ValueError, match="no image of a 3 among 200 .* more images"):
        find_unusual(traits, [0, 3, 0], usual, digits)


def test_the_rule_that_the_chapter_shows_is_cleanlabs():
    random = np.random.default_rng(0)
    labels = random.integers(0, 10, 2000)
    meant = np.where(random.random(2000) < 0.05, random.integers(0, 10, 2000), labels)
    probabilities = softmax(2 * random.normal(size=(2000, 10)) + 12 * np.eye(10)[meant], axis=1)
    (rule,) = [
        source
        for source in code_sources(read_script(ROOT / "notebooks" / "10_where_it_fails.py"))
        if "def suspect_labels" in source
    ]
    names = {"np": np, "labels": labels, "probabilities": probabilities, "wrong": []}
    exec(rule, names)
    found = find_label_issues(labels, probabilities, filter_by="confident_learning", n_jobs=1)
    assert names["suspects"].tolist() == np.flatnonzero(found).tolist() != []
