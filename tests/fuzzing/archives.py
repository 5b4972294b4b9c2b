"""Kaggle's files in folders and archives: zip and gzip, cut, changed, hostile."""

from __future__ import annotations

import gzip
import io
import stat
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from digit_utils import kaggle
from digit_utils.data import load_digits
from digit_utils.kaggle import DigitDataError
from fuzzing.csv_files import csv_bytes, reading_of
from fuzzing.harness import Target, damaged, leaves_nothing_behind

TRAIN, TEST = csv_bytes(1, 2, True), csv_bytes(2, 2, False)
SMALL = b"label,pixel0\n" + b"1,2\n" * 30
MEMBERS = {"train.csv": TRAIN, "test.csv": TEST}
LIMIT = 200_000  # stands in for the thousand million bytes of kaggle.MAX_BYTES
TOKENS = [
    b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07", b"\xff\xff\xff\xff",
    b"\0\0\0\0", b"\x7f\xff\xff\xff", b"train.csv", b"../../train.csv", b"\x1f\x8b\x08",
    b"\xff" * 8,
    b"\x01\x00", b"\x08\x00", b"\x0c\x00", b"\x0e\x00", b"\x63\x00", b"\x75\x70", b"\0" * 30,
]  # fmt: skip
NAMES = st.sampled_from(
    [
        "train.csv", "test.csv", "train.csv", "test.csv", "../../train.csv", "/test.csv",
        "C:\\train.csv", "a/../../test.csv", "digit-recognizer/train.csv", "train.csv/",
        "..", "con", "tr\u00e4in.csv", "x\ny", "test.csv\0.txt", "TRAIN.CSV",
        "readme.txt", "a" * 300,
    ]
)  # fmt: skip
CONTENTS = st.sampled_from(
    [TRAIN, TEST, TRAIN, TEST, b"", b"0" * (LIMIT + 1), b"../../secret", SMALL]
)


@st.composite
def zips(draw: Any) -> tuple[bytes, dict[str, list[bytes]]]:
    """A zip archive, and what was packed, by name."""
    packed: dict[str, list[bytes]] = {}
    buffer = io.BytesIO()
    members = list(MEMBERS.items()) if draw(st.integers(0, 2)) else []
    extra = st.lists(st.tuples(NAMES, CONTENTS), max_size=3)
    method = draw(st.sampled_from([8, 8, 0, 12, 14]))
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", method) as archive:
        warnings.simplefilter("ignore", UserWarning)  # a name twice
        for name, content in [*members, *draw(extra)]:
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            if draw(st.integers(0, 9)) == 0:
                info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, content)
            last = info.filename.replace("\\", "/").split("/")[-1]
            packed.setdefault(last, []).append(content)
    return draw(damaged(buffer.getvalue(), TOKENS, most=4)), packed


@st.composite
def gzips(draw: Any) -> tuple[bytes, dict[str, list[bytes]]]:
    """A gzip file, perhaps of several members."""
    parts = draw(
        st.lists(st.sampled_from([TRAIN, b"", SMALL, b"0" * 3000]), min_size=1, max_size=3)
    )
    whole = draw(st.sampled_from([[TRAIN], [b"0" * (LIMIT + 1)], parts]))
    raw = b"".join(gzip.compress(part, mtime=0) for part in whole)
    return draw(damaged(raw, TOKENS, most=4)), {"train.csv": whole}


def _limited(read: Any) -> Any:
    usual = kaggle.MAX_BYTES, kaggle.CHUNK_BYTES
    kaggle.MAX_BYTES, kaggle.CHUNK_BYTES = LIMIT, 1 << 14
    try:
        return read()
    finally:
        kaggle.MAX_BYTES, kaggle.CHUNK_BYTES = usual


def _inner(folder: Path) -> Path:
    inner = folder / "a" / "b"  # a path out of the archive would land in a
    inner.mkdir(parents=True)
    return inner


def read_zip(case: tuple[bytes, dict[str, list[bytes]]], folder: Path) -> None:
    """Read both files of an archive; what is read was packed under that name."""
    raw, packed = case
    path = _inner(folder) / "digit-recognizer.zip"
    path.write_bytes(raw)
    with leaves_nothing_behind(path.parent):
        for name in MEMBERS:
            shown, content = _limited(lambda name=name: kaggle.read_kaggle_file(path, name))
            assert shown == f"{path}: {name}"
            # A checksum stands for each member, so whatever else was changed, this holds. A
            # changed name may lead to another member of the archive.
            everything = [each for contents in packed.values() for each in contents]
            assert content in everything, f"read {len(content)} bytes that were never packed"
            assert len(content) <= LIMIT
        digits = _limited(lambda: load_digits(path))
    assert digits.images.dtype == np.uint8 and digits.images.shape[1:] == (28, 28)
    for name, labelled in (("train.csv", True), ("test.csv", False)):
        _, content = _limited(lambda name=name: kaggle.read_kaggle_file(path, name))
        table = np.array(reading_of(content, labelled), np.uint8)
        images = digits.images if labelled else digits.test_images
        assert np.array_equal(images.reshape(len(table), -1), table[:, int(labelled) :])
        assert not labelled or np.array_equal(digits.labels, table[:, 0])


def read_gzip(case: tuple[bytes, dict[str, list[bytes]]], folder: Path) -> None:
    """Read train.csv.gz; what is read is the members that were packed, one after another."""
    raw, packed = case
    path = _inner(folder) / "train.csv.gz"
    path.write_bytes(raw)
    with leaves_nothing_behind(path.parent):
        _, content = _limited(lambda: kaggle.read_kaggle_file(path.parent, "train.csv"))
    left = content
    while left:  # whole members in any order and number: they may have been cut out or doubled
        part = next((p for p in sorted(packed["train.csv"], key=len, reverse=True)
                     if p and left.startswith(p)), None)  # fmt: skip
        assert part, f"read {len(content)} bytes that were never packed"
        left = left[len(part) :]
    assert len(content) <= LIMIT


TARGETS = (
    Target("zip", zips(), read_zip, (DigitDataError,), share=1.0),
    Target("gzip", gzips(), read_gzip, (DigitDataError,), share=0.6),
)
