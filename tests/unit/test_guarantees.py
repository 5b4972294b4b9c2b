"""Promises about answers to come are kept as often as they say; chapter 12 makes the same ones."""

import ast

import numpy as np
import pytest
from helpers import ROOT
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from scipy.stats import binom, rankdata

from digit_utils import calibration, guarantees

CHAPTER = ROOT / "notebooks" / "12_can_you_trust_its_confidence.py"


@pytest.fixture(scope="module")
def shown():
    """Return the functions that chapter 12 defines, as its readers see them."""
    tree = ast.parse(CHAPTER.read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    names = {
        "np": np, "binom": binom, "rankdata": rankdata, "minimize_scalar": minimize_scalar,
        "log_softmax": log_softmax, "softmax": softmax,
    }  # fmt: skip
    exec(compile(tree, CHAPTER.name, "exec"), names)
    return names


def answers(n, generator):
    """Confidences of a calibrated network, mostly high, and which of its answers are right."""
    confidence = 1 - 0.5 * generator.beta(0.08, 3, size=n)
    return confidence, generator.random(n) < confidence


def test_the_chapter_shows_what_the_modules_do(shown):
    generator = np.random.default_rng(0)
    confidence, correct = answers(3000, generator)
    logits, labels = 3 * generator.normal(size=(3000, 10)), generator.integers(10, size=3000)
    logits[np.arange(3000), labels] += 9
    probabilities = softmax(logits, axis=1)
    for module, name, arguments in (
        (calibration, "fit_temperature", (logits, labels)),
        (calibration, "calibration_error", (confidence, correct)),
        (calibration, "risk_coverage", (confidence, correct)),
        (guarantees, "certified_threshold", (confidence, correct, 0.99)),
        (guarantees, "certified_threshold", (confidence, correct, 0.9999)),
        (guarantees, "conformal_cutoff", (probabilities, labels, 0.01)),
        (guarantees, "conformal_cutoff", (probabilities, labels, 1e-4)),
    ):
        expected = getattr(module, name)(*arguments)
        np.testing.assert_allclose(shown[name](*arguments), expected, err_msg=name)
    loss = calibration.log_losses(logits, labels).mean()
    assert shown["log_loss"](logits, labels) == pytest.approx(loss)


def test_a_certified_threshold_breaks_its_promise_as_seldom_as_it_says():
    """With a threshold that just held on the images seen, half of all promises would be broken."""
    generator, broken, passed_on = np.random.default_rng(1), [], []
    many, _ = answers(400_000, generator)
    wanted = 0.99
    for _ in range(400):
        confidence, correct = answers(1500, generator)
        threshold = guarantees.certified_threshold(confidence, correct, wanted, risk=0.1)
        if np.isfinite(threshold):
            broken.append(many[many >= threshold].mean() < wanted)
            passed_on.append(np.mean(many < threshold))
    assert len(broken) > 350 and np.sum(broken) <= 0.1 * 400 + 2 * np.sqrt(400 * 0.1 * 0.9)
    assert np.sum(broken) > 2, "a promise never broken is stricter than it need be"
    assert np.median(passed_on) < 0.2


def test_no_mistake_among_few_answers_certifies_nothing():
    for n, finite in ((2994, False), (2995, True)):
        threshold = guarantees.certified_threshold(np.ones(n), np.ones(n, bool), 0.999)
        assert np.isfinite(threshold) == finite


def test_conformal_sets_lack_the_true_class_as_seldom_as_they_say():
    generator, missed = np.random.default_rng(2), []

    def draw(n):
        probabilities = softmax(3 * generator.normal(size=(n, 10)), axis=1)
        cumulated = probabilities.cumsum(axis=1)
        return probabilities, np.minimum((generator.random((n, 1)) > cumulated).sum(axis=1), 9)

    for _ in range(300):
        cutoff = guarantees.conformal_cutoff(*draw(199), 0.05)
        probabilities, labels = draw(1000)
        missed.append(np.mean(probabilities[np.arange(1000), labels] < cutoff))
    assert np.mean(missed) == pytest.approx(0.05, abs=0.005)
    assert guarantees.conformal_cutoff(*draw(18), 0.05) == 0, "too few: every class belongs to it"


def test_auroc_gains_and_their_errors_are_those_of_delong(shown):
    """Against the definition over all pairs, and against a bootstrap."""
    generator = np.random.default_rng(3)
    truth, other = generator.normal(1, 1, 300), generator.normal(0, 1, 200)
    scores = [
        ((truth + noise * generator.normal(size=300)).round(1),  # with ties
         (other + noise * generator.normal(size=200)).round(1))
        for noise in (0.5, 1.5)
    ]  # fmt: skip

    def pairs(digits, others):
        above = digits[:, None] - others[None, :]
        return (above > 0) + 0.5 * (above == 0)

    won, lost = (pairs(*score) for score in scores)
    gain, error = shown["auroc_gain"](*scores[0], *scores[1])
    assert gain == pytest.approx(won.mean() - lost.mean())
    by_digit, by_other = (won - lost).mean(axis=1), (won - lost).mean(axis=0)
    assert error**2 == pytest.approx(by_digit.var(ddof=1) / 300 + by_other.var(ddof=1) / 200)
    drawn = [
        (won - lost)[np.ix_(generator.integers(300, size=300), generator.integers(200, size=200))]
        for _ in range(1500)
    ]
    assert error == pytest.approx(np.std([one.mean() for one in drawn]), rel=0.1)


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (guarantees.certified_threshold, ([0.5], [True, True], 0.9), "shape"),
        (guarantees.certified_threshold, ([0.5], [1], 0.9), "true or false"),
        (guarantees.certified_threshold, ([0.5], [True], 1.0), "wanted is 1.0"),
        (guarantees.conformal_cutoff, (np.ones((2, 10)), [1], 0.1), "shape"),
        (guarantees.conformal_cutoff, (np.ones((2, 10)), [1, 2], 0), "miss of 0"),
    ],
)
def test_what_does_not_fit_together_is_refused(function, arguments, message):
    with pytest.raises(ValueError, match=message):
        function(*arguments)
