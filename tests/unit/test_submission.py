"""Submission files: right ones come out whole, wrong predictions are refused."""

import os

import numpy as np
import pandas as pd
import pytest

import digit_utils.kaggle
from digit_utils.submission import SubmissionError, write_submission


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_full_submission(tmp_path, dtype):
    predicted = np.random.default_rng(0).integers(0, 10, 28_000)
    path = tmp_path / "submission.csv"
    # A series is taken in its order.
    series = pd.Series(predicted.astype(dtype), index=np.arange(28_000)[::-1])
    frame = write_submission(str(path), series)
    assert frame["Label"].tolist() == predicted.tolist()
    lines = ["ImageId,Label", *(f"{i},{label}" for i, label in enumerate(predicted, start=1)), ""]
    assert path.read_bytes().decode().split("\n") == lines
    assert os.listdir(tmp_path) == ["submission.csv"]


@pytest.mark.parametrize(
    ("predicted", "parts"),
    [
        (np.zeros((3, 10)), ["shape (3, 10)", "expected (3,)", "probabilities", "argmax(axis=1)"]),
        (7, ["shape ()", "expected (3,)"]),
        ([1, 2], ["found 2 predictions, expected 3", "predict digits.test_images"]),
        ([1, 10, 2], ["ImageId 2: found 10, expected a whole number from 0 to 9", "1 of 3"]),
        ([1.0, 2.5, 3.5], ["ImageId 2: found 2.5", "2 of 3"]),
        ([1.0, 2.0, float("nan")], ["ImageId 3: found nan"]),
        (["1", "2", "3"], ["dtype <U1", "expected whole numbers", "astype(int)"]),
        ([1, None, 2], ["dtype object"]),
        ([[1], [2, 3], []], ["expected 3 digits"]),
        (np.ma.masked_array([1, 2, 3], [0, 1, 0]), ["dtype object"]),
    ],
)
def test_bad_predictions(tmp_path, predicted, parts):
    path = tmp_path / "submission.csv"
    path.write_text("what was there")
    with pytest.raises(SubmissionError) as caught:
        write_submission(path, predicted, n_expected=3)
    assert all(part in str(caught.value) for part in parts), str(caught.value)
    assert path.read_text() == "what was there"
    assert os.listdir(tmp_path) == ["submission.csv"]


def test_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"folder does not exist; create .*s\.csv"):
        write_submission(tmp_path / "nowhere" / "s.csv", [1], n_expected=1)


@pytest.fixture
def kaggle(tmp_path, monkeypatch):
    """A tree as Kaggle's notebooks have it: the competition's files, and a folder to work in."""
    mount, working = tmp_path / "input/digit-recognizer", tmp_path / "working"
    mount.mkdir(parents=True)
    working.mkdir()
    (mount / "train.csv").touch()
    monkeypatch.setattr(digit_utils.kaggle, "KAGGLE_FOLDERS", (mount,))
    monkeypatch.setattr(digit_utils.kaggle, "KAGGLE_OUTPUT", working)
    return tmp_path


def test_on_kaggle_the_file_is_also_where_kaggle_looks_for_it(kaggle, capsys):
    (kaggle / "working/artifacts").mkdir()
    own = kaggle / "working/artifacts/submission.csv"
    write_submission(own, [7, 1], n_expected=2)
    expected = kaggle / "working/submission.csv"
    assert expected.read_bytes() == own.read_bytes() == b"ImageId,Label\n1,7\n2,1\n"
    assert capsys.readouterr().out == f"for Kaggle: {expected}\n"
    write_submission(expected, [7, 2], n_expected=2)
    assert expected.read_bytes() == b"ImageId,Label\n1,7\n2,2\n"


def test_nothing_is_entered_under_another_name_or_without_the_competitions_files(kaggle, capsys):
    write_submission(kaggle / "working/second_try.csv", [7], n_expected=1)
    (kaggle / "input/digit-recognizer/train.csv").unlink()
    write_submission(kaggle / "submission.csv", [7], n_expected=1)
    assert os.listdir(kaggle / "working") == ["second_try.csv"]
    assert capsys.readouterr().out == ""
