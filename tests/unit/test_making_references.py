"""The notebooks that nbval runs again: the references, and the nightly copies of the published."""

import re
import shutil

import nbformat
import pytest
from helpers import ROOT
from nbval.plugin import get_sanitize_patterns
from regression.make_references import (
    IGNORED,
    RULES,
    make_references,
    read_rules,
    stage_published,
)
from runner_books import FIRST, SECOND, edit, make_book, pretend_run

from digit_utils import results
from digits_cli.book import cells_tagged, read_notebook, tags, write_notebook
from digits_cli.cli import main
from digits_cli.errors import RunnerError
from digits_cli.publish import number_cells
from digits_cli.references import BOUNDS, FOLDER, MAKER, read_bounds

# --- references


@pytest.fixture
def book(tmp_path):
    return make_book(tmp_path, c01_first=FIRST, c02_second=SECOND)


def write_bounds(book, text):
    (book / BOUNDS).parent.mkdir(parents=True, exist_ok=True)
    (book / BOUNDS).write_text(text)


def test_references_hold_parameters_what_is_compared_and_the_check(book):
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
    notebook = read_notebook(first)
    (injected,) = cells_tagged(notebook, "injected-parameters")
    assert injected.source == (
        "# Parameters\nSEED = 3\nNAME = 'a'\nARTIFACTS = \"../../../_build/regression/01_first\""
    )
    (compared,) = [cell for cell in notebook.cells if cell.get("outputs")]
    assert "nbval-check-output" in tags(compared)
    assert compared.outputs[-1].data == {"text/plain": "Fig"}
    assert "bounds = {'accuracy': [0.9, 1], 'n': 10}" in notebook.cells[-1].source
    assert not cells_tagged(read_notebook(second), "injected-parameters"), "it has no ARTIFACTS"
    before = first.read_bytes()
    make_references(book)
    assert first.read_bytes() == before, "made again, a reference is the same"


def test_one_reference_is_made_alone_and_status_names_the_stale_ones(book, capsys, monkeypatch):
    monkeypatch.chdir(book)
    pretend_run(book, "01_first", seed=0)
    write_bounds(book, "01_first: {seed: 0}\n")
    shutil.copy(ROOT / MAKER, book / MAKER)
    assert main(["references", "01"]) == 0
    assert "wrote: tests/regression/reference/01_first.ipynb" in capsys.readouterr().out
    main(["status"])
    out = capsys.readouterr().out
    assert "stale reference: 01_first" not in out
    assert "02_second, tests/regression/bounds.yaml has no bounds for it: add what" in out
    assert "`digits run" not in out, "which would not help"
    profile = book / "profiles/quick/01_first.yaml"
    profile.parent.mkdir(parents=True)
    for change, why in (
        (lambda: edit(book / BOUNDS, "seed: 0", "seed: 1"), "its bounds have changed"),
        (lambda: profile.write_text("RATE: 0.25\n"), "the quick profile has changed"),
        (lambda: edit(book / "notebooks/01_first.py", "1 + 1", "1 + 2"), "its code has changed"),
        (lambda: (book / FOLDER / "01_first.ipynb").unlink(), "it has none"),
    ):
        change()
        main(["status", "01"])
        out = capsys.readouterr().out
        assert f"stale reference: 01_first, {why}\n" in out
        assert "`digits run 01_first`, then `digits references 01_first`, makes them anew." in out


def test_references_need_bounds_that_hold(book):
    pretend_run(book, "01_first", accuracy=0.85)
    pretend_run(book, "02_second")
    with pytest.raises(RunnerError, match="bounds.yaml: there is no such file"):
        make_references(book)
    write_bounds(book, "01_first: {accuracy: [0.9, 1]}\n03_new: {a: 1}\n")
    with pytest.raises(RunnerError) as error:
        make_references(book)
    for told in (
        "01_first: accuracy is 0.85, expected 0.9 to 1",
        "02_second has no bounds",
        "03_new is no chapter",
    ):
        assert told in str(error.value)
    assert not (book / FOLDER).exists()


