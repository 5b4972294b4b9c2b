"""Kaggle's files: good ones read exactly, bad ones are refused with a message that helps.

What of any other damage is read, or refused, `test_fuzz` compares with a plain reader.
"""

import gzip
import io
import re
import time
import zipfile

import numpy as np
import pytest

from digit_utils import kaggle
from digit_utils.data import DigitDataError, load_digits
from digit_utils.kaggle import PIXEL_COLUMNS

HEADER = ",".join(["label", *PIXEL_COLUMNS])


def zip_bytes(**members):
    """Return a zip archive with these members, dated 1980: it may be in a test's name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def message_of(folder):
    with pytest.raises(DigitDataError) as caught:
        load_digits(folder)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 700
    return text


def message_about(kaggle_folder, csv, name="train.csv"):
    (kaggle_folder / name).write_bytes(csv if isinstance(csv, bytes) else csv.encode())
    return message_of(kaggle_folder)


def assert_is(digits, train, test):
    assert np.array_equal(digits.labels, train.values[:, 0])
    assert np.array_equal(digits.images.reshape(-1, 784), train.values[:, 1:])
    assert np.array_equal(digits.test_images.reshape(-1, 784), test.values)
    assert digits.images.dtype == digits.labels.dtype == digits.test_images.dtype == np.uint8
    assert digits.images.flags.writeable and digits.images.flags.c_contiguous


def test_reads_a_folder_also_in_the_home_folder(kaggle_folder, train_csv, test_csv, monkeypatch):
    for variable in ("HOME", "USERPROFILE"):  # the second is Windows'
        monkeypatch.setenv(variable, str(kaggle_folder.parent))
    (kaggle_folder / "digit-recognizer.zip").write_bytes(b"junk")  # plain files go before it
    for given in (kaggle_folder, str(kaggle_folder), "~/kaggle"):
        digits = load_digits(given)
        assert_is(digits, train_csv, test_csv)
        assert digits.source == str(kaggle_folder)


def quote(raw):
    return re.sub(rb"\w+", rb'"\g<0>"', raw)


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw.rstrip(b"\n"),
        lambda raw: raw + b"\n\r\n",
        lambda raw: raw.replace(b"\n", b"\r"),
        lambda raw: quote(raw).replace(b"\n", b"\r\n"),
        lambda raw: b"\xef\xbb\xbf" + quote(raw),
        lambda raw: re.sub(rb"(?m)^\d", rb'"\g<0>"', raw),
    ],
    ids=["no last line end", "blank lines last", "CR", "all quoted, CRLF",
         "byte order mark and quotes", "quoted labels"],
)  # fmt: skip
def test_reads_harmless_variations(kaggle_folder, train_csv, test_csv, change):
    path = kaggle_folder / "train.csv"
    path.write_bytes(change(path.read_bytes()))
    assert_is(load_digits(kaggle_folder), train_csv, test_csv)


def test_reads_one_row_and_leading_zeros(kaggle_folder, train_csv):
    train_csv.rows = train_csv.rows[:1]
    train_csv.rows[0][:3] = ["0009", "007", "0" * 5000]
    (kaggle_folder / "train.csv").write_bytes(train_csv.encode())
    digits = load_digits(kaggle_folder)
    assert digits.labels.tolist() == [9]
    assert digits.images[0, 0, :2].tolist() == [7, 0]


@pytest.mark.parametrize("kind", ["gz", "zip each", "zip both", "zip itself"])
def test_reads_archives(tmp_path, train_csv, test_csv, kind):
    files = {"train.csv": train_csv.encode(), "test.csv": test_csv.encode()}
    source = tmp_path
    if kind in ("gz", "zip each"):
        for name, raw in files.items():
            packed = gzip.compress(raw) if kind == "gz" else zip_bytes(**{name: raw})
            (tmp_path / f"{name}.{kind[:3].strip()}").write_bytes(packed)
    else:
        # A path that would lead out of the folder, were anything unpacked.
        members = {f"../../digit-recognizer/{name}": raw for name, raw in files.items()}
        more = {"__MACOSX/._train.csv": b"junk", "sample_submission.csv": b"ImageId,Label\n1,0\n"}
        (tmp_path / "digit-recognizer.zip").write_bytes(zip_bytes(**members, **more))
        source = tmp_path / "digit-recognizer.zip" if kind == "zip itself" else tmp_path
    before = sorted(tmp_path.rglob("*"))
    digits = load_digits(source)
    assert_is(digits, train_csv, test_csv)
    assert digits.source == str(source)
    assert sorted(tmp_path.rglob("*")) == before


def test_full_size_is_quick(tmp_path, test_csv):
    # The target is 2 s on two idle cores; the processor's time, so that a busy machine does not
    # count.
    values = np.array([str(value) for value in range(256)])
    images = load_digits().images[:420].reshape(420, -1)
    body = "".join("7," + ",".join(values[row]) + "\n" for row in images)
    (tmp_path / "train.csv").write_text(HEADER + "\n" + body * 100)
    (tmp_path / "test.csv").write_bytes(test_csv.encode())
    start = time.process_time()
    digits = load_digits(tmp_path)
    assert time.process_time() - start < 6
    assert digits.images.shape == (42_000, 28, 28)
    assert np.array_equal(digits.images[-420:].reshape(420, -1), images)


@pytest.mark.parametrize(
    ("column", "found", "shown"),
    [
        ("pixel0", "-1", "'-1'"),
        ("pixel783", "256", "'256'"),
        ("pixel5", "abc", "'abc'"),
        ("pixel5", "0x1F", "'0x1F'"),
        ("pixel5", "0.5", "'0.5'"),
        ("pixel5", "NaN", "'NaN'"),
        ("pixel5", "", "nothing"),
        ("pixel5", " 5", "' 5'"),
        ("pixel5", "٣", "'٣'"),
        ("pixel5", '2"5"', "'2\"5\"'"),
        ("pixel5", "9" * 5000, "'" + "9" * 40 + "...'"),
        ("label", "10", "'10'"),
        ("label", "3.0", "'3.0'"),
    ],
)
def test_bad_cell(kaggle_folder, train_csv, column, found, shown):
    train_csv.rows[15][train_csv.header.index(column)] = found
    train_csv.rows[17][0] = "x"  # the first bad cell is named
    message = message_about(kaggle_folder, train_csv)
    highest = 9 if column == "label" else 255
    assert f"train.csv, line 17, column '{column}': found {shown}, expected" in message
    assert f"a whole number from 0 to {highest}" in message
    assert "correct the file, or download" in message


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_line_numbers_hold_for_every_line_end(kaggle_folder, test_csv, line_end):
    test_csv.rows[-1][-1] = "300"
    message = message_about(kaggle_folder, test_csv.encode(line_end), "test.csv")
    assert "test.csv, line 13, column 'pixel783': found '300'" in message


@pytest.mark.parametrize(
    ("spoil", "parts"),
    [
        (
            lambda row: [row[:700]],
            [": the row is too short, found 700 values", "'pixel698'", "expected 785"],
        ),
        (lambda row: [[*row, "0"]], [": the row is too long, found 786 values", "expected 785"]),
        (lambda row: [[], row], [": found a blank line between rows", "785", "remove the line"]),
        (lambda row: [HEADER.split(",")], [", column 'label': found 'label', expected a whole"]),
        (
            lambda row: [[*row[:3], "1\udcff", *row[4:]]],
            [", column 'pixel2': found '1\ufffd', expected a whole", "download"],
        ),
    ],
    ids=["short", "long", "blank", "header again", "bad byte"],
)
def test_bad_row(kaggle_folder, train_csv, spoil, parts):
    train_csv.rows[15:16] = spoil(train_csv.rows[15])
    message = message_about(kaggle_folder, train_csv)
    assert f"train.csv, line 17{parts[0]}" in message
    assert all(part in message for part in parts)


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("pixel9,", "", ["missing 'pixel9'; expected 785 columns", "found 784"]),
        ("3,pixel4", "4,pixel3", ["column 5: found 'pixel4', expected 'pixel3'", "out of order"]),
        ("label", "Label", ["missing 'label', found 'Label' instead"]),
        ("pixel7,", "pixel6,", ["missing 'pixel7'; expected 785 columns", "found 785"]),
        ("label", ",label", ["column 1: found ''", "expected label", "index=False"]),
        ("783", "783,extra", ["column 786: found 'extra'", "expected 785 columns"]),
        (HEADER, "7" + ",0" * 784, ["found numbers", "expected a header naming label to pixel783"]),
    ],
)
def test_bad_header(kaggle_folder, train_csv, old, new, parts):
    train_csv.header = [HEADER.replace(old, new, 1)]
    message = message_about(kaggle_folder, train_csv)
    assert "train.csv, line 1" in message and "download" in message
    assert all(part in message for part in parts)


def test_swapped_files(kaggle_folder, train_csv, test_csv):
    message = message_about(kaggle_folder, train_csv, "test.csv")
    assert "test.csv, line 1: found a column 'label', expected 'pixel0' first" in message
    message = message_about(kaggle_folder, test_csv)
    assert "train.csv, line 1: the column 'label' is missing, found 'pixel0' first" in message
    assert "train.csv and test.csv look swapped; swap their names" in message


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b"\xef\xbb\xbf\n \r\n", [": is empty", "expected a header"]),
        (HEADER.encode() + b"\n\n\n", [", line 2: found the end of the file", "expected rows"]),
        (b"PK\x03\x04junk", [": found a zipped file", "rename it to end in .csv.zip"]),
        (b"PK\x03\x04...xl/workbook.xml", [": found an Excel", "export the sheet as CSV"]),
        (gzip.compress(b"x", mtime=0), [": found a zipped file", "rename it to end in .csv.gz"]),
        (b"\n<!DOCTYPE html><html>", [", line 1: found a web page", "sign in"]),
        (HEADER.encode("utf-16"), [", line 1: found UTF-16 text", "UTF-8"]),
        (HEADER.replace(",", ";").encode(), [", line 1: found columns separated by semicolons"]),
        (b"label,p\xe9xel0\n1,2\n", [", line 1: missing", "found 'p\ufffdxel0' instead"]),
        (b"a" * 200_000, [", line 1: missing 'label', 'pixel0', 'pixel1' and 782 more"]),
    ],
)
def test_not_csv(kaggle_folder, content, parts):
    message = message_about(kaggle_folder, content)
    assert f"train.csv{parts[0]}" in message
    assert all(part in message for part in parts)


def test_missing_files_and_folders(kaggle_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = message_of("nowhere")
    assert f"{tmp_path / 'nowhere'}: no such folder" in message
    assert "expected one holding train.csv and test.csv; check the path" in message
    message = message_of(kaggle_folder / "train.csv")
    assert "train.csv: found a file, expected a folder" in message
    assert f"pass the folder {kaggle_folder}" in message
    assert f"The folder {kaggle_folder} has it; pass that one" in message_of(tmp_path)
    (kaggle_folder / "train.csv").unlink()
    for letter in "abcdef":
        (kaggle_folder / letter).touch()
    message = message_of(kaggle_folder)
    assert f"{kaggle_folder / 'train.csv'}: no such file. The folder holds 'a', 'b'," in message
    assert "'e' and 2 more; expected" in message and "digit-recognizer.zip" in message


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("train.csv.zip", zip_bytes(**{"train.csv": bytes(range(256)) * 99})[:300], "is damaged, "),
        ("train.csv.gz", gzip.compress(bytes(range(256)), mtime=0)[:100], "is damaged, cut short"),
        ("train.csv.gz", b"label,pixel0\n", "is damaged, .*an archive of train.csv; download"),
        (
            "digit-recognizer.zip", zip_bytes(**{"readme.txt": b""}),
            "found 0 files named train.csv, expected one; .*holds 'readme.txt'",
        ),
        (
            "digit-recognizer.zip", zip_bytes(**{"a/train.csv": b"", "b/train.csv": b""}),
            "found 2 files named train.csv, expected one",
        ),
    ],
)  # fmt: skip
def test_bad_archives(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    assert re.search(f"{name}: {says}", message_of(tmp_path))


@pytest.mark.parametrize("ending", ["", ".gz", ".zip"])
def test_more_than_the_limit_is_refused(tmp_path, monkeypatch, ending):
    assert kaggle.MAX_BYTES == 10**9
    monkeypatch.setattr(kaggle, "MAX_BYTES", 3_000_000)
    monkeypatch.setattr(kaggle, "CHUNK_BYTES", 1 << 16)
    pack = {"": bytes, ".gz": gzip.compress, ".zip": lambda raw: zip_bytes(**{"train.csv": raw})}
    (tmp_path / f"train.csv{ending}").write_bytes(pack[ending](b"\0" * 3_000_001))
    message = message_of(tmp_path)
    assert "found more than 3 MB unpacked, expected about 77 MB; do not trust" in message
