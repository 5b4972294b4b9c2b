"""Accuracies, Wilson intervals, McNemar's exact test, and the seal on the test labels."""

import dataclasses
from functools import partial
from math import comb

import numpy as np
import pytest

from digit_utils.data import SealedLabelsUnavailable, load_digits, sealed_test_labels
from digit_utils.evaluate import (
    PairedTest,
    accuracy,
    accuracy_interval,
    paired_test,
    score_sealed_test,
)


@pytest.mark.parametrize(
    ("n_correct", "n", "low", "high"),
    [
        (10, 10, 0.7225, 1.0),
        # The three examples of Newcombe (1998), who compares seven methods.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
    ],
)
def test_known_accuracies_and_intervals(n_correct, n, low, high):
    labels = np.arange(n, dtype=np.uint8) % 10
    predicted = np.where(np.arange(n) < n_correct, labels, (labels + 1) % 10).tolist()
    assert accuracy(labels, predicted) == n_correct / n
    assert accuracy_interval(labels, predicted) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (1, 0), (0, 6), (3, 9), (25, 7)])
@pytest.mark.parametrize(("both", "neither"), [(50, 3), (1, 0)])
def test_p_values_are_those_of_a_coin_whatever_both_get_right_or_wrong(
    both, only_a, only_b, neither
):
    counts = [both, only_a, only_b, neither]
    predicted_a, predicted_b = np.repeat([0, 0, 1, 1], counts), np.repeat([0, 2, 0, 2], counts)
    n, fewer = only_a + only_b, min(only_a, only_b)
    p_value = min(1.0, 2 * sum(comb(n, k) for k in range(fewer + 1)) / 2**n)
    found = paired_test(np.zeros(sum(counts), int), predicted_a, predicted_b)
    assert found == PairedTest(only_a, only_b, pytest.approx(p_value, abs=1e-6))


@pytest.mark.parametrize("call", [accuracy, accuracy_interval, partial(paired_test, [0, 0, 0])])
@pytest.mark.parametrize(
    ("labels", "predicted", "message"),
    [
        ([0, 0, 0], np.full((3, 10), 0.1), r"\(3, 10\).*argmax\(axis=1\)"),
        ([0, 0, 0], [0, 0, 0, 0], "the same number of each"),
        ([0, 0, 0], 0, "the same number of each"),
        ([], [], "at least one"),
    ],
)
def test_what_is_not_one_class_an_image_is_refused(call, labels, predicted, message):
    with pytest.raises(ValueError, match=message):
        call(labels, predicted)


@pytest.fixture(scope="module")
def sealed(digits):
    return sealed_test_labels(digits)


def test_a_sealed_score_is_the_accuracy_on_the_labels_and_cannot_be_changed(digits, sealed):
    predicted = np.random.default_rng(0).permutation(sealed)
    score = score_sealed_test(digits, predicted)
    assert score.accuracy == accuracy(sealed, predicted)
    assert (score.low, score.high) == accuracy_interval(sealed, predicted)
    assert (score.n, score.paired) == (28_000, None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        score.accuracy = 1.0
    assert not any(isinstance(value, np.ndarray) for value in vars(score).values())


def test_a_sealed_score_of_some_images_compares_two_predictions(digits, sealed):
    rows = np.array([5, 27_999, 100])
    predicted = (sealed[rows] + [0, 1, 0]) % 10
    score = score_sealed_test(digits, predicted, versus=sealed[rows], rows=rows)
    assert (score.n, score.accuracy) == (3, 2 / 3)
    assert score.paired == paired_test(sealed[rows], predicted, sealed[rows])
    assert (score.paired.only_a, score.paired.only_b) == (0, 1)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (None, "the same number of each"),
        ([5, 5, 6], "twice"),
        ([0, -1, 1], "rows holds -1; expected 0 to 27999"),
        ([0, 28_000, 1], "rows holds 28000; expected 0 to 27999"),
    ],
)
def test_predictions_of_other_images_are_not_scored(digits, rows, message):
    with pytest.raises(ValueError, match=message):
        score_sealed_test(digits, np.zeros(3, int), rows=rows)


def test_the_seal_stays_shut_for_kaggle_files_and_changed_images(digits, kaggle_folder):
    theirs = load_digits(kaggle_folder)
    with pytest.raises(SealedLabelsUnavailable, match="only Kaggle knows .* submission") as caught:
        score_sealed_test(theirs, np.zeros(len(theirs.test_images), int))
    assert f"the test images come from {kaggle_folder}" in str(caught.value)
    for other in (digits.test_images[:100], digits.test_images[::-1]):
        changed = dataclasses.replace(digits, test_images=other)
        with pytest.raises(SealedLabelsUnavailable, match=r"would not line up; pass .* unchanged"):
            score_sealed_test(changed, np.zeros(len(other), int))
