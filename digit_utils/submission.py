"""Write predictions in the form Kaggle's Digit Recognizer takes."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from digit_utils.io import write_atomically
from digit_utils.kaggle import find_kaggle_output


class SubmissionError(ValueError):
    """The predictions are not one digit an image."""


def write_submission(path: str | Path, predicted: Any, n_expected: int = 28_000) -> pd.DataFrame:
    """Check predictions and write them as a submission file, whole or not at all.

    ``predicted`` is one digit from 0 to 9 an image, shape (n_expected,), in the order of the test
    images; whole floats are taken. Returns what was written: ``ImageId`` from 1 up and ``Label``.
    In a notebook of the competition on Kaggle, a file called ``submission.csv`` is also put where
    Kaggle looks for it, and the place is printed. Raises SubmissionError for probabilities, another
    count or other values, FileNotFoundError without its folder.
    Taught in 06_final_model.
    """
    labels = _check_predictions(predicted, n_expected)
    frame = pd.DataFrame({"ImageId": np.arange(1, n_expected + 1), "Label": labels})
    data = frame.to_csv(index=False, lineterminator="\n").encode("ascii")
    write_atomically(path, data)
    output = find_kaggle_output()
    if output is not None and Path(path).name == "submission.csv":
        print(f"for Kaggle: {write_atomically(output / 'submission.csv', data)}")
    return frame


def _check_predictions(predicted: Any, n_expected: int) -> np.ndarray:
    try:
        predicted = np.asarray(predicted, dtype=object if np.ma.is_masked(predicted) else None)
    except ValueError as error:  # lists of different lengths
        raise SubmissionError(f"{error}; expected {n_expected:,} digits") from error
    if predicted.ndim != 1:
        raise SubmissionError(
            f"predicted has shape {predicted.shape}, expected ({n_expected},): one digit an "
            "image; of probabilities, ten an image, take the most likely digit first: "
            "predicted.argmax(axis=1)"
        )
    if len(predicted) != n_expected:
        raise SubmissionError(
            f"found {len(predicted):,} predictions, expected {n_expected:,}; predict "
            "digits.test_images, all of them and nothing else"
        )
    if predicted.dtype.kind not in "iuf":
        raise SubmissionError(
            f"predicted is of dtype {predicted.dtype}, expected whole numbers from 0 to 9; "
            "convert it, for example predicted.astype(int)"
        )
    good = np.isin(predicted, np.arange(10))  # False for NaN and infinity too
    if not good.all():
        first = int(np.argmin(good))
        raise SubmissionError(
            f"ImageId {first + 1}: found {predicted[first]}, expected a whole number from 0 to 9 "
            f"({np.count_nonzero(~good):,} of {len(good):,} predictions are wrong); look at how "
            "they were made"
        )
    return predicted.astype(np.int64)
