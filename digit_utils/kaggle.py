"""Read Kaggle's train.csv and test.csv, exactly or not at all.

Arrow parses good files on every core. Anything it will not take is read a second time, line by
line, only to say what is wrong and where. No value is guessed and no row is dropped. Archives are
read in memory, by exact names: nothing is unpacked to disk.
"""

import gzip
import io
import re
import zipfile
from itertools import zip_longest
from pathlib import Path
from typing import IO

import numpy as np

KAGGLE_FOLDERS = (
    Path("/kaggle/input/digit-recognizer"),
    Path("/kaggle/input/competitions/digit-recognizer"),
)
# Where a Kaggle notebook starts, and where Kaggle takes a competition's answers from.
KAGGLE_OUTPUT = Path("/kaggle/working")
ARCHIVE_NAME = "digit-recognizer.zip"
# Far more than the 77 MB of train.csv, and it still fits in memory: a "zip bomb" stops here.
MAX_BYTES = 1_000_000_000
CHUNK_BYTES = 1 << 24
# With 785 columns, Arrow's usual 1 MB blocks cost more in bookkeeping than in parsing.
BLOCK_BYTES = 1 << 22
MOST_HEADER = 20_000  # characters; a right one has 8,500

PIXEL_COLUMNS = [f"pixel{index}" for index in range(28 * 28)]
PIXEL_VALUES = frozenset(str(value) for value in range(256))
DOWNLOAD = "download digit-recognizer.zip from the Data page of Kaggle's Digit Recognizer again"
FIX = f"correct the file, or {DOWNLOAD}"
# What is often saved under a CSV file's name by mistake, by how it begins.
OTHER_FORMATS = (
    (rb"\s*\Z", f": is empty, expected a header and rows of numbers; {DOWNLOAD}"),
    (
        rb"\xd0\xcf\x11\xe0|PK.*(?:xl/workbook|opendocument\.spreadsheet)",
        ": found an Excel or OpenDocument workbook, expected text; open it and export the sheet "
        f"as CSV, or {DOWNLOAD}",
    ),
    (rb"PK[\x03\x05]", ": found a zipped file, expected text; rename it to end in .csv.zip"),
    (rb"\x1f\x8b", ": found a zipped file, expected text; rename it to end in .csv.gz"),
    (
        rb"\s*<(?:!doctype|html|\?xml)",
        ", line 1: found a web page, expected a header and rows of numbers; Kaggle sends one to "
        f"readers who are not signed in: sign in and {DOWNLOAD}",
    ),
    (
        rb"\xff\xfe|\xfe\xff",
        f", line 1: found UTF-16 text, expected UTF-8; save it as 'CSV UTF-8', or {DOWNLOAD}",
    ),
)


class DigitDataError(ValueError):
    """Digit data is missing or malformed; the message says what, where and how to mend it."""


def find_kaggle_folder() -> Path | None:
    """Return the folder where Kaggle mounts the competition's files, or None elsewhere."""
    for folder in KAGGLE_FOLDERS:
        if any(_candidates(folder, name) for name in ("train.csv", "test.csv")):
            return folder
    return None


def find_kaggle_output() -> Path | None:
    """Return the folder in which Kaggle looks for a submission, or None.

    None, too, where the competition's files are not attached: the answers would be to other images.
    """
    return KAGGLE_OUTPUT if KAGGLE_OUTPUT.is_dir() and find_kaggle_folder() else None


