"""The notebooks that nbval runs again: the references, and the nightly copies of the published."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import nullcontext

import nbformat
import pytest
from helpers import ROOT
from nbval.plugin import get_sanitize_patterns
from regression.make_references import (
    IGNORED,
    NIGHTLY,
    RULES,
    make_references,
    read_rules,
    stage_published,
)
from runner_books import FIRST, SECOND, make_book, pretend_run

from digit_utils import results
from digits_cli.book import cells_tagged, list_chapters, read_notebook, tags, write_notebook
from digits_cli.cli import main
from digits_cli.errors import RunnerError
from digits_cli.publish import number_cells, published_chapters
from digits_cli.references import BOUNDS, FOLDER, check_bounds, read_bounds

# --- references


@pytest.fixture
def book(tmp_path):
    return make_book(tmp_path, c01_first=FIRST, c02_second=SECOND)


def write_bounds(book, text):
    (book / BOUNDS).parent.mkdir(parents=True, exist_ok=True)
    (book / BOUNDS).write_text(text)


def test_references_hold_code_parameters_what_is_compared_and_the_check(book):
    run = pretend_run(book, "01_first", parameters={"SEED": 3, "NAME": "a"}, accuracy=0.95, n=10)
    notebook = read_notebook(run)
    (checked,) = cells_tagged(notebook, "nbval-check-output")
    checked.outputs += notebook.cells[-1].outputs[-1:]  # a picture, with its text
    write_notebook(run, notebook)
    pretend_run(book, "02_second", seed=0)
    write_bounds(book, "01_first:\n  accuracy: [0.9, 1]\n  n: 10\n02_second: {seed: 0}\n")
    old = book / FOLDER / "09_gone.ipynb"
    old.parent.mkdir()
    old.write_text("{}")
    first, second = make_references(book)
    assert not old.exists()
    text = first.read_text()
    assert "image/png" not in text and "Fig" in text
    notebook = read_notebook(first)
    (injected,) = cells_tagged(notebook, "injected-parameters")
    assert injected.source == (
        "# Parameters\nSEED = 3\nNAME = 'a'\nARTIFACTS = \"../../../_build/regression/01_first\""
    )
    (checked,) = cells_tagged(notebook, "nbval-check-output")
    assert checked.outputs
    assert not any(c.outputs for c in notebook.cells if c.cell_type == "code" and c != checked)
    assert "bounds = {'accuracy': [0.9, 1], 'n': 10}" in notebook.cells[-1].source
    assert "digits" not in notebook.metadata
    assert not cells_tagged(read_notebook(second), "injected-parameters"), "it has no ARTIFACTS"
    before = first.read_bytes()
    make_references(book)
    assert first.read_bytes() == before, "made again, a reference is the same"


def test_one_reference_is_made_alone_and_status_names_the_stale_ones(book, capsys, monkeypatch):
    monkeypatch.chdir(book)
    pretend_run(book, "01_first", seed=0)
    write_bounds(book, "01_first: {seed: 0}\n")
    assert main(["references", "01"]) == 0
    assert "wrote: tests/regression/reference/01_first.ipynb" in capsys.readouterr().out
    main(["status"])
    out = capsys.readouterr().out
    assert "stale reference: 01_first" not in out
    assert "02_second, tests/regression/bounds.yaml has no bounds for it: add what" in out
    assert "`digits run" not in out, "which would not help"
    edits = [
        ("tests/regression/bounds.yaml", "seed: 0", "seed: 1", "its bounds have changed"),
        ("profiles/quick/01_first.yaml", "", "RATE: 0.25\n", "the quick profile has changed"),
        ("notebooks/01_first.py", "1 + 1", "1 + 2", "its code has changed"),
        ("tests/regression/reference/01_first.ipynb", "", None, "it has none"),
    ]
    for name, old, new, why in edits:
        path = book / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text() if path.exists() else ""
        path.unlink(missing_ok=True)
        if new is not None:
            path.write_text(text.replace(old, new, 1))
        main(["status", "01"])
        out = capsys.readouterr().out
        assert f"stale reference: 01_first, {why}\n" in out
        assert "`digits run 01_first`, then `digits references 01_first`, makes them anew." in out


def test_references_need_bounds_that_hold(book):
    pretend_run(book, "01_first", accuracy=0.85)
    pretend_run(book, "02_second")
    with pytest.raises(RunnerError, match="bounds.yaml: there is no such file"):
        make_references(book)
    silent = pretend_run(make_book(book, c04_silent=SECOND), "04_silent")
    notebook = read_notebook(silent)
    notebook.cells[-1].outputs = []
    write_notebook(silent, notebook)
    write_bounds(book, "01_first: {accuracy: [0.9, 1]}\n03_new: {a: 1}\n04_silent: {a: 1}\n")
    with pytest.raises(RunnerError) as error:
        make_references(book)
    for told in (
        "01_first: accuracy is 0.85, expected 0.9 to 1",
        "02_second has no bounds",
        "03_new is no chapter",
        "04_silent.ipynb: found no results",
    ):
        assert told in str(error.value)
    assert not (book / FOLDER).exists()


@pytest.mark.parametrize(
    "text",
    ["[", "- a\n", "01_x: 3\n", "01_x: {a: [1]}\n", "01_x: {a: [2, 1]}\n", "01_x: {a: {b: 1}}\n"],
)
def test_bounds_of_another_shape_are_told(book, text):
    write_bounds(book, text)
    with pytest.raises(RunnerError, match=r"bounds.yaml, line \d: "):
        read_bounds(book / BOUNDS)


def test_check_bounds_names_every_value_out_of_place():
    check_bounds({"a": 0.9, "b": "x", "c": 1}, {"a": [0.9, 1], "b": "x", "c": [1, 1]})
    with pytest.raises(AssertionError) as error:
        check_bounds(
            {"a": 0.5, "b": True, "d": "y"}, {"a": [0.9, 1], "b": [0, 1], "c": 1, "d": "x"}
        )
    assert str(error.value).splitlines() == [
        "Results out of bounds:",
        "a is 0.5, expected 0.9 to 1",
        "b is True, expected 0 to 1",
        "c was not reported; found a, b, d",
        "d is 'y', expected exactly 'x'",
    ]


def test_nbval_passes_a_good_reference_and_turns_red_on_a_bad_one(tmp_path):
    book = make_book(tmp_path, c01_good=FIRST, c02_bad=FIRST)
    write_bounds(book, "01_good: {seed: [3, 3]}\n02_bad: {seed: [3, 3]}\n")
    for name in ("01_good", "02_bad"):
        run = pretend_run(book, name, parameters={"SEED": 3}, seed=3)
        notebook = read_notebook(run)
        (checked,) = cells_tagged(notebook, "nbval-check-output")
        data = {"text/plain": "2"}
        checked.outputs = [nbformat.v4.new_output("execute_result", data, execution_count=1)]
        write_notebook(run, notebook)
    good, bad = make_references(book)
    text = bad.read_text()
    assert text.count('"2"') == 1
    bad.write_text(text.replace('"2"', '"3"').replace("[3, 3]", "[4, 5]"))
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-current-env"]
    command += ["-p", "no:cacheprovider", "-q", "--rootdir", str(book), str(good.parent)]
    done = subprocess.run(command, cwd=book, capture_output=True, text=True)
    assert done.returncode == 1
    failed = re.findall(r"FAILED .*?(\d\d_\w+).ipynb::Cell (\d)", done.stdout)
    assert failed == [("02_bad", "3"), ("02_bad", "5")], done.stdout
    assert "seed is 3, expected 4 to 5" in done.stdout
    assert (book / "_build/regression/01_good/made.json").is_file()
    assert not (good.parent / "artifacts").exists()


# --- what nbval lets differ in the nightly copies

PATTERNS = get_sanitize_patterns((ROOT / "tests/regression/sanitize.cfg").read_text("utf-8"))


def sanitize(text: str) -> str:
    for pattern, replacement in PATTERNS:
        text = re.sub(pattern, replacement, text)
    return text


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("<object at 0x7f10c2>", "<object at 0x55dead>", True),
        ("9 epochs in 81 s", "11 epochs in 1,203.5 s", True),
        ("1 epoch, accuracy 0.99", "12 epochs, accuracy 0.9853", True),
        ("p = 1.3e-13, change -0.2", "p = 4e-07, change 0.1", True),
        ("measured 2026-11-25, 14:03:59", "measured 2027-01-02, 1:00:00", True),
        ("loss  accuracy\n   1      nan", "loss        accuracy\n 0.25      0.125", True),
        ("| a | --- |", "| a | ----- |", True),
        ("from 12,345 to 99.5 %", "from 2 to 100 %", True),
        ("the network is better", "the network is worse", False),
        ("accuracy 0.99", "loss 0.99", False),
        ("(6000, 28, 28)", "(6000, 784)", False),
        ("1 2 3", "1 2", False),
        ("float32", "float64", False),
        ("42 images", "42 labels", False),
        ("", "DeprecationWarning: gone in 2.0", False),
    ],
)
def test_times_addresses_and_numbers_may_differ_and_words_and_shapes_may_not(one, other, same):
    assert (sanitize(one) == sanitize(other)) is same


# --- the nightly copies

VALUES = {
    "n_train": 33600, "accuracy": 0.99, "half": 0.5, "zero": 0.0, "gain": 2.0, "loss": -4.0,
    "n_wrong": 61, "train_seconds": 12.5, "sure": True, "kind": "adam", "none": None,
    "nested": {"a": [1, 0.25]},
}  # fmt: skip
REPORT = {"application/vnd.digits.results+json": VALUES}
CELLS = (  # a cell, what it shows, and whether that is compared
    ("print(1)", None, True),
    ("handle = display('0 of 3', display_id=True)", {"text/plain": "0 of 3"}, False),
    ("def plain():\n    pass\n\n\ndef train(label):\n    fit([LiveProgress(label)])", None, False),
    ("constrain(plain(), network.train())", None, True),
    ("trained = train('Again')", {"text/plain": "Again: 3 epochs in 9 s"}, False),
    ("report('x', a=1)", REPORT, False),
    ("display(Markdown('better'))", {"text/markdown": "better", "text/plain": "<M>"}, True),
)


def publish_cells(book, name, cells):
    """Make a published chapter of sources with what they show, without a run."""
    new = nbformat.v4.new_output
    script = "\n\n".join(f"# %%\n{source}" for source, *_ in cells)
    make_book(book, **{f"c{name}": f"{script}\n"})
    path = book / "notebooks" / f"{name}.ipynb"
    notebook = read_notebook(path)
    for cell, (_, data, *_) in zip(notebook.cells, cells, strict=True):
        printed = new("stream", name="stdout", text="1\n")
        cell.outputs = [new("display_data", data=data) if data else printed]
    number_cells(notebook)
    write_notebook(path, notebook)


@pytest.fixture
def published(tmp_path):
    (tmp_path / RULES).parent.mkdir(parents=True)
    (tmp_path / RULES).write_text(
        "words_follow_luck: [05_lucky]\nfree: ['*seconds*']\ncounted: ['*/n_wrong']\n"
    )
    recorded = tmp_path / "digit_utils/recorded/best_parameters.json"
    recorded.parent.mkdir(parents=True)
    recorded.write_text("{}")
    for name in ("03_sure", "05_lucky"):
        publish_cells(tmp_path, name, CELLS)
    return tmp_path


def test_what_is_not_compared_is_the_report_what_updates_itself_and_words_of_luck(published):
    sure = [each for *_, each in CELLS]
    copies = stage_published(published)
    for path, compared in zip(copies, (sure, [*sure[:-1], False]), strict=True):
        notebook = read_notebook(path)
        assert [IGNORED not in tags(cell) for cell in notebook.cells] == [*compared, True]
        assert "digits" not in notebook.metadata
        assert (path.parent / "artifacts/best_parameters.json").is_file()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, ""),
        ({"train_seconds": 99.0, "n_wrong": 31, "accuracy": 0.9851, "zero": 0.003}, ""),
        ({"half": 0.25, "gain": 1.0, "loss": -6.0, "nested": {"a": [1, 0.375]}}, ""),
        ({"n_train": 33599}, "n_train is 33599, expected exactly 33600"),
        ({"accuracy": 0.98}, "accuracy is 0.98, expected 0.985 to 0.995"),
        ({"half": 0.24}, "half is 0.24, expected 0.25 to 0.75"),
        ({"zero": 0.004}, "zero is 0.004, expected 0.0 to 0.003"),
        ({"gain": 0.9}, "gain is 0.9, expected 1.0 to 3.0"),
        ({"loss": -6.1}, "loss is -6.1, expected -6.0 to -2.0"),
        ({"n_wrong": 30}, "n_wrong is 30, expected 31 to 91"),
        ({"sure": False}, "sure is False, expected exactly True"),
        ({"nested": {"a": [2, 0.25]}}, "nested/a/0 is 2, expected exactly 1"),
        ({"nested": {}}, "nested/a/1 was not reported"),
    ],
)
def test_counts_must_be_equal_and_what_was_trained_has_room(published, changed, told):
    (copy,) = stage_published(published, ["03"])
    check = read_notebook(copy).cells[-1].source
    results.report("x", **{**VALUES, **changed})
    with pytest.raises(AssertionError, match=re.escape(told)) if told else nullcontext():
        exec(check, {})


def test_a_rule_that_fits_nothing_is_named_when_all_chapters_are_asked_for(published):
    rules = (published / RULES).read_text()
    (published / RULES).write_text(rules.replace("n_wrong", "n_gone").replace("05_", "06_"))
    with pytest.raises(RunnerError, match=r"reports: 06_lucky, \*/n_gone\. Take it out"):
        stage_published(published)
    assert not (published / NIGHTLY).exists()
    assert stage_published(published, ["03"])


def test_a_published_chapter_may_have_an_empty_cell_and_must_report(published):
    publish_cells(published, "07_bare", [("print(1)", None), ("", None)])
    chapters = list_chapters(published)
    assert list(published_chapters(published, chapters))[-1] == "07_bare"
    with pytest.raises(RunnerError, match=r"07_bare\.ipynb: found no results"):
        stage_published(published, ["07"])


def test_the_rules_of_the_book_can_be_read():
    assert all(read_rules(ROOT / RULES).values())


@pytest.mark.parametrize(
    "text", ["- a", "free: x", "free: [1]", "fre: [a]", "free: [", "words_follow_luck:"]
)
def test_other_rules_are_refused(published, text):
    (published / RULES).write_text(text)
    with pytest.raises(RunnerError, match=r"published\.yaml, line 1: "):
        stage_published(published)
