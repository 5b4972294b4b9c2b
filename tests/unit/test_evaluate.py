"""Accuracies, Wilson intervals, McNemar's exact test, and the seal on the test labels."""

from __future__ import annotations

import dataclasses
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digit_utils.data import SealedLabelsUnavailable, load_digits, sealed_test_labels
from digit_utils.evaluate import (
    PairedTest,
    accuracy,
    accuracy_interval,
    paired_test,
    score_sealed_test,
)


def outcome(n_correct, n):
    """Labels and predictions of which the first ``n_correct`` agree."""
    labels = np.arange(n) % 10
    return labels, np.where(np.arange(n) < n_correct, labels, (labels + 1) % 10)


def pair(both, only_a, only_b, neither):
    """Labels and two predictions with the given numbers of right answers."""
    labels = np.zeros(both + only_a + only_b + neither, dtype=int)
    correct_a = np.repeat([True, True, False, False], [both, only_a, only_b, neither])
    correct_b = np.repeat([True, False, True, False], [both, only_a, only_b, neither])
    return labels, np.where(correct_a, 0, 1), np.where(correct_b, 0, 2)


# Accuracy


@pytest.mark.parametrize(("n_correct", "n", "expected"), [(0, 4, 0.0), (3, 4, 0.75), (4, 4, 1.0)])
def test_accuracy(n_correct, n, expected):
    result = accuracy(*outcome(n_correct, n))
    assert result == expected
    assert isinstance(result, float)


def test_accuracy_does_not_mind_the_integer_type():
    labels, predicted = outcome(7, 10)
    assert accuracy(labels.astype(np.uint8), predicted.astype(np.int64)) == 0.7
    assert accuracy(labels.tolist(), predicted.tolist()) == 0.7


CALLS = [
    accuracy,
    accuracy_interval,
    lambda labels, predicted: paired_test(labels, predicted, labels),
    lambda labels, predicted: paired_test(labels, labels, predicted),
]


@pytest.mark.parametrize("call", CALLS)
def test_probabilities_get_the_advice_to_take_the_argmax(call):
    with pytest.raises(ValueError) as caught:
        call(np.zeros(3, int), np.full((3, 10), 0.1))
    assert "argmax(axis=1)" in str(caught.value)
    assert "(3, 10)" in str(caught.value)


@pytest.mark.parametrize("call", CALLS)
def test_different_numbers_are_refused_not_broadcast(call):
    for predicted in (np.zeros(4, int), np.zeros(1, int), np.int64(0)):
        with pytest.raises(ValueError, match="the same number of each"):
            call(np.zeros(3, int), predicted)


def test_no_images_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        accuracy(np.array([], int), np.array([], int))


# Wilson's interval


@pytest.mark.parametrize(
    ("n_correct", "n", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),
        (5, 10, 0.2366, 0.7634),
        (10, 10, 0.7225, 1.0),
        # The three examples of Newcombe (1998), who compares seven methods.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (8369, 8400, 0.9948, 0.9974),  # 0.9963, the best trial of the original post
    ],
)
def test_known_intervals(n_correct, n, low, high):
    assert accuracy_interval(*outcome(n_correct, n)) == pytest.approx((low, high), abs=5e-5)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 500), st.data())
def test_interval_follows_wilsons_formula(n, data):
    n_correct = data.draw(st.integers(0, n))
    low, high = accuracy_interval(*outcome(n_correct, n))
    z, share = 1.959963984540054, n_correct / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    assert (low, high) == pytest.approx((centre - half, centre + half), abs=1e-9)
    assert 0 <= low <= share <= high <= 1 or high == pytest.approx(1)


def test_more_confidence_is_wider_and_more_images_are_narrower():
    low, high = accuracy_interval(*outcome(90, 100))
    wider_low, wider_high = accuracy_interval(*outcome(90, 100), confidence=0.99)
    narrow_low, narrow_high = accuracy_interval(*outcome(9000, 10000))
    assert wider_low < low < narrow_low < 0.9 < narrow_high < high < wider_high


@pytest.mark.parametrize("confidence", [-0.1, 1.5])
def test_impossible_confidence_is_refused(confidence):
    with pytest.raises(ValueError):
        accuracy_interval(*outcome(9, 10), confidence=confidence)


# McNemar's exact test