def read_kaggle_folder(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read the images and labels of ``train.csv``, and the images of ``test.csv``.

    ``folder`` and errors are as for `digit_utils.data.load_digits`. Returns uint8 images
    (n, 28, 28), labels (n,) and test images (n_test, 28, 28).
    """
    try:
        train = parse_kaggle_csv(*read_kaggle_file(folder, "train.csv"), has_label=True)
        test = parse_kaggle_csv(*read_kaggle_file(folder, "test.csv"), has_label=False)
        images = np.ascontiguousarray(train[:, 1:]).reshape(-1, 28, 28)
        return images, np.ascontiguousarray(train[:, 0]), test.reshape(-1, 28, 28)
    except MemoryError as error:
        raise DigitDataError(
            f"{folder}: its files do not fit into the memory that is left; end other programs"
        ) from error


def read_kaggle_file(folder: Path, name: str) -> tuple[str, bytes]:
    """Return what to call one of Kaggle's files in an error, and its unzipped content.

    ``folder`` is a folder or a zip archive; in a folder the first of ``name``, ``name.gz``,
    ``name.zip`` and ``digit-recognizer.zip`` is read. Raises DigitDataError if the file is missing,
    unreadable, damaged or larger than `MAX_BYTES`.
    """
    path = folder
    try:
        path = _find(folder, name)
        shown = str(path)
        if path.suffix.lower() == ".zip":
            shown = f"{path}: {name}"
            with zipfile.ZipFile(path) as packed, packed.open(_member(packed, name)) as file:
                return shown, _read_limited(file, shown)
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return shown, _read_limited(file, shown)
    except (DigitDataError, MemoryError):
        raise
    except Exception as error:  # those of a mangled archive have nothing else in common
        if isinstance(error, OSError) and error.strerror:
            raise DigitDataError(
                f"{path}: cannot be read ({error.strerror}); check the path and your rights to it"
            ) from error
        raise DigitDataError(
            f"{path}: is damaged, cut short or packed in an unusual way ({error!s:.200}), expected "
            f"an archive of {name}; {DOWNLOAD}"
        ) from error


def _candidates(folder: Path, name: str) -> list[Path]:
    names = (name, f"{name}.gz", f"{name}.zip", ARCHIVE_NAME)
    # Files only: a pipe might never end.
    return [folder / each for each in names if (folder / each).is_file()]


def _find(folder: Path, name: str) -> Path:
    if not folder.exists():
        raise DigitDataError(
            f"{folder}: no such folder, expected one holding train.csv and test.csv; check the "
            "path, or leave it empty to use the digits that come with the package"
        )
    if folder.is_file() and folder.suffix.lower() == ".zip":
        return folder
    if not folder.is_dir():
        raise DigitDataError(
            f"{folder}: found a file, expected a folder holding train.csv and test.csv, or "
            f"{ARCHIVE_NAME}; pass the folder {folder.parent}"
        )
    found = _candidates(folder, name)
    if found:
        return found[0]
    entries = sorted(folder.iterdir())
    for entry in entries:
        if entry.is_dir() and _candidates(entry, name):
            advice = f"The folder {entry} has it; pass that one"
            break
    else:
        held = _show(*(entry.name for entry in entries), most=5)
        advice = (
            f"The folder holds {held}; expected {name}, {name}.gz, {name}.zip or {ARCHIVE_NAME}; "
            f"pass the folder that has Kaggle's files, or {DOWNLOAD}"
        )
    raise DigitDataError(f"{folder / name}: no such file. {advice}")


def _member(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    found = [m for m in archive.infolist() if re.split(r"[/\\]", m.filename)[-1] == name]
    if len(found) != 1:
        raise DigitDataError(
            f"{archive.filename}: found {len(found)} files named {name}, expected one; the archive "
            f"holds {_show(*archive.namelist(), most=5)}; {DOWNLOAD}"
        )
    return found[0]


def _read_limited(handle: IO[bytes] | gzip.GzipFile, shown: str) -> bytes:
    """Read to the end, but stop at the limit: an archive may lie about its size."""
    content = io.BytesIO()
    while chunk := handle.read(CHUNK_BYTES):
        content.write(chunk)
        if content.tell() > MAX_BYTES:
            raise DigitDataError(
                f"{shown}: found more than {MAX_BYTES // 1_000_000:,} MB unpacked, expected "
                f"about 77 MB; do not trust this file: {DOWNLOAD}"
            )
    return content.getvalue()


def parse_kaggle_csv(shown: str, raw: bytes, has_label: bool) -> np.ndarray:
    """Parse a whole file into uint8 (n, 785), label first, or (n, 784) without.

    ``shown`` is what the DigitDataError calls it if it is not exactly in Kaggle's format.
    """
    columns = ["label", *PIXEL_COLUMNS] if has_label else PIXEL_COLUMNS
    header = re.split(rb"(?<=\n)|(?<=\r)(?!\n)", raw[:MOST_HEADER], maxsplit=1)[0]
    table = None
    if _fields(header.decode("utf-8-sig", "replace").rstrip("\r\n")) == columns:
        table = _parse_rows(raw[len(header) :], columns)
    if table is None or (has_label and table[:, 0].max() > 9):
        raise DigitDataError(shown + _what_is_wrong(raw, columns))
    return table


def _parse_rows(body: bytes, columns: list[str]) -> np.ndarray | None:
    """Return the numbers below the header, or None if anything at all looks unusual."""
    import pyarrow
    from pyarrow import csv

    body = body.rstrip(b"\r\n")  # harmless after the last row, and nowhere else
    # Arrow also reads "0x1F" as a number and trims spaces: only plain digits go in.
    if body.translate(None, delete=b'0123456789,"\r\n'):
        return None
    # Whole fields may stand in quotes, as R and spreadsheets write them; of `"2"5` Arrow makes 25.
    if b'"' in body and re.search(rb'[^,\r\n]"[^,\r\n]', body):
        return None
    # Arrow would make a row of 785 empty values of each blank line, and run out of memory. A row
    # takes at least a digit a column, and commas between.
    rows = 1 + max(body.count(b"\n"), body.count(b"\r"))
    if rows * (2 * len(columns) - 1) > len(body):
        return None
    try:
        table = csv.read_csv(
            pyarrow.BufferReader(body),
            read_options=csv.ReadOptions(column_names=columns, block_size=BLOCK_BYTES),
            parse_options=csv.ParseOptions(ignore_empty_lines=False),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(columns, pyarrow.uint8()), null_values=[]
            ),
        )
    except pyarrow.ArrowInvalid:
        return None
    # Each column is contiguous; stacking whole columns and turning the block once is far
    # quicker than writing 784 strided columns.
    return np.ascontiguousarray(np.stack([column.to_numpy() for column in table.columns]).T)


def _fields(line: str) -> list[str]:
    """Split a line at its commas, and take whole fields out of their quotes."""
    fields = line.split(",")
    if '"' not in line:
        return fields
    return [f[1:-1] if len(f) > 1 and f[0] == f[-1] == '"' else f for f in fields]


def _what_is_wrong(raw: bytes, columns: list[str]) -> str:
    """Say the first thing wrong: its line (the header is line 1), its column, and what to do."""
    for mark, fault in OTHER_FORMATS:
        if re.match(rb"(?is)(?:\xef\xbb\xbf)?(?:%b)" % mark, raw):
            return fault
    # A list of all lines could take several times the memory of the text.
    lines = io.TextIOWrapper(io.BytesIO(raw.rstrip(b"\r\n")), "utf-8-sig", "replace")
    for number, line in enumerate(lines, start=1):
        line = line.removesuffix("\n")
        fault = _row_fault(line, columns) if number > 1 else _header_fault(line, columns)
        if fault:
            return f", line {number}{fault}"
    if number == 1:
        return f", line 2: found the end of the file after the header, expected rows; {DOWNLOAD}"
    return ": could not be read, though no line of it looks wrong; report this file as a bug"


def _header_fault(line: str, columns: list[str]) -> str:
    names = _fields(line[:MOST_HEADER])
    if names == columns:
        return ""
    for mark, word in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if len(names) == 1 and mark in line:
            how = f"save the file with commas, or {DOWNLOAD}"
            return f": found columns separated by {word}, expected commas; {how}"
    if all(name.isdecimal() for name in names):
        return (
            f": found numbers ({_show(','.join(names[:3]))}, ...), expected a header naming "
            f"{columns[0]} to {columns[-1]}; add the header, or {DOWNLOAD}"
        )
    swapped = "train.csv and test.csv look swapped; swap their names"
    if names == PIXEL_COLUMNS:
        found = "the column 'label' is missing, found 'pixel0' first, expected 'label'"
        return f": {found}; this looks like test.csv: {swapped}"
    if names == ["label", *PIXEL_COLUMNS]:
        found = "found a column 'label', expected 'pixel0' first"
        return f": {found}; this looks like train.csv: {swapped}"
    missing = [name for name in columns if name not in names]
    if missing:
        unknown = [name for name in names if name not in columns]
        instead = f", found {_show(*unknown)} instead" if unknown else ""
        return (
            f": missing {_show(*missing)}{instead}; expected {len(columns)} columns, "
            f"{columns[0]} to {columns[-1]}, found {len(names)}; {FIX}"
        )
    for position, (name, usual) in enumerate(zip_longest(names, columns), start=1):
        where = f", column {position}: found {_show(name)}"
        if name not in columns or not usual:
            hint = " (pandas writes a first column of row numbers unless index=False)"
            what = "a second time" if name in columns else "which is not a column of this file"
            return (
                f"{where}, {what}, expected "
                f"{usual or f'{len(columns)} columns'}{hint if position == 1 else ''}; "
                f"remove the column, or {DOWNLOAD}"
            )
        if name != usual:
            return f"{where}, expected {_show(usual)}; the columns are out of order; {FIX}"
    return ""


def _row_fault(line: str, columns: list[str]) -> str:
    width, found = len(columns), line.count(",") + 1
    expected = f"expected {width}, {columns[0]} to {columns[-1]}; {FIX}"
    if found > width:  # said before it is split: it may be one line of a thousand megabytes
        return f": the row is too long, found {found} values (it runs on), {expected}"
    values = _fields(line)
    if not line:
        return f": found a blank line between rows, expected {width} numbers; remove the line"
    if found < width:
        return (
            f": the row is too short, found {found} values (it ends after column "
            f"{columns[found - 1]!r}), {expected}"
        )
    # One set comparison passes a good row at the speed of C; only others are looked at closely.
    if PIXEL_VALUES.issuperset(values) and (columns[0] != "label" or int(values[0]) < 10):
        return ""
    for name, value in zip(columns, values, strict=True):
        highest = 9 if name == "label" else 255
        if re.fullmatch(r"[0-9]+", value) and int(value.lstrip("0")[:4] or "0") <= highest:
            continue  # 007 is a number too
        return (
            f", column {name!r}: found {_show(value) if value else 'nothing'}, expected a whole "
            f"number from 0 to {highest}; {FIX}"
        )
    return ""


def _show(*texts: str, most: int = 3) -> str:
    """Quote some texts, cut: they may hold anything, a terminal's control codes too."""
    shown = [repr(text if len(text) <= 40 else text[:40] + "...") for text in texts[:most]]
    return (", ".join(shown) or "nothing") + (
        f" and {len(texts) - most} more" if len(texts) > most else ""
    )
