"""Read-only folders, little memory, two at once, odd names, Windows line ends: the quick half.

`tests/slow/test_rough_places.py` has what needs kernels or a whole checkout.
"""

import shutil
import subprocess
import sys

import numpy as np
import pytest
from rough_places import ODD, assert_told, read_only, run_as_anybody, without_roots_rights
from runner_books import FIRST, SECOND, make_book

from digit_utils.data import load_digits
from digit_utils.io import claim_folder
from digits_cli.book import list_chapters
from digits_cli.errors import RunnerError
from digits_cli.execute import run_chapters
from digits_cli.pairing import check_pairs, sync_pair

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other rights and limits")
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits addresses")


@posix
def test_a_checkout_that_cannot_be_written_is_told(tmp_path):
    book = make_book(tmp_path / "book", c01_first=FIRST)
    for name in ("_config.yml", "_toc.yml"):
        (book / name).write_text("root: book/index\n")
    with (book / "notebooks" / "01_first.py").open("a") as script:
        script.write("print('more')\n")  # something to write
    with read_only(book):
        assert_told(run_as_anybody(book, "sync"), "Permission denied", "01_first.ipynb")
        done = run_as_anybody(book, "site")
    assert_told(done, "_build", "cannot be written (Permission denied)")


def load_in_a_child(*arguments, before="", **options):
    """Load digits in another process; return what it printed: how many, or the refusal."""
    code = f"""
import sys
import pyarrow.csv
from digit_utils.data import load_digits
{before}
try:
    print(len(load_digits(sys.argv[1]).images))
except ValueError as error:
    print(type(error).__name__, error)
"""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, **options).stdout


@posix
def test_digits_in_a_folder_that_may_not_be_opened_are_told(kaggle_folder):
    kaggle_folder.chmod(0o000)
    printed = load_in_a_child(kaggle_folder, preexec_fn=without_roots_rights)
    kaggle_folder.chmod(0o700)
    assert "DigitDataError" in printed and "cannot be read (Permission denied)" in printed


@linux
def test_digits_that_do_not_fit_into_memory_are_told(tmp_path, train_csv, test_csv):
    train_csv.rows = train_csv.rows * 500  # 10,000 rows, some 30 MB
    (tmp_path / "train.csv").write_bytes(train_csv.encode())
    (tmp_path / "test.csv").write_bytes(test_csv.encode())
    limit = """
import resource
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + int(sys.argv[2]) * 1_000_000
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
"""
    for megabytes in (12, 45):
        printed = load_in_a_child(tmp_path, megabytes, before=limit)
        assert "DigitDataError" in printed and "do not fit into the memory that is left" in printed
    assert load_in_a_child(tmp_path, 2000, before=limit) == "10000\n"


def test_two_runs_of_one_chapter_do_not_meet(tmp_path):
    book = make_book(tmp_path, c01_first=FIRST, c02_second=SECOND)
    runs = book / "_build/runs/quick"
    with claim_folder(runs / ".claims" / "02_second"):
        with pytest.raises(RunnerError, match=r"02_second is being run in .*quick by process \d+"):
            run_chapters(root=book)
        assert not list(runs.glob("*.ipynb")), "nothing has been started"


def test_folders_may_have_any_name(tmp_path, train_csv, test_csv):
    data = tmp_path / ODD / "data"
    data.mkdir(parents=True)
    (data / "train.csv").write_bytes(train_csv.encode())
    (data / "test.csv").write_bytes(test_csv.encode())
    assert np.array_equal(load_digits(data).labels, train_csv.values[:, 0])
    shutil.make_archive(str(tmp_path / ODD / "digit-recognizer"), "zip", data)
    assert len(load_digits(tmp_path / ODD).images) == 20


def test_pairs_with_the_line_ends_of_windows_are_read_alike(tmp_path):
    book = make_book(tmp_path, c01_first=FIRST)
    (chapter,) = list_chapters(book)
    notebook = chapter.notebook.read_bytes()
    for path in (chapter.script, chapter.notebook):
        path.write_bytes(path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
        assert check_pairs(book) == []
    chapter.notebook.unlink()
    sync_pair(chapter)
    assert chapter.notebook.read_bytes() == notebook