@pytest.mark.parametrize(
    ("only_a", "only_b", "p_value"),
    [
        (0, 0, 1.0),
        (1, 1, 1.0),
        (1, 0, 1.0),
        (5, 0, 2 / 32),
        (0, 6, 2 / 64),
        (1, 9, 2 * (1 + 10) / 2**10),  # 0.021484
        (3, 9, 2 * (1 + 12 + 66 + 220) / 2**12),  # 0.145996
        (7, 25, 2 * sum(comb(32, k) for k in range(8)) / 2**32),  # 0.002102
    ],
)
def test_known_p_values(only_a, only_b, p_value):
    result = paired_test(*pair(both=50, only_a=only_a, only_b=only_b, neither=3))
    assert (result.only_a, result.only_b) == (only_a, only_b)
    assert result.p_value == pytest.approx(p_value, abs=1e-6)


def test_images_both_get_correct_or_wrong_do_not_count():
    few = paired_test(*pair(0, 3, 9, 0))
    many = paired_test(*pair(5000, 3, 9, 700))
    assert few == many


def test_paired_test_is_symmetric():
    labels, first, second = pair(10, 2, 8, 1)
    forth, back = paired_test(labels, first, second), paired_test(labels, second, first)
    assert (forth.only_a, forth.only_b) == (back.only_b, back.only_a)
    assert forth.p_value == pytest.approx(back.p_value)


def test_same_predictions_show_no_difference():
    labels, first, _ = pair(10, 2, 8, 1)
    assert paired_test(labels, first, first) == PairedTest(0, 0, 1.0)


# The sealed test


@pytest.fixture(scope="module")
def digits():
    return load_digits()


@pytest.fixture(scope="module")
def sealed(digits):
    return sealed_test_labels(digits)


def test_sealed_score_is_the_accuracy_on_the_labels(digits, sealed):
    predicted = np.random.default_rng(0).permutation(sealed)
    score = score_sealed_test(digits, predicted)
    assert score.accuracy == accuracy(sealed, predicted)
    assert (score.low, score.high) == accuracy_interval(sealed, predicted)
    assert (score.n, score.chapter, score.paired) == (28_000, None)
    assert 0.08 < score.accuracy < 0.12  # chance: the labels follow the order of the images


def test_sealed_score_of_the_labels_themselves_is_perfect(digits, sealed):
    assert score_sealed_test(digits, sealed).accuracy == 1.0


def test_sealed_score_compares_two_predictions(digits, sealed):
    first, second = sealed.copy(), sealed.copy()
    first[:3] = (first[:3] + 1) % 10
    second[2:12] = (second[2:12] + 1) % 10
    score = score_sealed_test(digits, first, versus=second)
    assert score.paired == paired_test(sealed, first, second)
    assert (score.paired.only_a, score.paired.only_b) == (9, 2)
    assert score.accuracy == accuracy(sealed, first)


def test_sealed_score_of_some_images(digits, sealed):
    rows = np.array([5, 27_999, 100])
    predicted = sealed[rows].copy()
    predicted[1] = (predicted[1] + 1) % 10
    score = score_sealed_test(digits, predicted, versus=sealed[rows], rows=rows)
    assert (score.n, score.accuracy) == (3, 2 / 3)
    assert (score.paired.only_a, score.paired.only_b) == (0, 1)
    with pytest.raises(ValueError, match="twice"):
        score_sealed_test(digits, predicted, rows=np.array([5, 5, 6]))
    with pytest.raises(ValueError, match="the same number of each"):
        score_sealed_test(digits, predicted, rows=rows[:2])
    for outside in (-1, 28_000):
        with pytest.raises(ValueError, match=f"rows holds {outside}; expected 0 to 27999"):
            score_sealed_test(digits, predicted, rows=np.array([0, outside, 1]))


def test_a_sealed_score_cannot_be_changed_and_holds_no_labels(digits, sealed):
    score = score_sealed_test(digits, sealed)
    with pytest.raises(dataclasses.FrozenInstanceError):
        score.accuracy = 1.0
    assert not any(isinstance(value, np.ndarray) for value in vars(score).values())


def test_sealed_score_refuses_too_few_predictions_and_probabilities(digits):
    with pytest.raises(ValueError, match="the same number of each"):
        score_sealed_test(digits, np.zeros(100, int))
    with pytest.raises(ValueError, match="argmax"):
        score_sealed_test(digits, np.zeros((28_000, 10)))


def test_seal_is_unavailable_for_kaggle_files(kaggle_folder):
    digits = load_digits(kaggle_folder)
    predicted = np.zeros(len(digits.test_images), int)
    with pytest.raises(SealedLabelsUnavailable) as caught:
        score_sealed_test(digits, predicted)
    assert str(kaggle_folder) in str(caught.value)
    assert "submission" in str(caught.value)


def test_seal_is_unavailable_when_the_images_were_reordered(digits):
    changed = dataclasses.replace(digits, test_images=digits.test_images[::-1])
    with pytest.raises(SealedLabelsUnavailable, match="unchanged"):
        score_sealed_test(changed, np.zeros(28_000, int))
