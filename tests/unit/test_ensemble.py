"""Averaging probabilities: the mean comes out, anything but probabilities is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digit_utils.ensemble import average_probabilities, predict_with_tta


def softmax(logits):
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponents / exponents.sum(axis=1, keepdims=True)


def test_mean_by_hand():
    first, second = np.array([[0.8, 0.2], [0.5, 0.5]]), np.array([[0.4, 0.6], [0.1, 0.9]])
    np.testing.assert_allclose(average_probabilities([first, second]), [[0.6, 0.4], [0.3, 0.7]])


def test_a_sure_minority_can_win_the_vote():
    members = [np.array([[0.45, 0.55]]), np.array([[0.45, 0.55]]), np.array([[0.99, 0.01]])]
    assert average_probabilities(members).argmax() == 0


def test_one_member_is_returned_as_it_is():
    member = softmax(np.random.default_rng(0).normal(size=(5, 10))).astype(np.float32)
    np.testing.assert_allclose(average_probabilities([member]), member, rtol=1e-6)


def test_float32_is_summed_in_double_precision():
    member = softmax(np.random.default_rng(0).normal(size=(5, 10))).astype(np.float32)
    assert average_probabilities([member, member]).dtype == np.float64


def test_members_are_left_unchanged():
    members = [np.full((2, 2), 0.5), np.array([[1.0, 0.0], [0.0, 1.0]])]
    copies = [member.copy() for member in members]
    average_probabilities(members)
    for member, copy in zip(members, copies, strict=True):
        np.testing.assert_array_equal(member, copy)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 5), st.integers(1, 8), st.integers(2, 10), st.integers(0, 2**32 - 1))
def test_mean_is_a_probability_and_does_not_depend_on_order(n_members, n, n_classes, seed):
    random = np.random.default_rng(seed)
    members = [softmax(random.normal(size=(n, n_classes))) for _ in range(n_members)]
    mean = average_probabilities(members)
    np.testing.assert_allclose(mean.sum(axis=1), 1.0)
    np.testing.assert_allclose(mean, average_probabilities(members[::-1]))
    assert np.all(mean <= np.max(members, axis=0) + 1e-12)
    assert np.all(mean >= np.min(members, axis=0) - 1e-12)


@pytest.mark.parametrize(
    ("members", "parts"),
    [
        ([], ["no predictions", "one array a network"]),
        ([np.full((2, 2), 0.5), np.full((3, 2), 0.5)], ["(2, 2)", "(3, 2)", "one shape"]),
        ([np.array([0.5, 0.5])], ["(2,)", "(n_images, n_classes)"]),
        ([np.full((2, 2), 0.5), np.array([[2.0, 1.0], [0.0, 4.0]])], ["member 1", "logits"]),
        ([np.array([[3.0, -2.0]])], ["member 0", "below 0"]),
        ([np.array([[np.nan, 0.5]])], ["member 0"]),
        ([np.array([[3], [1]])], ["member 0", "softmax"]),
    ],
)
def test_refuses(members, parts):
    with pytest.raises(ValueError) as caught:
        average_probabilities(members)
    for part in parts:
        assert part in str(caught.value)


class SeesOnePixel:
    """Answers with the pixel in the middle: 1 where it is inked."""

    def predict(self, images, batch_size, verbose):
        inked = images[:, 14, 14, 0]
        return np.stack([1 - inked, inked], axis=1)


@pytest.mark.parametrize(
    "row, column, share",
    [(14, 14, 1), (13, 14, 1), (15, 14, 1), (14, 13, 1), (14, 15, 1), (13, 13, 0), (14, 16, 0)],
)
def test_an_image_is_seen_as_it_is_and_one_pixel_to_each_side(row, column, share):
    image = np.zeros((1, 28, 28, 1), dtype=np.float32)
    image[0, row, column] = 1
    found = predict_with_tta(SeesOnePixel(), image)
    # One of the five copies has the inked pixel in the middle, or none has.
    assert found[0] == pytest.approx([1 - share / 5, share / 5])
