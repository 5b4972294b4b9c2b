"""Load the digits, split them, and make them ready for a network.

The package carries the real MNIST digits, so every chapter runs without an account or a
download. `load_digits` deals them out in the shape of Kaggle's *Digit Recognizer*: 42,000
labelled images to learn from and 28,000 test images without labels.

**Kaggle's shape, not Kaggle's order.** The 70,000 images are shuffled by a fixed permutation,
``np.random.RandomState(42_000).permutation(70_000)``, a stream NumPy promises never to
change. The first 42,000 of it are the labelled images. Kaggle's competition was dealt from
the same 70,000 images but in another order: row 17 here is not row 17 of ``train.csv``, and a
submission made from these test images would score about 10 % there. To submit, load Kaggle's
own files with ``load_digits("folder/with/train.csv")``.

**What the shuffle means for accuracy.** MNIST's own 60,000 training and 10,000 test images
come from different writers. The shuffle mixes the two halves, so most writers have images on
both sides, and a network is tested on handwriting it has partly seen. Expect a somewhat higher
accuracy here than on MNIST's own 60,000/10,000 split; do not compare the two.

**The test labels are sealed.** They are known to us but not to a competitor, so the loader
leaves them out. Only `digit_utils.evaluate.score_sealed_test` opens them, for a chapter's
final report.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from digit_utils.errors import DigitDataError, SealedLabelsUnavailable
from digit_utils.kaggle_files import find_kaggle_folder
from digit_utils.mnist import deal_bundled_mnist

__all__ = [
    "DigitDataError",
    "Digits",
    "SealedLabelsUnavailable",
    "load_digits",
    "prepare_images",
    "split_train_validation",
    "take_subset",
]

BUNDLED_SOURCE = "bundled MNIST"


@dataclass(frozen=True, eq=False, repr=False)
class Digits:
    """Labelled images, and test images without labels.

    Attributes
    ----------
    images : ndarray of uint8, shape (n, 28, 28)
        Labelled images, 0 (background) to 255 (full ink). ``n`` is 42,000 for the full data.
    labels : ndarray of uint8, shape (n,)
        The digit each image shows, 0 to 9.
    test_images : ndarray of uint8, shape (n_test, 28, 28)
        Images to predict. ``n_test`` is 28,000 for the full data.
    source : str
        ``"bundled MNIST"``, or the folder the files came from.
    """

    images: np.ndarray
    labels: np.ndarray
    test_images: np.ndarray
    source: str

    def __repr__(self) -> str:
        return (
            f"Digits({len(self.images):,} labelled images, {len(self.test_images):,} test images, "
            f"source={self.source!r})"
        )


def load_digits(folder: str | Path | None = None) -> Digits:
    """Load 42,000 labelled images and 28,000 test images.

    Parameters
    ----------
    folder : str, Path or None
        A folder with Kaggle's ``train.csv`` and ``test.csv`` (each also as ``.gz`` or
        ``.zip``) or its ``digit-recognizer.zip``, or the path of such a zip file. None or ``""``:
        Kaggle's own folder when running there, else the MNIST digits in the package.

    Returns
    -------
    Digits
        Images, labels, test images and where they came from.

    Raises
    ------
    DigitDataError
        If a file is missing or holds anything but digits in Kaggle's format. The message names
        the file, line and column, what was found, what was expected and what to do.

    Notes
    -----
    Taught in 01_eda.
    """
    if folder is None or folder == "":
        folder = find_kaggle_folder()
    if folder is not None:
        from digit_utils.kaggle_csv import read_kaggle_folder

        return Digits(*read_kaggle_folder(Path(folder)), source=str(folder))
    images, labels, test_images, _ = deal_bundled_mnist()
    return Digits(images, labels, test_images, source=BUNDLED_SOURCE)


def sealed_test_labels(digits: Digits) -> np.ndarray:
    """Open the seal: the labels of the test images. Only ``evaluate.score_sealed_test`` calls it.

    Parameters
    ----------
    digits : Digits
        As `load_digits` returned it.

    Returns
    -------
    ndarray of uint8, shape (28000,)
        The labels, in the order of ``digits.test_images``.

    Raises
    ------
    SealedLabelsUnavailable
        If the test images are Kaggle's, whose labels only Kaggle knows, or were changed.
    """
    if digits.source != BUNDLED_SOURCE:
        raise SealedLabelsUnavailable(
            f"the test images come from {digits.source}, and only Kaggle knows their labels; "
            "write a submission file and upload it, or call load_digits() outside Kaggle "
            "to use the bundled digits"
        )
    _, _, test_images, test_labels = deal_bundled_mnist()
    if not np.array_equal(digits.test_images, test_images):
        raise SealedLabelsUnavailable(
            f"the test images (shape {np.shape(digits.test_images)}) are not the "
            f"{len(test_images):,} that load_digits() gave, so their labels would not line up; "
            "pass the Digits that load_digits() returned, unchanged"
        )
    return test_labels


def split_train_validation(
    images: np.ndarray, labels: np.ndarray, validation_fraction: float = 0.2, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Set some labelled images aside, keeping the share of each digit.

    Parameters
    ----------
    images : ndarray, shape (n, ...)
        Labelled images.
    labels : ndarray of int, shape (n,)
        Their digits.
    validation_fraction : float
        Share set aside, above 0 and below 1. The count is rounded up.
    seed : int
        Decides which images are set aside; the same seed gives the same ones.

    Returns
    -------
    train_images, validation_images, train_labels, validation_labels : ndarray
        In scikit-learn's order.

    Raises
    ------
    ValueError
        If images and labels differ in number, the fraction is not between 0 and 1, or there
        are too few images to have each digit on both sides.

    Notes
    -----
    Taught in 02_preprocessing.
    """
    # Imported here: it takes a second that loading the digits need not wait for.
    from sklearn.model_selection import train_test_split

    images, labels = _check_pairs(images, labels)
    if not 0 < validation_fraction < 1:
        raise ValueError(
            f"validation_fraction is {validation_fraction}, expected a share above 0 and below 1, "
            "for example 0.2"
        )
    try:
        return tuple(
            train_test_split(
                images, labels, test_size=validation_fraction, random_state=seed, stratify=labels
            )
        )
    except ValueError as error:
        raise ValueError(
            f"cannot split {len(labels):,} images with validation_fraction={validation_fraction} "
            f"so that each digit is on both sides; use more images ({error})"
        ) from error


