"""Kaggle's CSV files, read a second time with nothing but `re` and `int`."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from digit_utils import kaggle
from digit_utils.kaggle import DigitDataError
from fuzzing.harness import Target, damaged

NAMES = [f"pixel{index}" for index in range(784)]
MARK = b"\xef\xbb\xbf"
TOKENS = [
    b",", b"\n", b"\r", b"\r\n", b'"', b",,", b"\n\n", b";", b"\t", b" ", b"-1", b"256", b"255",
    b"1e2", b"0x10", b"1.0", b"NaN", b"nan", b"NA", b"inf", b"007", b"0" * 3000, b"9" * 3000,
    b"\0", b"\xff", b"\xc3\xa9", b"\xd9\xa3", b"\xe2\x80\xa8", b"\x0b", b"\x0c", b"\x85", b"\x1a",
    MARK, b'"5"', b"'5'", b"label", b"pixel0", b"pixel783", b"+5", b"5_0", b"PK\x03\x04",
    b"\x1f\x8b", b"<html>", b"#", b"\\", b"true", b"1,1", b"\x1c", b"\xe2\x80\x8b",
]  # fmt: skip


def reading_of(raw: bytes, labelled: bool) -> list[list[int]] | None:
    """The numbers of a file, or None if it is not exactly in Kaggle's format."""
    try:
        text = raw.removeprefix(MARK).decode("utf-8")
    except UnicodeDecodeError:
        return None
    header, *rows = re.split(r"\r\n|\n|\r", re.sub(r"[\r\n]+\Z", "", text))
    names = ["label", *NAMES] if labelled else NAMES
    written = header.split(",")
    if len(written) != len(names) or not rows:
        return None
    if any(found not in (name, f'"{name}"') for found, name in zip(written, names, strict=True)):
        return None
    table = []
    for row in rows:
        values = [re.sub('\\A"([0-9]+)"\\Z', r"\1", value) for value in row.split(",")]
        if len(values) != len(names) or not all(re.fullmatch("[0-9]+", v) for v in values):
            return None
        numbers = [int(value.lstrip("0")[:4] or "0") for value in values]
        if max(numbers) > 255 or (labelled and numbers[0] > 9):
            return None
        table.append(numbers)
    return table


def csv_bytes(seed: int, n_rows: int, labelled: bool, line_end: bytes = b"\n") -> bytes:
    """A good file."""
    chance = random.Random(seed)
    names = ["label", *NAMES] if labelled else NAMES
    rows = [",".join(names)]
    for _ in range(n_rows):
        values = [str(chance.choice((0, 0, 0, chance.randrange(256)))) for _ in names]
        if labelled:
            values[0] = str(chance.randrange(10))
        rows.append(",".join(values))
    return line_end.join(row.encode() for row in rows) + line_end


def _columns(raw: bytes, first: int, second: int, which: str) -> bytes:
    """Swap, drop or double whole columns, or one row's values."""
    lines = [line.split(b",") for line in raw.split(b"\n")]
    for line in lines[:-1] if which != "one row" else lines[1:2]:
        a, b = first % len(line), second % len(line)
        if which == "drop":
            del line[a]
        elif which == "double":
            line.insert(b, line[a])
        else:
            line[a], line[b] = line[b], line[a]
    return b"\n".join(b",".join(line) for line in lines)


@st.composite
def files(draw: Any) -> tuple[bytes, bool, int]:
    """A file, whether it has labels, and how many bytes Arrow takes at a time."""
    labelled = draw(st.booleans())
    ends = st.sampled_from([b"\n", b"\n", b"\r\n", b"\r"])
    raw = csv_bytes(draw(st.integers(0, 9)), draw(st.integers(0, 4)), labelled, draw(ends))
    if draw(st.integers(0, 3)) == 0:
        places = st.integers(0, 800)
        which = draw(st.sampled_from(["swap", "drop", "double", "one row"]))
        raw = _columns(raw, draw(places), draw(places), which)
    raw = draw(damaged(raw, TOKENS))
    coding = draw(st.sampled_from([None] * 12 + ["mark", "utf-16", "latin-1", "quotes", "lines"]))
    if coding == "mark":
        raw = MARK + raw
    elif coding == "utf-16":
        raw = raw.decode("latin-1").encode("utf-16")
    elif coding == "latin-1":
        raw = raw.replace(b"1", "¹".encode("latin-1"))
    elif coding == "quotes":
        raw = b'"' + raw.replace(b",", b'","').replace(b"\n", b'"\n"').removesuffix(b'"')
    elif coding == "lines":
        raw = raw.replace(b"\n", draw(st.sampled_from([b"\r\n", b"\r", b"\n\n", b"\n\r"])))
    return raw, labelled, draw(st.sampled_from([1 << 22, 1 << 16, 12_000]))


def read_csv(case: tuple[bytes, bool, int], _: Path) -> None:
    """Read a file both ways."""
    raw, labelled, block = case
    expected = reading_of(raw, labelled)
    usual, kaggle.BLOCK_BYTES = kaggle.BLOCK_BYTES, block
    try:
        read = kaggle.parse_kaggle_csv("x.csv", raw, has_label=labelled)
    except DigitDataError as error:
        assert expected is None, f"refused a good file: {error}"
        assert str(error).startswith("x.csv"), str(error)
        assert "\n" not in str(error), "an error of one line"
        raise
    finally:
        kaggle.BLOCK_BYTES = usual
    assert expected is not None, "accepted a bad file"
    assert read.dtype == np.uint8
    assert np.array_equal(read, expected)


TARGETS = (Target("csv", files(), read_csv, (DigitDataError,), share=2.0),)