@pytest.mark.parametrize("text", ["[", "- a\n", "01_x: 3\n", "01_x: {a: [2, 1]}\n"])
def test_bounds_of_another_shape_are_told(book, text):
    write_bounds(book, text)
    with pytest.raises(RunnerError, match=r"bounds.yaml, line \d: "):
        read_bounds(book / BOUNDS)


# --- what nbval lets differ in the nightly copies

PATTERNS = get_sanitize_patterns((ROOT / "tests/regression/sanitize.cfg").read_text("utf-8"))


def test_times_addresses_and_numbers_may_differ_and_words_and_shapes_may_not():
    def sanitize(text: str) -> str:
        for pattern, replacement in PATTERNS:
            text = re.sub(pattern, replacement, text)
        return text

    for one, other in (
        ("<object at 0x7f10c2>", "<object at 0x55dead>"),
        ("1 epoch in 81 s, accuracy 0.99", "11 epochs in 1,203.5 s, accuracy 0.9853"),
        ("p = 1.3e-13, change -0.2", "p = 4e-07, change 0.1"),
        ("measured 2026-11-25, 14:03:59", "measured 2027-01-02, 1:00:00"),
        ("loss  accuracy\n   1      nan", "loss        accuracy\n 0.25      0.125"),
        ("| a | --- |", "| a | ----- |"),
    ):
        assert sanitize(one) == sanitize(other)
    for one, other in (
        ("accuracy 0.99", "loss 0.99"),
        ("(6000, 28, 28)", "(6000, 784)"),
        ("1 2 3", "1 2"),
        ("float32", "float64"),
        ("", "DeprecationWarning: gone in 2.0"),
    ):
        assert sanitize(one) != sanitize(other)


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


def test_counts_must_be_equal_and_what_was_trained_has_room(published):
    (copy,) = stage_published(published, ["03"])
    check = read_notebook(copy).cells[-1].source
    for changed in (
        {"train_seconds": 99.0, "n_wrong": 31, "accuracy": 0.9851, "zero": 0.003},
        {"half": 0.25, "gain": 1.0, "loss": -6.0, "nested": {"a": [1, 0.375]}},
    ):
        results.report("x", **{**VALUES, **changed})
        exec(check, {})
    for changed, told in (
        ({"n_train": 33599}, "n_train is 33599, expected exactly 33600"),
        ({"accuracy": 0.98}, "accuracy is 0.98, expected 0.985 to 0.995"),
        ({"zero": 0.004}, "zero is 0.004, expected 0.0 to 0.003"),
        ({"loss": -6.1}, "loss is -6.1, expected -6.0 to -2.0"),
        ({"n_wrong": 30}, "n_wrong is 30, expected 31 to 91"),
        ({"sure": False}, "sure is False, expected exactly True"),
        ({"nested": {"a": [2, 0.25]}}, "nested/a/0 is 2, expected exactly 1"),
        ({"nested": {}}, "nested/a/1 was not reported"),
    ):
        results.report("x", **{**VALUES, **changed})
        with pytest.raises(AssertionError, match=re.escape(told)):
            exec(check, {})


@pytest.mark.parametrize("text", ["- a", "free: [1]", "fre: [a]", "free: ["])
def test_other_rules_and_a_chapter_that_reports_nothing_are_refused(published, text):
    assert all(read_rules(ROOT / RULES).values()), "those of the book can be read"
    publish_cells(published, "07_bare", [("print(1)", None), ("", None)])
    with pytest.raises(RunnerError, match=r"07_bare\.ipynb: found no results"):
        stage_published(published, ["07"])
    (published / RULES).write_text(text)
    with pytest.raises(RunnerError, match=r"published\.yaml, line 1: "):
        stage_published(published)
