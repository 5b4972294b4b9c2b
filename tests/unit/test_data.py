"""The bundled digits, their seal, and the split, subset and preparation of images."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digit_utils import data, kaggle
from digit_utils.data import (
    DigitDataError,
    SealedLabelsUnavailable,
    load_digits,
    prepare_images,
    sealed_test_labels,
    split_train_validation,
    take_subset,
)

FIRST_LABELS = [4, 3, 7, 5, 4, 4, 8, 2, 6, 5, 4, 2, 4, 3, 5, 1, 1, 1, 8, 8]
DEAL_SHA256 = "5de367096729b723ed0c8771fad1684751e2844ac2747b1197e2d96e4e625d34"


@pytest.fixture(scope="module")
def digits():
    return load_digits()


# ---------------------------------------------------------------- bundled digits


def test_kaggles_shape(digits):
    assert digits.images.shape == (42_000, 28, 28)
    assert digits.labels.shape == (42_000,)
    assert digits.test_images.shape == (28_000, 28, 28)
    assert digits.images.dtype == digits.labels.dtype == digits.test_images.dtype == np.uint8
    assert (digits.images.min(), digits.images.max()) == (0, 255)
    assert set(digits.labels) == set(range(10))
    assert digits.source == "bundled MNIST"
    assert repr(digits) == (
        "Digits(42,000 labelled images, 28,000 test images, source='bundled MNIST')"
    )


def test_every_image_keeps_its_label_and_is_given_once(digits):
    images, labels = data.read_bundled_mnist()
    order = np.random.RandomState(42_000).permutation(70_000)
    assert np.array_equal(np.sort(order), np.arange(70_000))
    assert np.array_equal(digits.images, images[order[:42_000]])
    assert np.array_equal(digits.labels, labels[order[:42_000]])
    assert np.array_equal(digits.test_images, images[order[42_000:]])
    assert np.array_equal(sealed_test_labels(digits), labels[order[42_000:]])


def test_the_order_never_changes(digits):
    # Published numbers rest on this order: a change here makes every one of them wrong.
    assert digits.labels[:20].tolist() == FIRST_LABELS
    digest = hashlib.sha256(digits.images.tobytes() + digits.test_images.tobytes()).hexdigest()
    assert digest == DEAL_SHA256


def test_loading_is_quick():
    # Well below 1 s on an idle core; the processor's time, so that a busy machine does not count.
    start = time.process_time()
    load_digits()
    assert time.process_time() - start < 2


def test_licence_stands_beside_the_file():
    text = (data.MNIST_FILE.parent / "MNIST-LICENSE.txt").read_text(encoding="utf-8")
    for part in (
        "Yann LeCun, Corinna Cortes and Christopher J.C. Burges",
        "CC BY-SA 3.0",
        "creativecommons.org/licenses/by-sa/3.0",
        "experiments/make_mnist_npz.py",
        data.MNIST_SHA256,
        f"{data.MNIST_BYTES:,}",
    ):
        assert part in text
    assert data.MNIST_FILE.stat().st_size == data.MNIST_BYTES


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda raw: raw[:5000], "is cut short, found 5,000 bytes of SHA-256"),
        (lambda raw: raw + b"\0", "has been changed, found 11,265,953 bytes of SHA-256"),
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


def test_pickles_are_refused(tmp_path, monkeypatch):
    """Even a file that passes the hash may not run code."""
    path = tmp_path / "mnist.npz"
    np.savez(path, images=np.array([{}], dtype=object), labels=np.zeros(1))
    raw = path.read_bytes()
    monkeypatch.setattr(data, "MNIST_FILE", path)
    monkeypatch.setattr(data, "MNIST_BYTES", len(raw))
    monkeypatch.setattr(data, "MNIST_SHA256", hashlib.sha256(raw).hexdigest())
    with pytest.raises(ValueError, match="allow_pickle=False"):
        load_digits()


# ---------------------------------------------------------------- Kaggle's own folder


@pytest.mark.parametrize("which", [0, 1])
def test_kaggles_folder_is_found_by_itself(kaggle_folder, monkeypatch, which):
    folders = [kaggle_folder.parent / "nowhere", kaggle_folder.parent / "nowhere too"]
    folders[which] = kaggle_folder
    monkeypatch.setattr(kaggle, "KAGGLE_FOLDERS", tuple(folders))
    digits = load_digits()
    assert digits.source == str(kaggle_folder)
    assert len(digits.images) == 20
    assert load_digits("").source == str(kaggle_folder)
    (kaggle_folder / "test.csv").unlink()
    with pytest.raises(DigitDataError, match=r"test\.csv: no such file"):
        load_digits()


def test_kaggles_folders_are_the_usual_ones():
    assert [folder.as_posix() for folder in kaggle.KAGGLE_FOLDERS] == [
        "/kaggle/input/digit-recognizer",
        "/kaggle/input/competitions/digit-recognizer",
    ]


def test_folder_of_the_same_name_with_other_files_is_passed_over(tmp_path, monkeypatch):
    (tmp_path / "notes.txt").touch()
    monkeypatch.setattr(kaggle, "KAGGLE_FOLDERS", (tmp_path,))
    assert load_digits().source == "bundled MNIST"


# ---------------------------------------------------------------- the seal


def test_nothing_on_digits_gives_the_labels_away(digits):
    names = {name for name in dir(digits) if not name.startswith("_")}
    assert names == {"images", "labels", "test_images", "source"}
    assert set(vars(digits)) == names
    for array in (digits.images, digits.labels, digits.test_images):
        assert array.base is None  # not a view of something that holds more


def test_only_evaluate_opens_the_seal():
    package = data.MNIST_FILE.parents[1]
    users = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if "sealed_test_labels" in path.read_text(encoding="utf-8")
    }
    assert users <= {"data.py", "evaluate.py"}
    dealers = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if "bundled_mnist" in path.read_text(encoding="utf-8")
    }
    assert dealers <= {"data.py"}


def test_kaggles_test_labels_are_unavailable(kaggle_folder):
    digits = load_digits(kaggle_folder)
    with pytest.raises(SealedLabelsUnavailable) as caught:
        sealed_test_labels(digits)
    message = str(caught.value)
    assert f"the test images come from {kaggle_folder}" in message
    assert "only Kaggle knows their labels; write a submission file" in message


@pytest.mark.parametrize("change", [lambda images: images[:100], lambda images: images[::-1]])
def test_changed_test_images_are_not_scored(digits, change):
    changed = dataclasses.replace(digits, test_images=change(digits.test_images))
    with pytest.raises(SealedLabelsUnavailable, match="would not line up; pass the Digits that"):
        sealed_test_labels(changed)


# ---------------------------------------------------------------- split


def test_split_of_the_full_data(digits):
    train_x, valid_x, train_y, valid_y = split_train_validation(digits.images, digits.labels)
    assert (len(train_x), len(valid_x)) == (len(train_y), len(valid_y)) == (33_600, 8_400)
    share = np.bincount(digits.labels) / 42_000
    assert np.allclose(np.bincount(valid_y) / 8_400, share, atol=2e-4)


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


@settings(deadline=None, max_examples=50)
@given(
    n=st.integers(60, 400),
    n_digits=st.integers(1, 10),
    fraction=st.floats(0.2, 0.8),
    seed=st.integers(0, 2**32 - 1),
)
def test_split_keeps_every_image_once_with_its_label(n, n_digits, fraction, seed):
    images, labels = labelled(n, n_digits, seed)
    train_x, valid_x, train_y, valid_y = split_train_validation(images, labels, fraction, seed)
    again = split_train_validation(images, labels, fraction, seed)
    assert np.array_equal(valid_x, again[1])
    assert np.array_equal(valid_y, again[3])
    numbers = np.concatenate([train_x, valid_x])[:, 0, 0]
    assert np.array_equal(np.sort(numbers), np.arange(n))
    assert np.array_equal(labels[numbers], np.concatenate([train_y, valid_y]))
    assert train_x.dtype == valid_x.dtype == images.dtype
    assert train_y.dtype == valid_y.dtype == labels.dtype
    assert len(valid_x) == int(np.ceil(fraction * n))
    for digit in range(n_digits):
        ideal = fraction * np.count_nonzero(labels == digit)
        assert abs(np.count_nonzero(valid_y == digit) - ideal) <= 2


def test_split_depends_on_the_seed():
    images, labels = labelled(200, 10, 0)
    first = split_train_validation(images, labels, seed=0)[1]
    assert not np.array_equal(first, split_train_validation(images, labels, seed=1)[1])


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, 20, float("nan")])
def test_split_refuses_a_bad_fraction(fraction):
    with pytest.raises(ValueError, match=r"validation_fraction is .*above 0 and below 1"):
        split_train_validation(*labelled(60, 10, 0), fraction)


def test_split_refuses_too_few_images_and_a_bad_seed():
    with pytest.raises(ValueError, match=r"cannot split 20 images .* use more images"):
        split_train_validation(*labelled(20, 10, 0), 0.1)
    with pytest.raises(ValueError, match=r"seed is -1; expected a whole number"):
        split_train_validation(*labelled(60, 10, 0), seed=-1)


def test_split_and_subset_refuse_a_mismatch():
    images, labels = labelled(60, 10, 0)
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[60, 59\]"):
        split_train_validation(images, labels[1:])
    with pytest.raises(ValueError, match="found 59 images and 60 labels.*that belong together"):
        take_subset(images[1:], labels, 20)


# ---------------------------------------------------------------- subset


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
    assert some.dtype == images.dtype
    assert some_labels.dtype == labels.dtype
    numbers = some[:, 0, 0]
    assert np.array_equal(labels[numbers], some_labels)
    assert (np.diff(numbers) > 0).all()  # in their own order, none twice
    assert np.array_equal(take_subset(images, labels, n, seed)[0], some)
    for digit in range(n_digits):
        ideal = min(n, n_all) * np.count_nonzero(labels == digit) / n_all
        assert abs(np.count_nonzero(some_labels == digit) - ideal) <= 2
        assert digit in some_labels


def test_subset_of_the_full_data(digits):
    _, labels = take_subset(digits.images, digits.labels, 1000)
    assert np.allclose(np.bincount(labels) / 1000, np.bincount(digits.labels) / 42_000, atol=1e-3)
    other = take_subset(digits.images, digits.labels, 1000, seed=1)[1]
    assert not np.array_equal(labels, other)


@pytest.mark.parametrize("n", [None, 60, 61, 10**9])
def test_subset_of_all_is_unchanged(n):
    images, labels = labelled(60, 10, 0)
    some, some_labels = take_subset(images, labels, n)
    assert some is images
    assert some_labels is labels


@pytest.mark.parametrize("n", [9, 0, -5])
def test_subset_refuses_too_few(n):
    with pytest.raises(
        ValueError, match=rf"{n} images asked for, expected at least 10 .*None for all"
    ):
        take_subset(*labelled(60, 10, 0), n)


# ---------------------------------------------------------------- preparation


@settings(deadline=None, max_examples=30)
@given(n=st.integers(0, 5), seed=st.integers(0, 2**32 - 1))
def test_prepared_images(n, seed):
    images = np.random.default_rng(seed).integers(0, 256, (n, 28, 28), dtype=np.uint8)
    before = images.copy()
    prepared = prepare_images(images)
    assert prepared.shape == (n, 28, 28, 1)
    assert prepared.dtype == np.float32
    assert ((prepared >= 0) & (prepared <= 1)).all()
    assert np.array_equal(np.rint(prepared[..., 0] * 255), images)
    assert np.array_equal(images, before)
    assert np.array_equal(prepare_images(images.astype(int)), prepared)


@pytest.mark.parametrize(
    ("images", "found"),
    [
        (np.zeros((28, 28), np.uint8), r"shape \(28, 28\), expected \(n, 28, 28\).*np\.newaxis"),
        (np.zeros((2, 784), np.uint8), r"shape \(2, 784\).*reshape"),
        (
            np.zeros((2, 28, 28), np.float32),
            "dtype float32, from 0.0.*do not scale them again",
        ),
        (np.full((2, 28, 28), 256), "from 256 to 256, expected whole numbers from 0 to 255"),
        (np.full((2, 28, 28), -1), "from -1 to -1, expected whole numbers from 0 to 255"),
    ],
)
def test_prepare_refuses(images, found):
    with pytest.raises(ValueError, match=found):
        prepare_images(images)


def test_import_is_light():
    code = (
        "import sys, digit_utils.data, digit_utils.results, digit_utils.artifacts;"
        "heavy = {'tensorflow', 'keras', 'sklearn', 'pandas', 'pyarrow', 'IPython'};"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
