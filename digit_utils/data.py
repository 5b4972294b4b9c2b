"""Load the digits; split them and make them ready for a network.

The package carries the 70,000 MNIST digits, so no chapter needs an account or a download.
`load_digits` deals them out in the shape of Kaggle's *Digit Recognizer*: 42,000 labelled images to
learn from and 28,000 test images without labels.

**Kaggle's shape, not Kaggle's order.** A fixed permutation shuffles the images,
``np.random.RandomState(42_000).permutation(70_000)``, a stream NumPy promises never to change; its
first 42,000 are the labelled images. Row 17 here is not row 17 of Kaggle's ``train.csv``, and a
submission made from these test images would score about 10 % there. To submit, load Kaggle's own
files with ``load_digits("folder/with/train.csv")``.

**What the shuffle means for accuracy.** MNIST's own 60,000 training and 10,000 test images come
from different writers. The shuffle mixes them, so a network is tested on handwriting it has partly
seen. Expect a somewhat higher accuracy than on MNIST's own split; do not compare the two.

**The test labels are sealed.** The loader leaves them out, as a competitor does not know them. Only
`digit_utils.evaluate.score_sealed_test` opens them, for a chapter's final report.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from digit_utils.errors import DigitDataError, SealedLabelsUnavailable
from digit_utils.kaggle_files import find_kaggle_folder
from digit_utils.mnist import deal_bundled_mnist
from digit_utils.preparation import prepare_images, split_train_validation, take_subset

__all__ = [
    "BUNDLED_SOURCE",
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
        from digit_utils.kaggle_csv import read_kaggle_folder

        folder = Path(
            os.path.expanduser(folder)
        ).absolute()  # Path's own raises for an unknown ~name
        return Digits(*read_kaggle_folder(folder), source=str(folder))
    images, labels, test_images, _ = deal_bundled_mnist()
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
    _, _, test_images, test_labels = deal_bundled_mnist()
    if not np.array_equal(digits.test_images, test_images):
        raise SealedLabelsUnavailable(
            f"the test images (shape {np.shape(digits.test_images)}) are not the "
            f"{len(test_images):,} that load_digits() gave, so their labels would not line up; "
            "pass the Digits that load_digits() returned, unchanged"
        )
    return test_labels
