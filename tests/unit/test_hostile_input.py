"""Damaged files of the book are told in words; hostile ones in general are `test_fuzz`'s."""

import shutil

import pytest
from helpers import ROOT
from runner_books import FIRST, add_pages, digits, make_book, pretend_run

from digits_cli.references import MAKER

HALF_A_CELL = (
    b'{"cells": [{"cell_type": "code", "id": "a", "metadata": {}, "source": "1"}],'
    b' "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'
)


@pytest.fixture
def run_book(tmp_path):
    """A book whose one chapter has been run, and that a site could be made of."""
    book = make_book(tmp_path, c01_first=FIRST)
    add_pages(book)
    pretend_run(book, "01_first")
    (book / MAKER).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / MAKER, book / MAKER)
    return book


@pytest.mark.parametrize(
    ("name", "raw", "command", "told"),
    [
        ("_config.yml", b"\xff\xfe\x00", "install-cell", "_config.yml is not a UTF-8 text file"),
        ("_config.yml", b"- 1\n", "install-cell", "_config.yml, line 1: cannot be read"),
        ("_config.yml", b"a: 1\nrepository: x\n", "install-cell", "_config.yml, line 2: cannot be"),
        ("_toc.yml", b"\xff\xfe\x00", "site", "_toc.yml is not a UTF-8 text file"),
        ("_toc.yml", b"root: 3\n", "site", "_toc.yml is no table of contents: doc valid"),
        ("_toc.yml", b"root: &a [*a]\n", "site", "_toc.yml, line 1: aliases ('*name') are not"),
        ("tests/regression/bounds.yaml", b"\xff", "references", "is not a UTF-8 text file"),
        ("tests/regression/published.yaml", b"\xff", "stage-published", "is not a UTF-8 text file"),
        ("results/01_first.json", b"{", "site --published", "01_first.json holds no record"),
        ("notebooks/01_first.ipynb", HALF_A_CELL, "sync", "cell 1 lacks outputs"),
    ],
)
def test_a_damaged_file_of_the_book_is_told_in_words(run_book, name, raw, command, told):
    path = run_book / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(raw)
    done = digits(run_book, *command.split())
    assert done.returncode in {1, 2} and told in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
