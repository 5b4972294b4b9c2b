"""Confident learning, on labels that we changed ourselves."""

from __future__ import annotations

import numpy as np

from digit_utils.label_errors import suspect_labels


def test_labels_that_were_changed_are_suspected_and_no_others():
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(10), 50)
    logits = rng.normal(0, 0.5, (500, 10))
    logits[np.arange(500), truth] += 6
    changed = np.array([3, 77, 410])
    logits[changed, truth[changed]] += 1  # as sure as is usual, or surer
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = truth.copy()
    labels[changed] = (labels[changed] + 4) % 10
    found = suspect_labels(labels, probabilities)
    assert set(found) == set(changed)
    of_label = probabilities[found, labels[found]]
    assert (np.diff(of_label) >= 0).all()
