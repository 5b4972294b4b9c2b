"""The nightly comparison of published notebooks: what may differ, and what may not."""

from __future__ import annotations

import re
import shutil
from pathlib import Path, PureWindowsPath

import nbformat
import pytest
from nbval.plugin import get_sanitize_patterns
from runner_books import make_book

from digits_cli import staging
from digits_cli.errors import RunnerError
from digits_cli.notebooks import read_notebook, write_notebook
from digits_cli.paths import list_chapters
from digits_cli.published import (
    IGNORE,
    RULES,
    Rules,
    _refuse_idle_rules,
    bounds_around,
    prepare,
    read_rules,
    stage_published,
)
from digits_cli.references import flatten, outside
from digits_cli.staging import machine_traces, number_cells, published_chapters

ROOT = Path(__file__).resolve().parents[2]
PATTERNS = get_sanitize_patterns((ROOT / "tests/regression/sanitize.cfg").read_text("utf-8"))


def sanitize(text: str) -> str:
    for pattern, replacement in PATTERNS:
        text = re.sub(pattern, replacement, text)
    return text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("<object at 0x7f10c2>", "<object at 0x55dead>"),
        ("9 epochs in 81 s", "11 epochs in 1,203.5 s"),
        ("1 epoch, accuracy 0.99", "12 epochs, accuracy 0.9853"),
        ("p = 1.3e-13, change -0.2", "p = 4e-07, change 0.1"),
        ("measured 2026-11-25, 14:03:59", "measured 2027-01-02, 1:00:00"),
        ("loss  accuracy\n   1      nan", "loss        accuracy\n 0.25      0.125"),
        ("| a | --- |", "| a | ----- |"),
        ("from 12,345 to 99.5 %", "from 2 to 100 %"),
    ],
)
def test_times_addresses_and_numbers_may_differ(one, other):
    assert PATTERNS
    assert sanitize(one) == sanitize(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("the network is better", "the network is worse"),
        ("accuracy 0.99", "loss 0.99"),
        ("(6000, 28, 28)", "(6000, 784)"),
        ("1 2 3", "1 2"),
        ("float32", "float64"),
        ("42 images", "42 labels"),
        ("", "DeprecationWarning: gone in 2.0"),
    ],
)
def test_words_and_shapes_may_not(one, other):
    assert sanitize(one) != sanitize(other)


RULE = Rules(words_follow_luck=("05_lucky",), free=("*seconds*",), counted=("*/n_wrong",))


def test_bounds_are_exact_for_counts_and_leave_room_for_what_was_trained():
    values = {
        "n_train": 33600, "accuracy": 0.99, "half": 0.5, "zero": 0.0, "gain": 2.0, "loss": -4.0,
        "n_wrong": 61, "train_seconds": 12.5, "sure": True, "kind": "adam", "none": None,
        "nested": {"a": [1, 0.25]},
    }  # fmt: skip
    bounds = bounds_around(values, "03_base_cnn", RULE)
    assert "train_seconds" not in bounds
    assert {k: bounds[k] for k in ("n_train", "sure", "kind", "none", "nested/a/0")} == {
        "n_train": 33600, "sure": True, "kind": "adam", "none": None, "nested/a/0": 1,
    }  # fmt: skip
    assert bounds["accuracy"] == pytest.approx([0.985, 0.995])
    assert bounds["half"] == pytest.approx([0.25, 0.75])
    assert bounds["zero"] == pytest.approx([0, 0.003])
    assert bounds["gain"] == pytest.approx([1, 3])
    assert bounds["loss"] == pytest.approx([-6, -2])
    assert bounds["nested/a/1"] == pytest.approx([0.125, 0.375])
    assert bounds["n_wrong"] == [31, 91]
    assert outside(flatten(values), bounds) == []
    assert outside(flatten({**values, "n_train": 33599}), bounds)
    assert outside(flatten({**values, "nested": {}}), bounds)


def a_notebook():
    new = nbformat.v4
    cells = [new.new_markdown_cell("# A")]
    for source, data in (
        ("print(1)", None),
        ("display(Markdown('better'))", {"text/markdown": "better", "text/plain": "<M>"}),
        ("handle = display('0 of 3', display_id=True)", {"text/plain": "0 of 3"}),
        (
            "def plain():\n    pass\n\ndef train(label):\n    fit(callbacks=[LiveProgress(label)])",
            None,
        ),
        ("constrain(plain(), network.train())", None),
        ("trained = train('Again')", {"text/plain": "Again: 3 epochs in 9 s"}),
        ("report('x', a=1)", {"application/vnd.digits.results+json": {"a": 1}}),
    ):
        cell = new.new_code_cell(source)
        cell.outputs = [
            new.new_output("display_data", data=data)
            if data
            else new.new_output("stream", name="stdout", text="1\n")
        ]
        cells.append(cell)
    return new.new_notebook(cells=cells)


