"""Probabilities that models gave to labelled images they had not seen, in one small file.

A ``.npz`` holds rows of the 42,000 labelled images that come with the book, for each model the
logarithms of its probabilities as float16, which near certainty keep what float16 probabilities
would lose, and as JSON how they were made. No pickle is read.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from digit_utils.artifacts import RECORDED_FOLDER, ArtifactError
from digit_utils.calibration import as_logits
from digit_utils.data import split_bundled_mnist
from digit_utils.io import json_bytes, parse_json, read_bytes, write_atomically


@dataclass(frozen=True, eq=False)
class Predictions:
    """Labelled images, and what each model said of them."""

    images: np.ndarray  # uint8 (n, 28, 28)
    labels: np.ndarray  # uint8 (n,)
    probabilities: dict[str, np.ndarray]  # of each model, float64 (n, 10)
    info: dict[str, Any]


def save_predictions(
    path: str | Path,
    rows: np.ndarray,
    probabilities: Mapping[str, np.ndarray],
    info: Mapping[str, Any],
) -> Path:
    """Save the probabilities, (n, 10), that models gave to rows of the bundled labelled images."""
    arrays: dict[str, Any] = {
        f"model_{name}": as_logits(found).astype(np.float16)
        for name, found in probabilities.items()
    }
    arrays |= {"rows": np.asarray(rows, np.uint16), "info": np.frombuffer(json_bytes(info), "u1")}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return write_atomically(path, buffer.getvalue())


def load_predictions(name: str) -> Predictions:
    """Load predictions recorded with the book; ArtifactError if they are missing or damaged.

    ``"out_of_fold"``: of networks trained as the shipped ones, each without the images it answered.
    """
    path = RECORDED_FOLDER / f"{name}.npz"
    try:
        with np.load(io.BytesIO(read_bytes(path)), allow_pickle=False) as file:
            rows, info = file["rows"], parse_json(bytes(file["info"]))
            found = {key: file[key] for key in file.files if key.startswith("model_")}
        images, labels = (part[rows] for part in split_bundled_mnist()[:2])
        if not found or any(logits.shape != (len(rows), 10) for logits in found.values()):
            raise ValueError("expected ten probabilities for each of the rows")
    except Exception as error:  # of zipfile and NumPy; there is no telling which
        raise ArtifactError(
            f"{path}: no predictions there, or damaged ones ({error!s:.300}); install digit_utils "
            "again"
        ) from error
    probabilities = {
        key.removeprefix("model_"): softmax(logits.astype(float), axis=1)
        for key, logits in found.items()
    }
    return Predictions(images, labels, probabilities, info)
