"""Temperature, calibration error, uncertainty and refusals."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import log_loss

from digit_utils.calibration import (
    calibration_error,
    confidence_of,
    fit_temperature,
    log_losses,
    reliability_table,
    risk_coverage,
    threshold_for_accuracy,
)


def honest(n, seed=0, spread=2.0):
    """Logits, and labels drawn from just the probabilities they stand for."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(scale=spread, size=(n, 10))
    cumulated = softmax(logits, axis=1).cumsum(axis=1)
    labels = (generator.random((n, 1)) > cumulated).sum(axis=1)
    return logits, np.minimum(labels, 9)


@pytest.mark.parametrize("stretched", [0.4, 3.0])
def test_the_temperature_undoes_a_stretch(stretched):
    logits, labels = honest(20_000)
    assert fit_temperature(stretched * logits, labels) == pytest.approx(stretched, rel=0.05)


def test_confidence_is_that_of_the_answer_and_the_log_loss_scikit_learns():
    logits, labels = honest(500)
    probabilities = softmax(logits / 1.7, axis=1)
    of_answer = probabilities[np.arange(500), logits.argmax(axis=1)]
    np.testing.assert_allclose(confidence_of(logits, 1.7), of_answer)
    expected = log_loss(labels, probabilities, labels=np.arange(10))
    assert log_losses(logits, labels, 1.7).mean() == pytest.approx(expected)


def test_the_error_is_small_for_an_honest_network_and_large_for_an_over_confident_one():
    logits, labels = honest(20_000)
    correct = logits.argmax(axis=1) == labels
    assert calibration_error(confidence_of(logits), correct) < 0.015
    over_confident = confidence_of(logits, 0.25)
    expected = over_confident.mean() - correct.mean()
    assert calibration_error(over_confident, correct) == pytest.approx(expected, abs=0.01)
    # One bin compares the means; with a bin an image, all differences count.
    confidence, correct = np.array([0.9, 0.5, 0.7]), np.array([True, False, True])
    assert calibration_error(confidence, correct, 1) == pytest.approx(0.7 - 2 / 3)
    assert calibration_error(confidence, correct, 3) == pytest.approx((0.1 + 0.5 + 0.3) / 3)


LOGITS, LABELS = np.zeros((5, 10)), np.zeros(5, int)


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (log_losses, (LOGITS, LABELS, 0), "temperature"),
        (log_losses, (LOGITS, LABELS, float("nan")), "temperature"),
        (log_losses, (LOGITS, LABELS[:4]), "one label an image"),
        (log_losses, (LABELS, LABELS), "logits have shape"),
        (calibration_error, ([0.5], np.ones(2, bool), 1), "shape"),
        (calibration_error, ([], np.ones(0, bool), 1), "shape"),
        (calibration_error, ([0.5], np.array([1]), 1), "true or false"),
        (calibration_error, ([4.5], np.ones(1, bool), 1), "logits"),
        (calibration_error, ([np.nan], np.ones(1, bool), 1), "probabilities"),
        (calibration_error, ([0.5] * 3, np.ones(3, bool), 4), "n_bins"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(function, arguments, message):
    with pytest.raises(ValueError, match=message):
        function(*arguments)


def test_every_image_is_in_one_bin_of_uncertainty():
    confidence = 1 - np.array([-1e-7, 5e-5, 1e-4, 5e-4, 0.05, 0.2, 0.9, 1.0])  # rounded above 1
    correct = np.array([True, True, True, False, True, True, False, False])
    table = reliability_table(confidence, correct)
    assert table["images"].sum() == len(correct)
    assert (table["images"] * table["error"]).sum() == pytest.approx(3)
    assert table.loc[1e-1, "images"] == 3
    assert 1e-3 not in table.index, "an empty bin has no row"
    assert np.all((table["low"] <= table["error"]) & (table["error"] <= table["high"]))


def test_the_surest_answers_come_first():
    confidence, correct = np.array([0.2, 0.9, 0.5, 0.7]), np.array([False, True, True, False])
    coverage, risk = risk_coverage(confidence, correct)
    np.testing.assert_allclose(coverage, [0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(risk, [0, 1 / 2, 1 / 3, 2 / 4])


def test_the_threshold_is_the_lowest_that_gives_the_accuracy_wanted():
    generator = np.random.default_rng(0)
    confidence = generator.uniform(0.3, 1, size=500).round(2)  # ties are answered together
    correct = generator.random(500) < confidence
    enough = [t for t in np.unique(confidence) if correct[confidence >= t].mean() >= 0.9]
    assert threshold_for_accuracy(confidence, correct, 0.9) == min(enough)
    assert threshold_for_accuracy(confidence, np.zeros(500, bool), 0.9) == float("inf")
