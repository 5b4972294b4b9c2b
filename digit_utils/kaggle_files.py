"""Find Kaggle's files in a folder or an archive, and read their bytes.

Archives are read in memory, member by member and by exact name: nothing is unpacked to disk,
so a hostile path inside one has nowhere to go.
"""

from __future__ import annotations

import gzip
import io
import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO

from digit_utils.errors import DOWNLOAD_ADVICE, DigitDataError

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
