"""Read Kaggle's train.csv and test.csv, exactly or not at all.

Good files take the fast path: Arrow parses them on every core. Anything the fast path will
not take is read a second time, slowly, only to say what is wrong and where
(`digit_utils.kaggle_diagnosis`). No value is guessed and no row is dropped.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, NoReturn

import numpy as np

DOWNLOAD_ADVICE = (
    "download digit-recognizer.zip from the Data page of Kaggle's Digit Recognizer again"
)


class DigitDataError(ValueError):
    """Digit data is missing or malformed; the message says what, where and how to mend it."""


KAGGLE_FOLDERS = (
    Path("/kaggle/input/digit-recognizer"),
    Path("/kaggle/input/competitions/digit-recognizer"),
)
# Where a Kaggle notebook starts, and where Kaggle takes a competition's answers from.
KAGGLE_OUTPUT = Path("/kaggle/working")
ARCHIVE_NAME = "digit-recognizer.zip"
# Kaggle's train.csv is 77 MB. A thousand million bytes is far more than any real file
# and still fits in memory: a "zip bomb" stops here.
MAX_BYTES = 1_000_000_000
CHUNK_BYTES = 1 << 24
# zipfile and gzip have no one error for a bad archive; a mangled one can raise any of these.
UNPACKING_ERRORS = (
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    struct.error,
    EOFError,
    RuntimeError,
    ValueError,
    ArithmeticError,
    LookupError,
)


def find_kaggle_folder() -> Path | None:
    """Return the folder where Kaggle mounts the competition's files, or None elsewhere."""
    for folder in KAGGLE_FOLDERS:
        if folder.is_dir() and any(_candidates(folder, name) for name in ("train.csv", "test.csv")):
            return folder
    return None


def find_kaggle_output() -> Path | None:
    """Return the folder in which Kaggle looks for a submission, or None.

    None, too, where the competition's files are not attached: the answers would be to other images.
    """
    return KAGGLE_OUTPUT if KAGGLE_OUTPUT.is_dir() and find_kaggle_folder() else None


def read_kaggle_file(folder: Path, name: str) -> tuple[str, bytes]:
    """Return what to call one of Kaggle's files in an error, and its unzipped content.

    ``folder`` is a folder or a zip archive; in a folder the first of ``name``, ``name.gz``,
    ``name.zip`` and ``digit-recognizer.zip`` is read. Raises DigitDataError if the file is missing,
    unreadable, damaged or larger than `MAX_BYTES`.
    """
    try:
        path = _find(folder, name)
        if path.is_fifo():  # opening it would wait for a writer, perhaps for ever
            raise DigitDataError(f"{path}: found a pipe, expected a file; pass a file")
    except OSError as error:  # a folder that may not be searched, a name that is too long
        raise DigitDataError(
            f"{folder}: cannot be read ({error.strerror}); check the path and your rights to it"
        ) from error
    try:
        if path.suffix.lower() == ".zip":
            return f"{path}: {name}", _read_zip(path, name)
        if path.suffix == ".gz":
            with gzip.open(path) as handle:
                return str(path), _read_limited(handle, str(path))
        with path.open("rb") as handle:
            return str(path), _read_limited(handle, str(path))
    except DigitDataError:
        raise
    except UNPACKING_ERRORS as error:
        raise DigitDataError(
            f"{path}: is damaged, cut short or packed in an unusual way ({error!s:.200}), expected "
            f"an archive of {name}; {DOWNLOAD_ADVICE}"
        ) from error
    except OSError as error:
        raise DigitDataError(
            f"{path}: cannot be read ({error.strerror or error}); check that it is a file you "
            "may open"
        ) from error


def _find(folder: Path, name: str) -> Path:
    if not folder.exists():
        raise DigitDataError(
            f"{folder}: no such folder, expected one holding train.csv and test.csv; check the "
            "path, or leave it empty to use the digits that come with the package"
        )
    if folder.is_dir():
        found = _candidates(folder, name)
        if not found:
            raise DigitDataError(f"{folder / name}: no such file. {_describe(folder, name)}")
        return found[0]
    if folder.suffix.lower() == ".zip":
        return folder
    raise DigitDataError(
        f"{folder}: found a file, expected a folder holding train.csv and test.csv, or "
        f"{ARCHIVE_NAME}; pass the folder {folder.parent}"
    )


