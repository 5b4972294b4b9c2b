"""What several tests share. Nothing here imports TensorFlow."""

from pathlib import Path

import numpy as np
import pytest
from helpers import PASSED

from digit_utils.data import Digits, load_digits


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call":
        item.stash[PASSED] = report.passed
    return report


class KaggleCsv:
    """A small Kaggle-like CSV file, to be written or spoiled cell by cell."""

    def __init__(self, n_rows: int, labelled: bool, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        self.header = ["label"] * labelled + [f"pixel{index}" for index in range(784)]
        self.rows = random.integers(0, 256, (n_rows, len(self.header))).astype(str).tolist()
        if labelled:
            for row in self.rows:
                row[0] = str(random.integers(0, 10))

    @property
    def values(self) -> np.ndarray:
        return np.array(self.rows).astype(np.uint8)

    def encode(self, line_end: str = "\n") -> bytes:
        lines = [",".join(line) for line in (self.header, *self.rows)]
        return (line_end.join(lines) + line_end).encode("utf-8", "surrogateescape")


@pytest.fixture(scope="session")
def digits() -> Digits:
    return load_digits()


@pytest.fixture
def train_csv() -> KaggleCsv:
    return KaggleCsv(20, labelled=True)


@pytest.fixture
def test_csv() -> KaggleCsv:
    return KaggleCsv(12, labelled=False, seed=1)


@pytest.fixture
def kaggle_folder(tmp_path: Path, train_csv: KaggleCsv, test_csv: KaggleCsv) -> Path:
    """Return a folder with a good train.csv of 20 rows and test.csv of 12."""
    folder = tmp_path / "kaggle"
    folder.mkdir()
    (folder / "train.csv").write_bytes(train_csv.encode())
    (folder / "test.csv").write_bytes(test_csv.encode())
    return folder
