"""Chapters that came with the package, where there is no checkout; tests/slow does it for real."""

import shutil

import pytest
from runner_books import FIRST, make_book

from digits_cli.book import find_checkout, find_root
from digits_cli.errors import UsageError
from digits_cli.pairing import check_pairs
from digits_cli.plan import plan_runs


def test_runs_are_planned_from_the_script_and_what_needs_a_checkout_says_so(tmp_path, monkeypatch):
    installed = make_book(tmp_path / "site-packages" / "digits_cli" / "installed", c01_first=FIRST)
    (installed / "jupytext.toml").unlink()
    (installed / "notebooks" / "01_first.ipynb").unlink()
    (installed / "profiles" / "quick").mkdir(parents=True)
    (installed / "profiles" / "quick" / "01_first.yaml").write_text("SEED: 3\n")
    monkeypatch.setattr("digits_cli.book.INSTALLED_BOOK", installed)
    monkeypatch.setattr("digits_cli.book.__file__", str(installed.parent / "book.py"))
    monkeypatch.chdir(tmp_path)
    before = sorted(installed.rglob("*"))
    (plan,) = plan_runs(["01"], "quick", {"RATE": 0.25}, None, None)
    assert plan.parameters == {"SEED": 3, "RATE": 0.25}
    assert plan.folder == tmp_path / "_build/runs/quick-changed"
    assert check_pairs(installed) == []
    assert sorted(installed.rglob("*")) == before
    with pytest.raises(UsageError, match="not inside a checkout of the book, which this command"):
        find_checkout()
    checkout = make_book(tmp_path / "checkout", c01_first=FIRST)
    assert find_checkout(checkout) == find_root(checkout) == checkout, "it goes first"
    shutil.rmtree(installed)
    with pytest.raises(UsageError, match="no folder above it holds both"):
        find_root()