@pytest.mark.parametrize(
    ("chapter", "ignored"),
    [
        ("03_sure", [False, False, True, True, False, True, True]),
        ("05_lucky", [False, True, True, True, False, True, True]),
    ],
)
def test_what_is_not_compared_is_the_report_what_updates_itself_and_words_of_luck(chapter, ignored):
    notebook = a_notebook()
    prepare(notebook, chapter, {"a": 1, "accuracy": 0.5}, RULE)
    *code, last = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [IGNORE in cell.metadata.get("tags", []) for cell in code] == ignored
    assert IGNORE not in last.metadata.get("tags", [])
    nbformat.validate(notebook)

    from digit_utils import results

    results.report("x", a=1, accuracy=0.6)
    exec(last.source, {})
    results.report("x", a=2, accuracy=0.6)
    with pytest.raises(AssertionError, match="a is 2, expected exactly 1"):
        exec(last.source, {})
    results.report("x", a=1, accuracy=0.9)
    with pytest.raises(AssertionError, match="accuracy is 0.9, expected 0.25 to 0.75"):
        exec(last.source, {})


@pytest.fixture
def bare_book(tmp_path):
    """A book whose chapter has an empty cell, was run and reports nothing."""
    book = make_book(tmp_path, c01_bare="# %%\nprint(1)\n\n# %%\n")
    (book / RULES).parent.mkdir(parents=True)
    shutil.copy(ROOT / RULES, book / RULES)
    path = book / "notebooks" / "01_bare.ipynb"
    notebook = read_notebook(path)
    assert [cell.source for cell in notebook.cells] == ["print(1)", ""]
    number_cells(notebook)
    write_notebook(path, notebook)
    return book


def test_an_empty_cell_leaves_a_chapter_published(bare_book):
    assert list(published_chapters(bare_book, list_chapters(bare_book))) == ["01_bare"]


def test_a_published_chapter_that_reports_nothing_is_told(bare_book):
    with pytest.raises(RunnerError, match=r"01_bare\.ipynb: "):
        stage_published(["01"], root=bare_book)


def test_the_rules_of_the_book_can_be_read():
    rules = read_rules(ROOT / RULES)
    assert rules.words_follow_luck and rules.free and rules.counted


@pytest.mark.parametrize(
    "text", ["- a", "free: x", "free: [1]", "fre: [a]", "free: [", "words_follow_luck:"]
)
def test_other_rules_are_refused(tmp_path, text):
    path = tmp_path / "published.yaml"
    path.write_text(text)
    with pytest.raises(RunnerError, match=r"published\.yaml"):
        read_rules(path)


def test_a_rule_that_fits_nothing_is_named():
    values = {"03_base_cnn": {"n_wrong": 1}}
    with pytest.raises(RunnerError, match=r"05_lucky, \*seconds\*\. Take it out"):
        _refuse_idle_rules(RULE, values)


# ---- What names this machine ---------------------------------------------------------------------


def printing(text):
    new = nbformat.v4
    output = new.new_output("stream", name="stdout", text=text)
    return new.new_notebook(cells=[new.new_code_cell("print(text)", outputs=[output])])


@pytest.mark.parametrize(
    "text",
    [
        r"C:\Users\ada\book\notebooks\01_eda.py",
        r"C:\Users\ada\other",
        r"C:\Temp\ipykernel_12\34.py",
        "C:/Users/ada/book/x",
    ],
)
def test_folders_of_windows_are_found_in_outputs(monkeypatch, text):
    class Home(PureWindowsPath):
        @classmethod
        def home(cls):
            return cls(r"C:\Users\ada")

    monkeypatch.setattr(staging, "Path", Home)
    root = Home(r"C:\Users\ada\book")
    assert machine_traces(printing(text), root)
    assert machine_traces(printing("C: the letter"), root) == []


def test_folders_of_this_machine_are_found_in_outputs(tmp_path):
    assert machine_traces(printing(f"{tmp_path}/x"), tmp_path)
    assert machine_traces(printing("/tmp/ipykernel_12/34.py"), tmp_path)
    assert machine_traces(printing("nothing"), tmp_path) == []
