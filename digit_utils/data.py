"""Load the digits; split them and make them ready for a network.

The package carries the 70,000 MNIST digits, so no chapter needs an account or a download.
`load_digits` gives them in the shape of Kaggle's *Digit Recognizer*: 42,000 labelled images and
28,000 test images without labels.

**Kaggle's shape, not Kaggle's order.** A fixed permutation shuffles the images: row 17 here is not
row 17 of Kaggle's ``train.csv``, and a submission made from these test images would score about
10 % there. To submit, load Kaggle's own files with ``load_digits("folder/with/train.csv")``.

**What the shuffle means for accuracy.** MNIST's own 60,000 training and 10,000 test images come
from different writers. The shuffle mixes them, so a network is tested on handwriting it has partly
seen. Expect a somewhat higher accuracy than on MNIST's own split; do not compare the two.

**The test labels are sealed**, as a competitor does not know them. Only
`digit_utils.evaluate.score_sealed_test` opens them, for a chapter's final report.
"""

import hashlib
import io
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from digit_utils.kaggle import DigitDataError, find_kaggle_folder, read_kaggle_folder

BUNDLED_SOURCE = "bundled MNIST"
# assets/MNIST-LICENSE.txt says whose they are and how the file was made.
MNIST_FILE = Path(__file__).resolve().parent / "assets" / "mnist.npz"
MNIST_BYTES = 11_265_952
MNIST_SHA256 = "4195ee80d0ab0aefe877112f055e47d17b72fb27ca2e4dbdb30ff94bce0051ba"
SHUFFLE_SEED = 42_000
N_LABELLED = 42_000


class SealedLabelsUnavailable(RuntimeError):
    """The labels of these test images are not known here."""


@dataclass(frozen=True, eq=False, repr=False)
class Digits:
    """Labelled images, and test images without labels."""

    images: np.ndarray  # uint8 (n, 28, 28), 0 (background) to 255 (full ink); n is 42,000 in full
    labels: np.ndarray  # uint8 (n,)
    test_images: np.ndarray  # uint8 (n_test, 28, 28); n_test is 28,000 in full
    source: str  # BUNDLED_SOURCE, or the folder the files came from

    def __repr__(self) -> str:
        return (
            f"Digits({len(self.images):,} labelled images, {len(self.test_images):,} test images, "
            f"source={self.source!r})"
        )


def load_digits(folder: str | Path | None = None) -> Digits:
    """Load 42,000 labelled images and 28,000 test images.

    ``folder`` holds Kaggle's ``train.csv`` and ``test.csv`` (each also as ``.gz`` or ``.zip``) or
    its ``digit-recognizer.zip``, or is the path of such a zip file. None or ``""``: Kaggle's own
    folder when running there, else the MNIST digits in the package. Raises DigitDataError, which
    says where and what to do, if a file is missing or not exactly in Kaggle's format.
    Taught in 01_eda.
    """
    if folder is None or folder == "":
        folder = find_kaggle_folder()
    if folder is not None:
        # Path.expanduser would raise for an unknown ~name.
        folder = Path(os.path.expanduser(folder)).absolute()
        return Digits(*read_kaggle_folder(folder), source=str(folder))
    images, labels, test_images, _ = split_bundled_mnist()
    return Digits(images, labels, test_images, source=BUNDLED_SOURCE)


def sealed_test_labels(digits: Digits) -> np.ndarray:
    """Return the labels of the bundled test images; only ``evaluate.score_sealed_test`` calls it.

    They are uint8 (28000,), in the order of ``digits.test_images``. Raises SealedLabelsUnavailable
    if the test images are Kaggle's, whose labels only Kaggle knows, or were changed.
    """
    if digits.source != BUNDLED_SOURCE:
        raise SealedLabelsUnavailable(
            f"the test images come from {digits.source}, and only Kaggle knows their labels; "
            "write a submission file and upload it, or call load_digits() outside Kaggle "
            "to use the bundled digits"
        )
    _, _, test_images, test_labels = split_bundled_mnist()
    if not np.array_equal(digits.test_images, test_images):
        raise SealedLabelsUnavailable(
            f"the test images (shape {np.shape(digits.test_images)}) are not the "
            f"{len(test_images):,} that load_digits() gave, so their labels would not line up; "
            "pass the Digits that load_digits() returned, unchanged"
        )
    return test_labels


def split_bundled_mnist() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return 42,000 images (n, 28, 28) and labels, then 28,000 test images and sealed labels."""
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
    digest = hashlib.sha256(raw).hexdigest()
    if digest != MNIST_SHA256:
        what = "is cut short" if len(raw) < MNIST_BYTES else "has been changed"
        raise DigitDataError(
            f"{MNIST_FILE}: {what}, found {len(raw):,} bytes of SHA-256 {digest}, expected "
            f"{MNIST_BYTES:,} of {MNIST_SHA256}; {advice}"
        )
    with np.load(io.BytesIO(raw), allow_pickle=False) as archive:
        return archive["images"], archive["labels"]


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
    lengths or a smaller ``n``.
    """
    if len(images) != len(labels):
        raise ValueError(
            f"found {len(images):,} images and {len(labels):,} labels, expected as many; pass the "
            "two that belong together"
        )
    if n is None:
        return images, labels
    digits, counts = np.unique(labels, return_counts=True)
    least = max(10, len(digits))
    if n < least:
        raise ValueError(
            f"{n} images asked for, expected at least {least} (one a digit), or None for all; in a "
            "chapter's parameters 0 stands for all"
        )
    if n >= len(labels):
        return images, labels
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
    0-255. Taught in 02_preprocessing.
    """
    images = np.asarray(images)
    if images.ndim != 3 or images.shape[1:] != (28, 28):
        raise ValueError(
            f"images have shape {images.shape}, expected (n, 28, 28); "
            "for one image pass image[np.newaxis], for rows of 784 pixels rows.reshape(-1, 28, 28)"
        )
    lowest, highest = (images.min(), images.max()) if images.size else (0, 0)
    if not np.issubdtype(images.dtype, np.integer) or lowest < 0 or highest > 255:
        raise ValueError(
            f"images are of dtype {images.dtype}, from {lowest} to {highest}, expected whole "
            "numbers from 0 to 255; if they are scaled already, do not scale them again"
        )
    return np.divide(images[..., np.newaxis], np.float32(255), dtype=np.float32)
