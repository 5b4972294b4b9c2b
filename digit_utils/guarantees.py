"""What can be promised of answers to come, from answers to labelled images.

Works on any predictions of images the network has not learned from, and holds for images of the
same kind. ``confidence``, float (n,), belongs to the network's own answers, ``correct``, bool (n,),
says which are right; ``probabilities`` are float (n, n_classes). All functions raise ValueError for
arrays that do not fit together. Taught in 12_can_you_trust_its_confidence.
"""

from math import ceil

import numpy as np
from scipy.stats import binom


def certified_threshold(
    confidence: np.ndarray, correct: np.ndarray, wanted: float, risk: float = 0.05
) -> float:
    """Return a confidence from which on at least a share ``wanted`` of all answers is right.

    With other labelled images the promise would be wrong in at most a share ``risk`` of all cases.
    Infinity: nothing can be promised. Thresholds are tried in a fixed order, the strictest first,
    until the exact binomial test fails for one, so that trying many costs nothing: fixed-sequence
    testing, as in Angelopoulos and others, Learn then test (2021).
    """
    confidence, correct = np.asarray(confidence, dtype=float), np.asarray(correct)
    if confidence.shape != correct.shape or confidence.ndim != 1 or correct.dtype != bool:
        raise ValueError(
            f"found confidences of shape {confidence.shape} and {correct.dtype} of shape "
            f"{correct.shape}; expected for every image a number, and true or false"
        )
    if not (0.5 < wanted < 1 and 0 < risk < 1):
        raise ValueError(
            f"wanted is {wanted} and risk {risk}; expected shares below 1, above 0.5 and above 0"
        )
    certified = np.inf
    for threshold in 1 - np.geomspace(1 - wanted, 0.5, 50):
        answered = confidence >= threshold
        mistakes = np.sum(~correct[answered])
        if binom.cdf(mistakes, answered.sum(), 1 - wanted) > risk:
            break
        certified = threshold
    return float(certified)


def conformal_cutoff(probabilities: np.ndarray, labels: np.ndarray, miss: float) -> float:
    """Return the probability from which on a class belongs to an image's set of answers.

    On average over the labelled images one might have had, the sets of new images then lack the
    true class in at most a share ``miss``. Split conformal prediction: Vovk and others (2005).
    """
    probabilities, labels = np.asarray(probabilities, dtype=float), np.asarray(labels)
    if probabilities.ndim != 2 or labels.shape != (len(probabilities),) or not 0 < miss < 1:
        raise ValueError(
            f"found probabilities of shape {probabilities.shape}, labels of shape {labels.shape} "
            f"and a miss of {miss}; expected (n, n_classes), a label per image and a share"
        )
    of_truth = np.sort(probabilities[np.arange(len(labels)), labels.astype(int)])[::-1]
    rank = ceil((len(labels) + 1) * (1 - miss))
    return float(of_truth[rank - 1]) if rank <= len(labels) else 0.0
