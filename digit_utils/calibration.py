"""Does a network know how often it is right: temperature, calibration error, refusing to answer.

Logits, float (n, n_classes), are a network's outputs before the softmax. *Confidence*, float (n,),
is the probability it gives to its own answer; ``correct``, bool (n,), says where that is right. All
functions raise ValueError for arrays of other shapes. Taught in 12_can_you_trust_its_confidence.
"""

from itertools import pairwise

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from digit_utils.evaluate import interval_of_share


def confidence_of(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Return the probability a network gives to its own answer, float64 (n,).

    Logits are divided by ``temperature`` first: above 1 makes the network less sure, below 1 surer;
    its answers stay the same. Raises ValueError for a temperature not above 0.
    """
    return softmax(_temper(logits, temperature), axis=1).max(axis=1)


def log_losses(logits: np.ndarray, labels: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Return minus the logarithm of the probability given to each image's true digit, in nats."""
    logits, labels = _temper(logits, temperature), np.asarray(labels)
    if labels.shape != (len(logits),):
        raise ValueError(
            f"found logits of shape {logits.shape} and labels of shape {labels.shape}; expected "
            "one label an image"
        )
    return -log_softmax(logits, axis=1)[np.arange(len(labels)), labels.astype(int)]


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature, from 0.05 to 20, at which the log loss is smallest.

    The images must be ones the network has not learned from: it is surer of those it has. Guo and
    others (2017).
    """
    found = minimize_scalar(
        lambda log_temperature: log_losses(logits, labels, float(np.exp(log_temperature))).mean(),
        bounds=(np.log(0.05), np.log(20)),
        method="bounded",
    )
    return float(np.exp(found.x))


def calibration_error(confidence: np.ndarray, correct: np.ndarray, n_bins: int = 15) -> float:
    """Return the expected calibration error, over bins that hold equally many images.

    In each bin the mean confidence is compared with the share of correct answers; the result is the
    mean of the differences, from 0 to 1. It cannot be negative, so chance alone makes it larger
    than 0. Bins of equal width would put nearly all images of a good network into the last one.
    Naeini and others (2015); equal masses after Nguyen and O'Connor (2015).
    """
    confidence, correct = _check_pairs(confidence, correct)
    if not 1 <= n_bins <= len(confidence):
        raise ValueError(
            f"n_bins is {n_bins}; expected from 1 to the number of images, {len(confidence)}"
        )
    bins = np.array_split(np.argsort(confidence, kind="stable"), n_bins)
    gaps = [abs(confidence[rows].mean() - correct[rows].mean()) * len(rows) for rows in bins]
    return float(np.sum(gaps) / len(confidence))


def reliability_table(confidence: np.ndarray, correct: np.ndarray) -> pd.DataFrame:
    """Compare a network's uncertainty, 1 minus the confidence, with the mistakes it makes, in bins.

    Returns a row for each bin that holds images: index ``from``; columns ``to``, ``images``,
    ``uncertainty`` (the mean), ``error`` (share of mistakes), ``low`` and ``high`` (Wilson's 95 %
    interval of it).
    """
    confidence, correct = _check_pairs(confidence, correct)
    uncertainty = 1 - confidence
    rows = []
    for start, end in pairwise((0, 1e-4, 1e-3, 1e-2, 1e-1, 1)):
        inside = (uncertainty >= start) & ((uncertainty < end) | (end == 1))
        if not inside.any():
            continue
        n, error = int(inside.sum()), np.sum(~correct[inside]) / inside.sum()
        mean = uncertainty[inside].mean()
        rows.append((start, end, n, mean, error, *interval_of_share(error, n)))
    columns = ["from", "to", "images", "uncertainty", "error", "low", "high"]
    return pd.DataFrame(rows, columns=columns).set_index("from")


def risk_coverage(confidence: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how many mistakes remain if only the surest answers are given.

    Returns coverage, the share of the images answered, rising to 1, and risk, the share of mistakes
    among the answers given, each float (n,). ``confidence`` may be any score that is higher for
    surer answers; ties are broken by the order of the images. El-Yaniv and Wiener (2010).
    """
    confidence, correct = _check_pairs(confidence, correct, is_probability=False)
    answered = np.arange(1, len(correct) + 1)
    surest_first = np.argsort(-confidence, kind="stable")
    return answered / len(correct), np.cumsum(~correct[surest_first]) / answered


def threshold_for_accuracy(confidence: np.ndarray, correct: np.ndarray, accuracy: float) -> float:
    """Return the lowest confidence to answer at so that the answers are as accurate as wanted.

    Answer where the confidence is at least this; infinity if no such confidence exists.
    """
    _, risk = risk_coverage(confidence, correct)
    descending = -np.sort(-np.asarray(confidence, dtype=float))
    # Images of equal confidence are answered together or not at all.
    last_of_its_kind = np.append(descending[1:] != descending[:-1], True)
    enough = np.flatnonzero((risk <= 1 - accuracy + 1e-12) & last_of_its_kind)
    return float(descending[enough[-1]]) if len(enough) else float("inf")


def _temper(logits: np.ndarray, temperature: float) -> np.ndarray:
    logits = np.asarray(logits, dtype=np.float64)
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise ValueError(f"logits have shape {logits.shape}; expected (n, n_classes)")
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}; expected a number above 0")
    return logits / temperature


def _check_pairs(
    confidence: np.ndarray, correct: np.ndarray, is_probability: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    confidence, correct = np.asarray(confidence, dtype=np.float64), np.asarray(correct)
    same = confidence.shape == correct.shape and confidence.ndim == 1 and len(confidence) > 0
    if not same or correct.dtype != bool:
        raise ValueError(
            f"found confidences of shape {confidence.shape} and {correct.dtype} of shape "
            f"{correct.shape}; expected for every image a number, and true or false, as "
            "predicted == labels gives"
        )
    if is_probability and not ((confidence >= 0) & (confidence <= 1 + 1e-6)).all():
        raise ValueError(
            f"confidences go from {confidence.min():.3g} to {confidence.max():.3g}; expected "
            "probabilities from 0 to 1, not logits"
        )
    return (np.minimum(confidence, 1) if is_probability else confidence), correct
