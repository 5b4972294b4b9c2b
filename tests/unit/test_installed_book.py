"""Chapters that came with the package, where there is no checkout; tests/slow does it for real."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from runner_books import FIRST, make_book

from digits_cli.book import find_checkout, find_root
from digits_cli.errors import UsageError
from digits_cli.pairing import check_pairs
from digits_cli.plan import plan_runs


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package with one chapter beside it, as a wheel leaves it, and a folder to stand in."""
    book = make_book(tmp_path / "site-packages" / "digits_cli" / "installed", c01_first=FIRST)
    (book / "jupytext.toml").unlink()
    (book / "notebooks" / "01_first.ipynb").unlink()
    (book / "profiles" / "quick").mkdir(parents=True)
    (book / "profiles" / "quick" / "01_first.yaml").write_text("SEED: 3\n")
    monkeypatch.setattr("digits_cli.book.INSTALLED_BOOK", book)
    monkeypatch.setattr("digits_cli.book.__file__", str(book.parent / "book.py"))
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return book


def test_runs_are_planned_from_the_script_and_go_where_the_reader_stands(installed):
    before = sorted(installed.rglob("*"))
    (plan,) = plan_runs(["01"], "quick", {"RATE": 0.25}, None, None)
    assert plan.parameters == {"SEED": 3, "RATE": 0.25}
    assert plan.folder == Path.cwd() / "_build/runs/quick-changed"
    assert check_pairs(installed) == []
    assert sorted(installed.rglob("*")) == before


def test_a_checkout_goes_first_and_what_needs_one_says_so(installed, tmp_path, monkeypatch):
    assert find_root() == installed
    with pytest.raises(UsageError, match="not inside a checkout of the book, which this command"):
        find_checkout()
    checkout = make_book(tmp_path / "checkout", c01_first=FIRST)
    monkeypatch.chdir(checkout)
    assert find_checkout() == find_root() == checkout
    shutil.rmtree(installed)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="no folder above it holds both"):
        find_root()
