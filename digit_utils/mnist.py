"""The MNIST digits that come with the package: read, check and deal them.

``assets/MNIST-LICENSE.txt`` says whose they are and how the file was made.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np

from digit_utils.errors import DigitDataError

MNIST_FILE = Path(__file__).resolve().parent / "assets" / "mnist.npz"
MNIST_BYTES = 11_265_952
MNIST_SHA256 = "4195ee80d0ab0aefe877112f055e47d17b72fb27ca2e4dbdb30ff94bce0051ba"

SHUFFLE_SEED = 42_000
N_LABELLED = 42_000


def deal_bundled_mnist() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Deal the 70,000 digits out in Kaggle's shape, always in the same way.

    Returns 42,000 images (n, 28, 28) and labels, then 28,000 test images and their labels, all
    uint8; the last are sealed, see `digit_utils.data`. Raises as `read_bundled_mnist` does.
    """
    images, labels = read_bundled_mnist()
    # RandomState's stream is frozen by NumPy's policy; default_rng's may change with a version.
    order = np.random.RandomState(SHUFFLE_SEED).permutation(len(images))
    ours, sealed = order[:N_LABELLED], order[N_LABELLED:]
    return images[ours], labels[ours], images[sealed], labels[sealed]


def read_bundled_mnist() -> tuple[np.ndarray, np.ndarray]:
    """Read the 70,000 images and labels in MNIST's own order: 60,000 for training, 10,000 for test.

    Returns uint8 (70000, 28, 28) and (70000,). Raises DigitDataError if the file is missing, cut
    short or changed; every byte is checked.
    """
    advice = "install digit_utils again, or restore the file from the repository"
    try:
        raw = MNIST_FILE.read_bytes()
    except OSError as error:
        raise DigitDataError(
            f"{MNIST_FILE}: cannot be read ({error.strerror}), expected the MNIST digits that "
            f"come with the package; {advice}"
        ) from error
    if len(raw) < MNIST_BYTES:
        raise DigitDataError(
            f"{MNIST_FILE}: is cut short, found {len(raw):,} bytes, expected {MNIST_BYTES:,}; "
            f"{advice}"
        )
    digest = hashlib.sha256(raw).hexdigest()
    if digest != MNIST_SHA256:
        raise DigitDataError(
            f"{MNIST_FILE}: has been changed, found SHA-256 {digest}, expected {MNIST_SHA256}; "
            f"{advice}"
        )
    with np.load(io.BytesIO(raw), allow_pickle=False) as archive:
        return archive["images"], archive["labels"]