def _candidates(folder: Path, name: str) -> list[Path]:
    names = (name, f"{name}.gz", f"{name}.zip", ARCHIVE_NAME)
    return [folder / each for each in names if (folder / each).exists()]


def _describe(folder: Path, name: str) -> str:
    """Say what the folder holds instead, and where to look."""
    try:
        entries = sorted(folder.iterdir())
        for entry in entries:
            if entry.is_dir() and _candidates(entry, name):
                return f"The folder {entry} has it; pass that one"
    except OSError as error:
        return f"The folder cannot be listed ({error.strerror}); check its permissions"
    held = _listed([entry.name for entry in entries])
    return (
        f"The folder holds {held}; expected {name}, {name}.gz, {name}.zip or {ARCHIVE_NAME}; "
        f"pass the folder that has Kaggle's files, or {DOWNLOAD_ADVICE}"
    )


def _listed(names: list[str]) -> str:
    """Name a few; quoted, for a name may hold anything, a terminal's control codes too."""
    held = ", ".join(f"{name!r:.80}" for name in names[:5]) or "nothing"
    return held + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _read_zip(path: Path, name: str) -> bytes:
    with zipfile.ZipFile(path) as archive:
        members = [
            member
            for member in archive.infolist()
            if not member.is_dir() and re.split(r"[/\\]", member.filename)[-1] == name
        ]
        if len(members) != 1:
            raise DigitDataError(
                f"{path}: found {len(members)} files named {name}, expected one; the archive "
                f"holds {_listed(archive.namelist())}; {DOWNLOAD_ADVICE}"
            )
        member = members[0]
        if member.flag_bits & 0x1:
            raise DigitDataError(
                f"{path}: {name} is locked with a password; unpack it and pass the folder"
            )
        if member.file_size > MAX_BYTES:
            _refuse_size(f"{path}: {name}")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise NotImplementedError(f"compression method {member.compress_type} of {name}")
        with archive.open(member) as handle:
            return _read_limited(handle, f"{path}: {name}")


def _read_limited(handle: IO[bytes] | gzip.GzipFile, shown: str) -> bytes:
    """Read to the end, but stop at the limit: an archive may lie about its size."""
    content = io.BytesIO()
    while chunk := handle.read(CHUNK_BYTES):
        content.write(chunk)
        if content.tell() > MAX_BYTES:
            _refuse_size(shown)
    return content.getvalue()


def _refuse_size(shown: str) -> None:
    raise DigitDataError(
        f"{shown}: found more than {MAX_BYTES // 1_000_000:,} MB unpacked, expected "
        f"about 77 MB; do not trust this file: {DOWNLOAD_ADVICE}"
    )


BYTE_ORDER_MARK = b"\xef\xbb\xbf"
LINE_END = re.compile(r"\r\n|\n|\r")
LINE_END_BYTES = re.compile(rb"\r\n|\n|\r")
BLANK = BYTE_ORDER_MARK + b" \t\r\n"
PIXEL_VALUES = frozenset(str(value) for value in range(256))
LABEL_VALUES = frozenset(str(value) for value in range(10))
MOST_HEADER_BYTES = 1_000_000  # a right one has 7,000
FIX_ADVICE = f"correct the file, or {DOWNLOAD_ADVICE}"


def read_header(shown: str, raw: bytes, columns: list[str]) -> int:
    """Check that a file's first line names ``columns``; return the byte at which the rows begin.

    ``raw`` is the whole file, ``shown`` its name in errors. Raises DigitDataError if it is empty,
    not text, or names other columns or another order.
    """
    # The short look first: stripping a good file whole would copy it.
    if not raw[:64].strip(BLANK) and not raw.strip(BLANK):
        found = "no bytes" if not raw else "only blank space"
        raise DigitDataError(
            f"{shown}: is empty (found {found}), expected a header and rows of numbers; "
            f"{DOWNLOAD_ADVICE}"
        )
    _refuse_other_formats(shown, raw)
    end = LINE_END_BYTES.search(raw)
    first_line = raw[: end.start()] if end else raw
    if len(first_line) > MOST_HEADER_BYTES:
        raise DigitDataError(
            f"{shown}, line 1: found {len(first_line):,} bytes before the first line end, expected "
            f"a header naming {columns[0]} to {columns[-1]}; {FIX_ADVICE}"
        )
    try:
        text = first_line.removeprefix(BYTE_ORDER_MARK).decode("utf-8")
    except UnicodeDecodeError:
        _refuse_encoding(shown, raw)
    try:
        names = next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        raise DigitDataError(
            f"{shown}, line 1: found a line that is not CSV ({error}), expected a header naming "
            f"{columns[0]} to {columns[-1]}; {FIX_ADVICE}"
        ) from error
    if names != columns:
        _refuse_header(shown, names, columns)
    return end.end() if end else len(raw)


