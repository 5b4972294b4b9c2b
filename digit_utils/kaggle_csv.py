"""Read Kaggle's train.csv and test.csv, exactly or not at all.

Good files take the fast path: Arrow parses them on every core. Anything the fast path will
not take is read a second time, slowly, only to say what is wrong and where
(`digit_utils.kaggle_diagnosis`). No value is guessed and no row is dropped.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from digit_utils.errors import DigitDataError
from digit_utils.kaggle_diagnosis import diagnose_body, read_header
from digit_utils.kaggle_files import read_kaggle_file

N_PIXELS = 28 * 28
PIXEL_COLUMNS = [f"pixel{index}" for index in range(N_PIXELS)]
# What may stand below the header. No stray quotes: readers of CSV differ on what `"2"5` means.
PLAIN_BYTES = b"0123456789,\r\n"
FIELD = rb'(?:"[^",\r\n]*"|[^",\r\n]*)'
QUOTED_ROW = re.compile(rb"(?:%b,)*+%b[\r\n]*" % (FIELD, FIELD))
# With 785 columns, Arrow's usual 1 MB blocks cost more in bookkeeping than in parsing.
BLOCK_BYTES = 1 << 22
TAIL_BYTES = 1 << 16  # looked at in one go for blank lines at the end


def read_kaggle_folder(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read the images and labels of ``train.csv``, and the images of ``test.csv``.

    ``folder`` is a folder or zip archive, as for `digit_utils.data.load_digits`. Returns uint8
    images (n, 28, 28), labels (n,) and test images (n_test, 28, 28). Raises DigitDataError if a
    file is missing, is not exactly in Kaggle's format or does not fit into memory.
    """
    try:
        train = parse_kaggle_csv(*read_kaggle_file(folder, "train.csv"), has_label=True)
        test = parse_kaggle_csv(*read_kaggle_file(folder, "test.csv"), has_label=False)
    except MemoryError as error:
        raise DigitDataError(
            f"{folder}: its files do not fit into the memory that is left; end other programs"
        ) from error
    return _as_images(train[:, 1:]), np.ascontiguousarray(train[:, 0]), _as_images(test)


def parse_kaggle_csv(shown: str, raw: bytes, has_label: bool) -> np.ndarray:
    """Parse one file, of at least one row, into uint8 (n, 785), label first, or (n, 784) without.

    ``shown`` names the file in errors; ``raw`` is the whole of it. Raises DigitDataError if it is
    not exactly in Kaggle's format.
    """
    columns = ["label", *PIXEL_COLUMNS] if has_label else PIXEL_COLUMNS
    body_start = read_header(shown, raw, columns)
    if raw.find(b'"', body_start) >= 0:  # whole fields in quotes, as R and spreadsheets write them
        rows = raw[body_start:].splitlines(keepends=True)
        rows = [row.translate(None, b'"') if QUOTED_ROW.fullmatch(row) else row for row in rows]
        raw = b"".join([raw[:body_start], *rows])
    table = _parse_fast(raw, body_start, columns)
    if table is None or (has_label and table[:, 0].max() > 9):
        diagnose_body(shown, raw, columns)
    return table


def _parse_fast(raw: bytes, body_start: int, columns: list[str]) -> np.ndarray | None:
    """Return the numbers below the header, or None if anything at all looks unusual."""
    import pyarrow
    from pyarrow import csv

    # Blank lines after the last row are harmless; one between rows is not, so Arrow is told
    # below not to skip any.
    body_end = len(raw)
    while body_end > body_start:
        tail = raw[max(body_start, body_end - TAIL_BYTES) : body_end]
        kept = len(tail.rstrip(b"\r\n"))
        body_end -= len(tail) - kept
        if kept:
            break
    if body_end == body_start:
        return None
    body = raw[body_start:body_end]
    # Arrow would make a row of 785 empty values of each blank line, and run out of memory. A row
    # takes at least a digit a column, and commas between.
    rows = 1 + max(body.count(b"\n"), body.count(b"\r"))
    if rows * (2 * len(columns) - 1) > len(body):
        return None
    # Arrow also reads "0x1F" as a number and trims spaces; only plain digits are taken here.
    if body.translate(None, delete=PLAIN_BYTES):
        return None
    try:
        table = csv.read_csv(
            pyarrow.BufferReader(body),
            read_options=csv.ReadOptions(column_names=columns, block_size=BLOCK_BYTES),
            parse_options=csv.ParseOptions(quote_char=False, ignore_empty_lines=False),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(columns, pyarrow.uint8()), null_values=[]
            ),
        )
    except MemoryError:  # Arrow's own is one of its errors as well
        raise
    except pyarrow.ArrowException:
        return None
    # Each column is contiguous; stacking whole columns and turning the block once is far
    # quicker than writing 784 strided columns.
    return np.ascontiguousarray(np.stack([column.to_numpy() for column in table.columns]).T)


def _as_images(pixels: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(pixels).reshape(-1, 28, 28)