def take_subset(
    images: np.ndarray, labels: np.ndarray, n: int | None, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Take ``n`` images, keeping the share of each digit and the order of the images.

    Parameters
    ----------
    images : ndarray, shape (n_all, ...)
        Labelled images.
    labels : ndarray of int, shape (n_all,)
        Their digits.
    n : int or None
        How many to take, at least 10. None, or as many as there are: all, unchanged.
    seed : int
        Decides which images are taken; the same seed gives the same ones.

    Returns
    -------
    images, labels : ndarray
        The chosen images and labels. Each digit present is present here.

    Raises
    ------
    ValueError
        If images and labels differ in number, or ``n`` is below 10.
    TypeError
        If ``n`` is not a whole number.
    """
    images, labels = _check_pairs(images, labels)
    if n is None:
        return images, labels
    if isinstance(n, bool | np.bool_):
        raise TypeError(f"n is {n}, expected a whole number of images or None")
    try:
        n = operator.index(n)
    except TypeError as error:
        raise TypeError(f"n is {n!r}, expected a whole number of images or None") from error
    if n < 10:
        raise ValueError(f"n is {n}, expected at least 10 (one a digit), or None for all images")
    if n >= len(labels):
        return images, labels
    digits, counts = np.unique(labels, return_counts=True)
    if len(digits) > 10:
        raise ValueError(f"labels hold {len(digits)} different values, expected at most 10 digits")
    share = n * counts / len(labels)
    taken = np.maximum(np.floor(share).astype(int), 1)
    while taken.sum() < n:
        taken[np.argmax(share - taken)] += 1
    while taken.sum() > n:
        taken[np.argmax(np.where(taken > 1, taken - share, -np.inf))] -= 1
    random = np.random.RandomState(seed)
    chosen = [
        random.permutation(np.flatnonzero(labels == digit))[:count]
        for digit, count in zip(digits, taken, strict=True)
    ]
    rows = np.sort(np.concatenate(chosen))
    return images[rows], labels[rows]


def prepare_images(images: np.ndarray) -> np.ndarray:
    """Scale pixels from 0-255 to 0-1 and add the channel axis that a network expects.

    Parameters
    ----------
    images : ndarray of int, shape (n, 28, 28)
        Pixels from 0 (background) to 255 (full ink).

    Returns
    -------
    ndarray of float32, shape (n, 28, 28, 1)
        Pixels from 0 to 1.

    Raises
    ------
    ValueError
        If the shape is another, the pixels are not whole numbers (already scaled, perhaps),
        or one is outside 0-255.

    Notes
    -----
    Taught in 02_preprocessing.
    """
    images = np.asarray(images)
    if images.ndim != 3 or images.shape[1:] != (28, 28):
        raise ValueError(
            f"images have shape {images.shape}, expected (n, 28, 28); "
            "for one image pass image[np.newaxis], for rows of 784 pixels rows.reshape(-1, 28, 28)"
        )
    if not np.issubdtype(images.dtype, np.integer):
        raise ValueError(
            f"images are of dtype {images.dtype}, expected whole numbers from 0 to 255; "
            "if they are scaled already, do not scale them again"
        )
    if images.dtype != np.uint8 and images.size and (images.min() < 0 or images.max() > 255):
        raise ValueError(
            f"images hold pixels from {images.min()} to {images.max()}, expected 0 to 255; "
            "look at how they were read"
        )
    return np.divide(images[..., np.newaxis], np.float32(255), dtype=np.float32)


def _check_pairs(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    images, labels = np.asarray(images), np.asarray(labels)
    if labels.ndim != 1 or images.ndim < 1 or len(images) != len(labels):
        raise ValueError(
            f"images have shape {images.shape} and labels {labels.shape}, expected as many labels "
            "as images, in one dimension; pass the two that belong together"
        )
    return images, labels
