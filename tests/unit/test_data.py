"""The bundled digits, their seal, and the split, subset and preparation of images.

What the split and the scaling come out as, the reference of 02_preprocessing compares.
"""

import hashlib
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digit_utils import data, kaggle
from digit_utils.data import (
    DigitDataError,
    load_digits,
    prepare_images,
    split_train_validation,
    take_subset,
)

FIRST_LABELS = [4, 3, 7, 5, 4, 4, 8, 2, 6, 5, 4, 2, 4, 3, 5, 1, 1, 1, 8, 8]
ORDER_SHA256 = "5de367096729b723ed0c8771fad1684751e2844ac2747b1197e2d96e4e625d34"


def test_the_order_never_changes(digits):
    # Published numbers rest on this order: a change here makes every one of them wrong.
    assert digits.labels[:20].tolist() == FIRST_LABELS
    digest = hashlib.sha256(digits.images.tobytes() + digits.test_images.tobytes()).hexdigest()
    assert digest == ORDER_SHA256


def test_loading_is_quick():
    # Well below 1 s on an idle core; the processor's time, so that a busy machine does not count.
    start = time.process_time()
    load_digits()
    assert time.process_time() - start < 2


def test_licence_stands_beside_the_file():
    text = (data.MNIST_FILE.parent / "MNIST-LICENSE.txt").read_text(encoding="utf-8")
    assert "Yann LeCun, Corinna Cortes and Christopher J.C. Burges" in text
    assert "CC BY-SA 3.0" in text and "creativecommons.org/licenses/by-sa/3.0" in text
    assert "experiments/make_mnist_npz.py" in text
    assert data.MNIST_SHA256 in text and f"{data.MNIST_BYTES:,}" in text


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda raw: raw[:5000], "is cut short, found 5,000 bytes of SHA-256"),
        (lambda raw: raw[:6_000_000] + b"?" + raw[6_000_001:], "has been changed"),
        (None, "cannot be read (No such file or directory)"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, monkeypatch, change, says):
    path = tmp_path / "mnist.npz"
    if change:
        path.write_bytes(change(data.MNIST_FILE.read_bytes()))
    monkeypatch.setattr(data, "MNIST_FILE", path)
    with pytest.raises(DigitDataError) as caught:
        load_digits()
    assert f"{path}: {says}" in str(caught.value)
    assert "install digit_utils again" in str(caught.value)


@pytest.mark.parametrize("which", [0, 1])
def test_kaggles_folder_is_found_by_itself(kaggle_folder, monkeypatch, which):
    assert [folder.as_posix() for folder in kaggle.KAGGLE_FOLDERS] == [
        "/kaggle/input/digit-recognizer",
        "/kaggle/input/competitions/digit-recognizer",
    ]
    folders = [kaggle_folder.parent / "nowhere", kaggle_folder.parent / "nowhere too"]
    folders[which] = kaggle_folder
    monkeypatch.setattr(kaggle, "KAGGLE_FOLDERS", tuple(folders))
    assert len(load_digits().images) == 20
    assert load_digits("").source == str(kaggle_folder)
    (kaggle_folder / "test.csv").unlink()
    with pytest.raises(DigitDataError, match=r"test\.csv: no such file"):
        load_digits()
    (kaggle_folder / "train.csv").rename(kaggle_folder / "notes.txt")
    assert load_digits().source == "bundled MNIST"  # the folder is about something else


def test_nothing_on_digits_gives_the_labels_away(digits):
    names = {name for name in dir(digits) if not name.startswith("_")}
    assert names == {"images", "labels", "test_images", "source"}
    assert set(vars(digits)) == names
    for array in (digits.images, digits.labels, digits.test_images):
        assert array.base is None  # not a view of something that holds more


@pytest.mark.parametrize(
    ("name", "users"),
    [("sealed_test_labels", {"data.py", "evaluate.py"}), ("bundled_mnist", {"data.py"})],
)
def test_only_evaluate_opens_the_seal(name, users):
    scripts = data.MNIST_FILE.parents[1].rglob("*.py")
    assert {path.name for path in scripts if name in path.read_text(encoding="utf-8")} == users