def _refuse_other_formats(shown: str, raw: bytes) -> None:
    """Recognise what is often saved under a CSV file's name by mistake."""
    start = raw[:64].lstrip(BLANK).lower()
    workbook = raw.startswith(b"PK") and re.search(rb"xl/workbook|opendocument\.spreadsheet", raw)
    if workbook or raw.startswith(b"\xd0\xcf\x11\xe0"):
        raise DigitDataError(
            f"{shown}: found an Excel or OpenDocument workbook, expected text; open it and export "
            f"the sheet as CSV, or {DOWNLOAD_ADVICE}"
        )
    if raw.startswith((b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b")):
        ending = ".gz" if raw.startswith(b"\x1f\x8b") else ".zip"
        raise DigitDataError(
            f"{shown}: found a zipped file, expected text; rename it to end in .csv{ending}"
        )
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise DigitDataError(
            f"{shown}, line 1: found a web page, expected a header and rows of numbers; Kaggle "
            f"sends one to readers who are not signed in: sign in and {DOWNLOAD_ADVICE}"
        )
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DigitDataError(
            f"{shown}, line 1: found UTF-16 text, expected UTF-8; save it as 'CSV UTF-8', "
            f"or {DOWNLOAD_ADVICE}"
        )
    position = raw.find(b"\0")
    if position >= 0:
        raise DigitDataError(
            f"{shown}, line {_line_at(raw, position)}: found a zero byte, expected text; "
            f"the file is binary or damaged: {DOWNLOAD_ADVICE}"
        )


def _refuse_header(shown: str, names: list[str], columns: list[str]) -> NoReturn:
    where = f"{shown}, line 1"
    expects_label = columns[0] == "label"
    pixels = columns[1:] if expects_label else columns
    if len(names) <= 1:
        for mark, word in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
            if names and mark in names[0]:
                raise DigitDataError(
                    f"{where}: found columns separated by {word}, expected commas; save the file "
                    f"with commas, or {DOWNLOAD_ADVICE}"
                )
    if names and all(re.fullmatch(r"[0-9]+", name) for name in names):
        raise DigitDataError(
            f"{where}: found numbers ({_show(','.join(names[:3]))}, ...), expected a header "
            f"naming {columns[0]} to {columns[-1]}; add the header, or {DOWNLOAD_ADVICE}"
        )
    if expects_label and names == pixels:
        raise DigitDataError(
            f"{where}: the column 'label' is missing, found 'pixel0' first, expected 'label'; "
            "this looks like test.csv: train.csv and test.csv look swapped; swap their names"
        )
    if not expects_label and names == ["label", *pixels]:
        raise DigitDataError(
            f"{where}: found a column 'label', expected 'pixel0' first; this looks like "
            "train.csv: train.csv and test.csv look swapped; swap their names"
        )
    seen: dict[str, int] = {}
    for position, name in enumerate(names, start=1):
        if name in seen:
            raise DigitDataError(
                f"{where}, column {position}: found {_show(name)} a second time (first in column "
                f"{seen[name]}), expected each name once; {FIX_ADVICE}"
            )
        seen[name] = position
    missing = [name for name in columns if name not in seen]
    if missing:
        unknown = [name for name in names if name not in columns]
        instead = f", found {_some(unknown)} instead" if unknown else ""
        raise DigitDataError(
            f"{where}: missing {_some(missing)}{instead}; expected {len(columns)} columns, "
            f"{columns[0]} to {columns[-1]}, found {len(names)}; {FIX_ADVICE}"
        )
    for position, name in enumerate(names, start=1):
        expected = columns[position - 1] if position <= len(columns) else None
        if name not in columns:
            hint = " (pandas writes a first column of row numbers unless index=False)"
            raise DigitDataError(
                f"{where}, column {position}: found {_show(name)}, which is not a column of this "
                f"file, expected {expected or f'{len(columns)} columns'}"
                f"{hint if position == 1 else ''}; remove the column, or {DOWNLOAD_ADVICE}"
            )
        if name != expected:
            raise DigitDataError(
                f"{where}, column {position}: found {_show(name)}, expected "
                f"{_show(expected or '')}; the columns are out of order; {FIX_ADVICE}"
            )
    raise AssertionError("a header with these names is right")  # pragma: no cover


def diagnose_body(shown: str, raw: bytes, columns: list[str]) -> NoReturn:
    """Raise the DigitDataError that says the first thing wrong below the header of a whole file.

    ``shown`` names the file in the error. The header, ``columns``, must be right; this always
    raises.
    """
    try:
        text = raw.removeprefix(BYTE_ORDER_MARK).decode("utf-8")
    except UnicodeDecodeError:
        _refuse_encoding(shown, raw)
    line = 1
    for line, row in enumerate(islice(_lines(text.rstrip("\r\n")), 1, None), start=2):
        _check_row(f"{shown}, line {line}", row, columns)
    if line == 1:
        raise DigitDataError(
            f"{shown}, line 2: found the end of the file after the header, expected at least one "
            f"row of numbers; {DOWNLOAD_ADVICE}"
        )
    raise DigitDataError(
        f"{shown}: could not be read, though no line of it looks wrong; {DOWNLOAD_ADVICE}, "
        "and report this file as a bug"
    )


def _lines(text: str) -> Iterator[str]:
    """Yield line by line: a list of them all could take several times the memory of the text."""
    start = 0
    for end in LINE_END.finditer(text):
        yield text[start : end.start()]
        start = end.end()
    yield text[start:]


def _check_row(where: str, text: str, columns: list[str]) -> None:
    # Counted before it is split, for the same reason: it may be one line of a thousand megabytes.
    found = text.count(",") + 1
    if found > len(columns):
        raise DigitDataError(
            f"{where}: the row is too long, found {found} values (it runs on), expected "
            f"{len(columns)}, {columns[0]} to {columns[-1]}; {FIX_ADVICE}"
        )
    row = text.split(",")
    if row == columns:
        raise DigitDataError(
            f"{where}: found the header a second time, expected numbers; two files seem to be "
            f"joined; remove the line, or {DOWNLOAD_ADVICE}"
        )
    if row == [""]:
        raise DigitDataError(
            f"{where}: found a blank line between rows, expected {len(columns)} numbers; "
            "remove the line"
        )
    if len(row) < len(columns):
        raise DigitDataError(
            f"{where}: the row is too short, found {len(row)} values (it ends after column "
            f"{columns[len(row) - 1]!r}), expected {len(columns)}, {columns[0]} to {columns[-1]}; "
            f"{FIX_ADVICE}"
        )
    labelled = columns[0] == "label"
    # One set comparison passes a good row at the speed of C; only bad ones are looked at closely.
    if PIXEL_VALUES.issuperset(row) and not (labelled and row[0] not in LABEL_VALUES):
        return
    for name, value in zip(columns, row, strict=True):
        highest = 9 if name == "label" else 255
        if re.fullmatch(r"[0-9]+", value) and int(value.lstrip("0")[:4] or "0") <= highest:
            continue  # 007 is a number too
        written = "nothing" if value == "" else _show(value)
        raise DigitDataError(
            f"{where}, column {name!r}: found {written}, expected a whole number from 0 to "
            f"{highest}; {FIX_ADVICE}"
        )


def _refuse_encoding(shown: str, raw: bytes) -> NoReturn:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        position = error.start
    line_start = max(raw.rfind(b"\n", 0, position), raw.rfind(b"\r", 0, position)) + 1
    column = raw.count(b",", line_start, position) + 1
    raise DigitDataError(
        f"{shown}, line {_line_at(raw, position)}, column {column}: found the byte "
        f"0x{raw[position]:02X}, which is not UTF-8 text, expected numbers and commas; the file "
        f"is binary or damaged: {DOWNLOAD_ADVICE}"
    )


def _line_at(raw: bytes, position: int) -> int:
    return len(LINE_END_BYTES.findall(raw, 0, position)) + 1


def _show(value: str) -> str:
    """Quote a value from the file, cut so that the message stays readable."""
    return repr(value if len(value) <= 40 else value[:40] + "...")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(_show(name) for name in names[:3]) + more


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
