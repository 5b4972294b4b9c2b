"""How good is it, and how sure are we: accuracies, intervals, paired tests, the sealed test."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from digit_utils.comparing import contingency_table, mcnemar_p_value
from digit_utils.data import Digits, sealed_test_labels


def accuracy(labels: np.ndarray, predicted: np.ndarray) -> float:
    """Return the share of images whose predicted class is their label, from 0 to 1.

    Both are integers 0 to 9, (n,). Raises ValueError if they differ in shape or are empty, or for
    probabilities in place of classes.
    """
    return float(np.mean(_correct(labels, predicted)))


def accuracy_interval(labels: np.ndarray, predicted: np.ndarray) -> tuple[float, float]:
    """Return the lower and upper bound, from 0 to 1, of Wilson's 95 % interval of the accuracy.

    It answers: had we drawn other images of the same kind, where might the accuracy have come out?
    It does not cover the luck of another training run. Taught in 03_base_cnn.
    """
    correct = _correct(labels, predicted)
    return interval_of_share(correct.mean(), len(correct))


def interval_of_share(share: float, n_images: int) -> tuple[float, float]:
    """Return the lower and upper bound, from 0 to 1, of Wilson's 95 % interval (1927) of a share.

    ``share``, from 0 to 1, is rounded to whole images, as a mean over several trainings needs.
    Taught in 07_how_fast_can_it_learn.
    """
    interval = binomtest(round(share * n_images), n_images).proportion_ci(0.95, "wilson")
    return float(interval.low), float(interval.high)


@dataclass(frozen=True)
class PairedTest:
    """Outcome of comparing two classifiers on the same images."""

    only_a: int  # images that just the first got right
    only_b: int
    p_value: float  # two-sided


def paired_test(labels: np.ndarray, predicted_a: np.ndarray, predicted_b: np.ndarray) -> PairedTest:
    """Compare two classifiers on the same images by McNemar's exact test (1947).

    Only images that just one gets right count: a fair coin would give each classifier half of them.
    Taught in 04_augmentation.
    """
    table = contingency_table(_correct(labels, predicted_a), _correct(labels, predicted_b))
    only_a, only_b = int(table[0, 1]), int(table[1, 0])
    return PairedTest(only_a, only_b, mcnemar_p_value(only_a, only_b))


@dataclass(frozen=True)
class SealedScore:
    """Accuracy on the sealed test images with its 95 % interval, all from 0 to 1."""

    accuracy: float
    low: float
    high: float
    n: int
    paired: PairedTest | None = None  # only_a: right in the scored ones alone


def score_sealed_test(
    digits: Digits,
    predicted: np.ndarray,
    versus: np.ndarray | None = None,
    rows: np.ndarray | None = None,
) -> SealedScore:
    """Open the seal: score predictions of the 28,000 test images, or of some of them.

    This is the only function that sees the test labels. Call it once, when every choice has been
    made; whoever looks at the score and then changes something has turned the test into validation
    data.

    ``predicted``, and ``versus`` to compare it with by `paired_test`, hold one class for each of
    ``digits.test_images``, or for each of ``rows``, the indices of those predicted. Raises
    SealedLabelsUnavailable if the test images are Kaggle's, whose labels only Kaggle knows, or were
    changed; ValueError if there is not one class for each image, or ``rows`` names one twice or one
    that is not there. Taught in 06_final_model.
    """
    labels = sealed_test_labels(digits)
    if rows is not None:
        rows = np.asarray(rows)
        if len(np.unique(rows)) != len(rows):
            raise ValueError("rows names an image twice; expected each test image at most once")
        outside = rows[(rows < 0) | (rows >= len(labels))]
        if len(outside):
            raise ValueError(f"rows holds {outside[0]}; expected 0 to {len(labels) - 1}")
        labels = labels[rows]
    low, high = accuracy_interval(labels, predicted)
    paired = None if versus is None else paired_test(labels, predicted, versus)
    return SealedScore(accuracy(labels, predicted), low, high, len(labels), paired)


def _correct(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    if predicted.ndim == 2:
        raise ValueError(
            f"predictions have shape {predicted.shape}, which looks like probabilities; "
            "expected one class an image: take argmax(axis=1) first"
        )
    if labels.shape != predicted.shape or labels.ndim != 1 or len(labels) == 0:
        raise ValueError(
            f"labels have shape {labels.shape}, predictions {predicted.shape}; "
            "expected the same number of each, at least one"
        )
    return labels == predicted