def labelled(n, n_digits, seed):
    """Return images that each carry their own number, and labels with every digit twice or more."""
    generator = np.random.default_rng(seed)
    labels = np.concatenate(
        [np.repeat(np.arange(n_digits), 2), generator.integers(0, n_digits, n - 2 * n_digits)]
    )
    generator.shuffle(labels)
    images = np.zeros((n, 2, 2), np.int32)
    images[:, 0, 0] = np.arange(n)
    return images, labels.astype(np.uint8)


@settings(deadline=None, max_examples=100)
@given(
    n_all=st.integers(25, 300),
    n=st.integers(10, 310),
    n_digits=st.integers(1, 10),
    seed=st.integers(0, 2**32 - 1),
)
def test_subset_is_stratified_and_keeps_labels(n_all, n, n_digits, seed):
    images, labels = labelled(n_all, n_digits, seed)
    some, some_labels = take_subset(images, labels, n, seed)
    assert len(some) == len(some_labels) == min(n, n_all)
    assert (some.dtype, some_labels.dtype) == (images.dtype, labels.dtype)
    numbers = some[:, 0, 0]
    assert np.array_equal(labels[numbers], some_labels)
    assert (np.diff(numbers) > 0).all()  # in their own order, none twice
    assert np.array_equal(take_subset(images, labels, n, seed)[0], some)
    if n < n_all - 20:
        assert not np.array_equal(take_subset(images, labels, n, seed ^ 1)[0], some)
    found = np.bincount(some_labels, minlength=n_digits)
    assert np.abs(found - min(n, n_all) * np.bincount(labels) / n_all).max() <= 2
    assert found.min() > 0


@pytest.mark.parametrize("n", [None, 60, 61])
def test_subset_of_all_is_unchanged(n):
    images, labels = labelled(60, 10, 0)
    some, some_labels = take_subset(images, labels, n)
    assert some is images and some_labels is labels


@pytest.mark.parametrize(
    ("function", "n", "argument", "says"),
    [
        (split_train_validation, 60, {"validation_fraction": 0}, "above 0 and below 1"),
        (split_train_validation, 60, {"validation_fraction": 1}, "above 0 and below 1"),
        (split_train_validation, 60, {"validation_fraction": float("nan")}, "fraction is nan"),
        (split_train_validation, 60, {"seed": -1}, "seed is -1; expected a whole number"),
        (split_train_validation, 20, {"validation_fraction": 0.1}, "cannot split 20 .* use more"),
        (split_train_validation, 59, {}, r"inconsistent numbers of samples: \[59, 60\]"),
        (take_subset, 59, {"n": 20}, "found 59 images and 60 labels.*that belong together"),
        (take_subset, 60, {"n": 9}, "9 images asked for, expected at least 10 .*None for all"),
        (take_subset, 60, {"n": -5}, "-5 images asked for, expected at least 10"),
    ],
)
def test_split_and_subset_refuse(function, n, argument, says):
    images, labels = labelled(20 if n == 20 else 60, 10, 0)
    with pytest.raises(ValueError, match=says):
        function(images[:n], labels, **argument)


@pytest.mark.parametrize(
    ("images", "found"),
    [
        (np.zeros((28, 28), np.uint8), r"shape \(28, 28\), expected \(n, 28, 28\).*np\.newaxis"),
        (np.zeros((2, 784), np.uint8), r"shape \(2, 784\).*reshape"),
        (np.zeros((2, 28, 28), np.float32), "dtype float32, from 0.0.*do not scale them again"),
        (np.full((2, 28, 28), 256), "from 256 to 256, expected whole numbers from 0 to 255"),
        (np.full((2, 28, 28), -1), "from -1 to -1, expected whole numbers from 0 to 255"),
    ],
)
def test_prepare_refuses(images, found):
    with pytest.raises(ValueError, match=found):
        prepare_images(images)
