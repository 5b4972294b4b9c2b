"""Read-only folders, little memory, two at once, odd names, Windows line ends: the quick half.

`tests/slow/test_rough_places.py` has what needs kernels or a whole checkout.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

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
from digits_cli.plan import profile_file, profile_values
from digits_cli.search_command import load_search
from digits_cli.site import build_site
from digits_cli.sweep_file import read_sweep

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other rights and limits")
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits addresses")


@posix
def test_a_checkout_that_cannot_be_written_is_told(tmp_path):
    book = make_book(tmp_path / "book", c01_first=FIRST)
    for name in ("_config.yml", "_toc.yml"):
        (book / name).write_text("root: book/index\n")
    with (book / "notebooks" / "01_first.py").open("a") as script:
        script.write("print('more')\n")  # something to write
    before = {path: path.read_bytes() for path in book.rglob("*") if path.is_file()}
    with read_only(book):
        assert_told(run_as_anybody(book, "sync"), "Permission denied", "01_first.ipynb")
        done = run_as_anybody(book, "site")
    assert_told(done, "_build", "cannot be written (Permission denied)")
    assert {path: path.read_bytes() for path in book.rglob("*") if path.is_file()} == before


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
    assert printed.startswith("DigitDataError ")
    assert "cannot be read (Permission denied)" in printed


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
        assert printed.startswith("DigitDataError ")
        assert "do not fit into the memory that is left" in printed
    assert load_in_a_child(tmp_path, 2000, before=limit) == "10000\n"


def test_two_runs_of_one_chapter_and_two_builds_of_the_site_do_not_meet(tmp_path):
    book = make_book(tmp_path, c01_first=FIRST, c02_second=SECOND)
    runs = book / "_build/runs/quick"
    with claim_folder(runs / ".claims" / "02_second"):
        with pytest.raises(RunnerError, match=r"02_second is being run in .*quick by process \d+"):
            run_chapters(root=book)
        assert not list(runs.glob("*.ipynb")), "nothing has been started"
    with (
        claim_folder(book / "_build/.claims/site"),
        pytest.raises(RunnerError, match=r"the site is being built in .* by process \d+; wait"),
    ):
        build_site(root=book)
    with pytest.raises(RunnerError, match=r"_config\.yml is missing"):  # free again
        build_site(root=book)


# ---- Names and line ends -------------------------------------------------------------------------


def test_folders_may_have_any_name(tmp_path, train_csv, test_csv):
    book = make_book(tmp_path / ODD / "book", c01_first=FIRST)
    assert check_pairs(book) == []
    data = tmp_path / ODD / "data"
    data.mkdir()
    (data / "train.csv").write_bytes(train_csv.encode())
    (data / "test.csv").write_bytes(test_csv.encode())
    assert np.array_equal(load_digits(data).labels, train_csv.values[:, 0])
    shutil.make_archive(str(tmp_path / ODD / "digit-recognizer"), "zip", data)
    assert len(load_digits(tmp_path / ODD).images) == 20
    path = tmp_path / ODD / "sweep ü.yaml"
    path.write_text(f'chapter: 01\nconstants: {{DATA: "{data.as_posix()}"}}\nseeds: [0]\n', "utf-8")
    assert Path(read_sweep(path, book).points[0]["DATA"]) == data


def crlf(path: Path, raw: bytes | None = None) -> Path:
    raw = path.read_bytes() if raw is None else raw
    path.write_bytes(raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    return path


def test_files_with_the_line_ends_of_windows_are_read_alike(tmp_path):
    book = make_book(tmp_path, c01_first=FIRST)
    (chapter,) = list_chapters(book)
    notebook = chapter.notebook.read_bytes()
    crlf(chapter.script)
    assert check_pairs(book) == []
    assert not sync_pair(chapter), "the notebook is as it was"
    crlf(chapter.notebook)
    assert check_pairs(book) == []
    chapter.notebook.unlink()
    sync_pair(chapter)
    assert chapter.notebook.read_bytes() == notebook
    text = b"chapter: 01\nconstants:\n  NAME: |\n    two\n    lines\ngrid: {RATE: [0.1, 1]}\n"
    sweep = read_sweep(crlf(book / "sweep.yaml", text), book)
    assert [point["NAME"] for point in sweep.points] == ["two\nlines\n"] * 2
    profile = profile_file(book, "quick", chapter.name)
    profile.parent.mkdir(parents=True)
    crlf(profile, b"SEED: 1\nNAME: 'a\n  b'\n")
    assert profile_values(book, "quick", chapter) == {"SEED": 1, "NAME": "a b"}
    search = b"SPACE = {}\n\n\ndef objective(settings):\n    return '''a\nb'''\n"
    assert load_search(crlf(book / "search.py", search)).objective({}) == "a\nb"
