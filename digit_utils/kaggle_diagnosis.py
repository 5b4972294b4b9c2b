"""Say what is wrong with a CSV file: which line, which column, and what to do.

Lines are counted as a text editor counts them: the header is line 1.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from itertools import islice
from typing import NoReturn

from digit_utils.errors import DOWNLOAD_ADVICE, DigitDataError

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
