"""Recorded predictions come back with their images; damage is told."""

import numpy as np
import pytest

from digit_utils import predictions
from digit_utils.artifacts import ArtifactError
from digit_utils.data import load_digits


def test_probabilities_near_certainty_survive_the_small_file(tmp_path, monkeypatch):
    monkeypatch.setattr(predictions, "RECORDED_FOLDER", tmp_path)
    rows = np.array([41_999, 7, 30_000])
    probabilities = np.full((3, 10), [[1e-6], [1e-3], [0.05]])
    probabilities[[0, 1, 2], [3, 4, 5]] = 1 - 9 * probabilities[:, 0]
    predictions.save_predictions(tmp_path / "x.npz", rows, {"single": probabilities}, {"folds": 1})
    loaded, digits = predictions.load_predictions("x"), load_digits()
    np.testing.assert_array_equal(loaded.images, digits.images[rows])
    np.testing.assert_array_equal(loaded.labels, digits.labels[rows])
    assert loaded.info == {"folds": 1}
    found = loaded.probabilities["single"]
    np.testing.assert_allclose(1 - found.max(axis=1), 1 - probabilities.max(axis=1), rtol=0.02)
    (tmp_path / "x.npz").write_bytes((tmp_path / "x.npz").read_bytes()[:200])
    for name in ("x", "y"):
        with pytest.raises(ArtifactError, match=f"{name}.npz: no predictions there, or damaged"):
            predictions.load_predictions(name)
