"""Split labelled images, take fewer of them, and make them ready for a network.

Chapters import these from `digit_utils.data`.
"""

from __future__ import annotations

import operator

import numpy as np


def split_train_validation(
    images: np.ndarray, labels: np.ndarray, validation_fraction: float = 0.2, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Set some labelled images aside, keeping the share of each digit.

    ``validation_fraction`` is above 0 and below 1; the count is rounded up. ``seed``, from 0 to
    below 2**32, decides which images are set aside. Returns train images, validation images, train
    labels and validation labels, scikit-learn's order. Raises ValueError for a fraction or seed out
    of range, unequal lengths, or too few images to have each digit on both sides.

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
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed is {seed!r}; expected a whole number from 0 to 2**32 - 1")
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

    ``n`` is at least 10; None, or as many as there are: all, unchanged. ``seed`` decides which
    images are taken. Each digit present in ``labels`` stays present. Raises ValueError for unequal
    lengths, ``n`` below 10 or more than ten different labels, TypeError if ``n`` is not a whole
    number.
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
        raise ValueError(
            f"{n} images asked for, expected at least 10 (one a digit), or None for all; in a "
            "chapter's parameters 0 stands for all"
        )
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

    ``images`` is of whole numbers, shape (n, 28, 28); returns float32 (n, 28, 28, 1). Raises
    ValueError for another shape, for floats (already scaled, perhaps) and for a pixel outside
    0-255.

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
