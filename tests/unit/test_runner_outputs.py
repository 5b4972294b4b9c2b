"""What is made from executed chapters: the site, the published notebooks, the references."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from runner_books import FIRST, SECOND, chapter, make_book, pretend_run

from digit_utils import results
from digits_cli.cli import main
from digits_cli.errors import RunnerError
from digits_cli.notebooks import cells_tagged, read_notebook, write_notebook
from digits_cli.pairing import METADATA, check_pairs, sync_pair
from digits_cli.paths import list_chapters
from digits_cli.progress import BarReporter
from digits_cli.publish import publish
from digits_cli.references import check_bounds, make_references, read_bounds
from digits_cli.site import build_site, stage_site

SAVER = chapter(
    "from digit_utils.artifacts import save_json\nsave_json(ARTIFACTS, 'best_parameters', {})"
)


@pytest.fixture
def book(tmp_path):
    book = make_book(tmp_path, c01_first=FIRST, c02_second=SECOND)
    (book / "_config.yml").write_text("title: Tiny\nexecute:\n  execute_notebooks: 'off'\n")
    (book / "_toc.yml").write_text(
        "format: jb-book\nroot: book/index\nparts:\n  - caption: All\n    chapters:\n"
        "      - file: notebooks/01_first\n      - file: notebooks/02_second.ipynb\n"
    )
    (book / "book").mkdir()
    (book / "book" / "index.md").write_text("# Welcome\n")
    return book


def change(book, name, old, new):
    script = book / "notebooks" / f"{name}.py"
    assert old in script.read_text()
    script.write_text(script.read_text().replace(old, new))
    for found in list_chapters(book):
        sync_pair(found)


# --- the site


def test_staging_starts_afresh_and_takes_prose_from_now_and_outputs_from_the_run(book):
    pretend_run(book, "01_first", parameters={"SEED": 3})
    pretend_run(book, "02_second")
    leftover = book / "_build/site/notebooks/00_gone.ipynb"
    leftover.parent.mkdir(parents=True)
    leftover.write_text("{}")
    change(book, "01_first", "A first chapter", "The first chapter")
    pages = stage_site(book, "quick")
    assert pages == ["book/index", "notebooks/01_first", "notebooks/02_second"]
    assert not leftover.exists()
    staged = read_notebook(book / "_build/site/notebooks/01_first.ipynb")
    assert staged.cells[0].source.startswith("# The first chapter")
    assert staged.cells[3].outputs[0].text == "3\n"
    assert [c.source for c in cells_tagged(staged, "injected-parameters")] == [
        "# Parameters\nSEED = 3"
    ]
    assert staged.metadata.digits.profile == "quick"
    assert staged.metadata.digits.stale == ["parameter SEED is 0, was 3"]
    other = read_notebook(book / "_build/site/notebooks/02_second.ipynb")
    assert other.metadata.digits.stale == []
    assert (book / "_build/site/book/index.md").is_file()


def test_missing_and_outdated_runs_are_listed_with_the_command_that_makes_them(book):
    pretend_run(book, "01_first")
    change(book, "01_first", "1 + 1", "1 + 2")
    with pytest.raises(RunnerError) as error:
        stage_site(book, "quick")
    told = str(error.value)
    assert "not run yet: 02_second; code changed since the run: 01_first" in told
    assert "`digits run 02_second 01_first --profile quick`" in told


def test_the_table_of_contents_must_list_every_chapter_and_no_other(book):
    (book / "_toc.yml").write_text("root: book/index\nchapters:\n- file: notebooks/01_frist\n")
    with pytest.raises(RunnerError) as error:
        stage_site(book, "quick")
    assert "_toc.yml lists notebooks/01_frist, which is no chapter" in str(error.value)
    assert "notebooks/02_second is not in _toc.yml" in str(error.value)
    (book / "_toc.yml").write_text("root: [\n")
    with pytest.raises(RunnerError, match="_toc.yml, line 2: this is not YAML"):
        stage_site(book, "quick")
    (book / "_toc.yml").unlink()
    with pytest.raises(RunnerError, match="_toc.yml is missing"):
        stage_site(book, "quick")


def fake_jupyter_book(monkeypatch, code=0, pages=("index", "book/index")):
    """Stand in for Jupyter Book: the real one is tried in the tests of the site."""
    script = (
        "import sys, pathlib\nwork = pathlib.Path(sys.argv[sys.argv.index('--path-output') + 1])\n"
        "html = work / '_build' / 'html'\n"
        f"for page in {list(pages)!r}:\n"
        "    path = html / f'{page}.html'\n"
        "    path.parent.mkdir(parents=True, exist_ok=True)\n"
        "    path.write_text('new')\n"
        f"print('building', sys.argv[1:])\nprint('=' * 40)\nprint('in .book')\nsys.exit({code})"
    )
    real = subprocess.Popen

    def start(command, **options):
        assert command[0] == sys.executable
        return real([sys.executable, "-c", script, *command[3:]], **options)

    monkeypatch.setattr("digits_cli.site.subprocess.Popen", start)


ALL_PAGES = ("index", "book/index", "notebooks/01_first", "notebooks/02_second")


def test_a_good_build_replaces_the_old_site_whole(book, monkeypatch, capsys):
    for name in ("01_first", "02_second"):
        pretend_run(book, name)
    (book / "_build/html").mkdir()
    (book / "_build/html/stale.html").write_text("old")
    fake_jupyter_book(monkeypatch, pages=ALL_PAGES)
    assert build_site(root=book) == 0
    out = capsys.readouterr().out
    assert "'-n', '-W', '--keep-going'" in out
    assert ".book'" in out and "in .book" not in out
    assert "html/index.html" in out.splitlines()[-1]
    assert not (book / "_build/html/stale.html").exists()
    assert (book / "_build/html/index.html").read_text() == "new"
    assert sorted(path.name for path in (book / "_build").iterdir()) == [
        ".claims",
        "html",
        "runs",
        "site",
    ]


@pytest.mark.parametrize(
    ("code", "pages", "told"),
    [(2, ALL_PAGES, "exit code 2"), (0, ALL_PAGES[:3], "no page for notebooks/02_second")],
)
def test_a_bad_build_leaves_the_last_good_site(book, monkeypatch, capsys, code, pages, told):
    for name in ("01_first", "02_second"):
        pretend_run(book, name)
    (book / "_build/html").mkdir()
    (book / "_build/html/index.html").write_text("old")
    fake_jupyter_book(monkeypatch, code, pages)
    if code:
        assert build_site(root=book) == code
        error = capsys.readouterr().err
    else:
        with pytest.raises(RunnerError) as raised:
            build_site(root=book)
        error = str(raised.value)
    assert told in error
    assert "still the last good site" in error
    assert (book / "_build/html/index.html").read_text() == "old"


# --- published notebooks


def published(book, *wanted):
    """Publish what has been run; return what was said and what is left."""
    said: list[str] = []
    left = publish(wanted, run=False, root=book, say=said.append)
    return [line.replace(str(book) + "/", "") for line in said], left


def test_publishing_copies_outputs_and_nothing_of_the_run_itself(book):
    pretend_run(book, "01_first", "full", parameters={"SEED": 0})  # the default, set all the same
    pretend_run(book, "02_second", "full")
    said, left = published(book)
    assert said == [
        "01_first: wrote results/01_first.json",
        "01_first: wrote notebooks/01_first.ipynb",
        "02_second: wrote results/02_second.json",
        "02_second: wrote notebooks/02_second.ipynb",
    ]
    assert left == []
    record = json.loads((book / "results/01_first.json").read_text())
    assert record["chapter"] == "01_first"
    assert record["results"] == results.read(book / "_build/runs/full/01_first.ipynb")
    assert record["provenance"] == {"commit": "abc"}
    notebook = read_notebook(book / "notebooks/01_first.ipynb")
    assert set(notebook.metadata) == {*METADATA, "digits"}
    assert set(notebook.metadata.digits) == {"fingerprint", "outputs"}
    assert not cells_tagged(notebook, "injected-parameters")
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [1, 2, 3, 4]
    assert all(cell.outputs for cell in code)
    assert check_pairs(book) == [], "published outputs do not part the halves"
    assert published(book) == (["01_first: fresh", "02_second: fresh"], [])
    assert not (book / "digit_utils").exists()


def test_publishing_refuses_other_parameters_old_code_and_paths_of_this_machine(book):
    before = (book / "notebooks/01_first.ipynb").read_bytes()
    _, left = published(book)
    assert left == ["01_first", "02_second"]
    pretend_run(book, "01_first", "full", parameters={"SEED": 3})
    assert published(book, "01")[1] == ["01_first"], "other values than the profile's"
    profile = book / "profiles/full/01_first.yaml"
    profile.parent.mkdir(parents=True)
    profile.write_text("SEED: 3\n")
    path = pretend_run(book, "01_first", "full")
    notebook = read_notebook(path)
    notebook.cells[3].outputs[0].text = f"saved in {book}/x"
    write_notebook(path, notebook)
    with pytest.raises(RunnerError) as error:
        published(book)
    assert "it ran with SEED=3 instead of its defaults" in str(error.value)
    assert f"cell 3 prints {book}" in str(error.value)
    assert (book / "notebooks/01_first.ipynb").read_bytes() == before
    change(book, "01_first", "1 + 1", "1 + 2")
    assert published(book)[1] == ["01_first", "02_second"], "its code has changed"


def test_publishing_leaves_a_chapter_published_before_as_it_is(book):
    for name in ("01_first", "02_second"):
        pretend_run(book, name, "full")
    published(book)
    shutil.rmtree(book / "_build")
    assert published(book) == (["01_first: fresh", "02_second: fresh"], [])
    pretend_run(book, "02_second", "full", accuracy=0.5)
    assert published(book)[0] == ["01_first: fresh", "02_second: fresh"]
    said, _ = published(book, "02")  # named: the new run is asked for
    assert said[-1] == "02_second: wrote notebooks/02_second.ipynb"
    assert results.read(book / "notebooks/02_second.ipynb") == {"accuracy": 0.5}
    assert published(book, "02")[0] == ["02_second: fresh, and as its full run"]
    change(book, "01_first", "1 + 1", "1 + 2")
    assert published(book)[1] == ["01_first"]


def test_publishing_records_what_later_chapters_need(book):
    make_book(book, c03_saves=SAVER)
    for name in ("01_first", "02_second", "03_saves"):
        pretend_run(book, name, "full")
    assert published(book)[1] == ["03_saves"], "its run has left no best_parameters.json"
    made = book / "_build/runs/full/artifacts/best_parameters.json"
    made.parent.mkdir()
    made.write_text('{"a": 1}\n')
    said, _ = published(book)
    assert "03_saves: wrote digit_utils/recorded/best_parameters.json" in said
    assert json.loads((book / "digit_utils/recorded/best_parameters.json").read_text()) == {"a": 1}


# --- references for nbval


def write_bounds(book, text):
    path = book / "tests/regression/bounds.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_references_hold_code_parameters_what_is_compared_and_the_check(book):
    run = pretend_run(book, "01_first", parameters={"SEED": 3, "NAME": "a"}, accuracy=0.95, n=10)
    notebook = read_notebook(run)
    (checked,) = cells_tagged(notebook, "nbval-check-output")
    checked.outputs += notebook.cells[-1].outputs[-1:]  # a picture, with its text
    write_notebook(run, notebook)
    pretend_run(book, "02_second", seed=0)
    write_bounds(book, "01_first:\n  accuracy: [0.9, 1]\n  n: 10\n02_second: {seed: 0}\n")
    old = book / "tests/regression/reference/09_gone.ipynb"
    old.parent.mkdir()
    old.write_text("{}")
    first, second = make_references(book)
    assert not old.exists()
    text = first.read_text()
    assert "image/png" not in text
    assert "Fig" in text
    notebook = read_notebook(first)
    (injected,) = cells_tagged(notebook, "injected-parameters")
    assert injected.source == (
        "# Parameters\nSEED = 3\nNAME = 'a'\nARTIFACTS = \"../../../_build/regression/01_first\""
    )
    (checked,) = cells_tagged(notebook, "nbval-check-output")
    assert checked.outputs
    assert not any(c.outputs for c in notebook.cells if c.cell_type == "code" and c != checked)
    check = notebook.cells[-1].source
    assert "bounds = {'accuracy': [0.9, 1], 'n': 10}" in check
    assert "check_bounds(results.latest(), bounds)" in check
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
    assert "stale reference: 02_second, tests/regression/bounds.yaml has no bounds for it" in out
    assert "`digits run 02_second`, then `digits references 02_second`, makes them anew." in out
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
        assert f"stale reference: 01_first, {why}\n" in capsys.readouterr().out


def test_references_need_bounds_that_hold(book):
    pretend_run(book, "01_first", accuracy=0.85)
    pretend_run(book, "02_second")
    with pytest.raises(RunnerError, match="bounds.yaml is missing"):
        make_references(book)
    silent = pretend_run(make_book(book, c04_silent=SECOND), "04_silent")
    notebook = read_notebook(silent)
    notebook.cells[-1].outputs = []
    write_notebook(silent, notebook)
    write_bounds(book, "01_first: {accuracy: [0.9, 1]}\n03_new: {a: 1}\n04_silent: {a: 1}\n")
    with pytest.raises(RunnerError) as error:
        make_references(book)
    assert "01_first: accuracy is 0.85, expected 0.9 to 1" in str(error.value)
    assert "02_second has no bounds" in str(error.value)
    assert "03_new is no chapter" in str(error.value)
    assert "04_silent.ipynb: found no results" in str(error.value)
    assert not (book / "tests/regression/reference").exists()


@pytest.mark.parametrize(
    "text",
    ["[", "- a\n", "01_x: 3\n", "01_x: {a: [1]}\n", "01_x: {a: [2, 1]}\n", "01_x: {a: {b: 1}}\n"],
)
def test_bounds_of_another_shape_are_told(book, text):
    write_bounds(book, text)
    with pytest.raises(RunnerError, match="bounds.yaml"):
        read_bounds(book / "tests/regression/bounds.yaml")


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


def test_the_bar_can_be_drawn(capsys):
    class Run:
        ok = True
        seconds = 1.0

    with BarReporter(2) as bar:
        for number, name in enumerate(["01_first", "02_second"], start=1):
            bar.start(number, name)
            bar.cell(1, 3)
            bar.tick()
            bar.finish(Run)
            Run.ok = False
    shown = capsys.readouterr().err
    assert "[1/2] 01_first" in shown
    assert "done" in shown
    assert "failed" in shown


def test_build_folders_are_ignored_by_git():
    root = Path(__file__).resolve().parents[2]
    paths = ["_build/runs/quick/01_eda.ipynb", "_build/regression/06_final_model/x.json"]
    done = subprocess.run(["git", "check-ignore", *paths], cwd=root, capture_output=True, text=True)
    assert done.stdout.split() == paths


def test_a_run_with_other_values_than_the_profiles_is_out_of_date(book):
    for name in ("01_first", "02_second"):
        pretend_run(book, name)
    profile = book / "profiles/quick/01_first.yaml"
    profile.parent.mkdir(parents=True, exist_ok=True)
    profile.write_text("SEED: 41\n")
    with pytest.raises(RunnerError, match="values changed since the run: 01_first"):
        stage_site(book, "quick")


def test_the_site_can_be_made_of_the_published_notebooks(book):
    with pytest.raises(RunnerError, match="Not published, or changed since: 01_first, 02_second"):
        stage_site(book, None)
    for name in ("01_first", "02_second"):
        pretend_run(book, name, "full")
    published(book)
    shutil.rmtree(book / "_build")
    stage_site(book, None)
    staged = read_notebook(book / "_build/site/notebooks/01_first.ipynb")
    assert staged.metadata["digits"]["profile"] == "full"
    assert staged.metadata["digits"]["stale"] == []
    assert [cell.outputs for cell in staged.cells if cell.cell_type == "code"][0]
